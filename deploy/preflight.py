"""What would make a deployment fail after half an hour, found in seconds and before anything is made."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from deploy import preflight_database, releases
from deploy.capacity import find_shortage
from deploy.choices import Choices, wrong_values
from deploy.cloud import Cloud, DeployError, Stack, read_template

ALWAYS_UNRESERVED = 100
"""Lambda refuses to reserve these: https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"""
FUNCTIONS = ("AWS::Serverless::Function", "AWS::Lambda::Function")
_RESERVING = {"ReserveConcurrency": "false", "ApiConcurrency": "0"}
"""The parameters that reserve, and their values that do not"""
_CERTIFICATES = (
    "vendor/certificates: the package has no RDS certificates, without which the database cannot be reached: run `make "
    "certificates REGION={region}`, then package again"
)
APIS = ("AWS::Serverless::Api", "AWS::ApiGateway::Stage")


@dataclass(frozen=True)
class Plan:
    """A deployment that has not begun."""

    cloud: Cloud
    choices: Choices
    stack: Stack | None
    """None for a stage that is new"""

    def concerns(self, *parameters: str) -> bool:
        """Whether the stage is new or any of these changes: what works already is not questioned."""
        known = self.stack.parameters if self.stack else {}
        return self.stack is None or any(known.get(name) != self.choices.values.get(name) for name in parameters)


Check = Callable[[Plan], Iterator[str]]


def ensure_possible(
    cloud: Cloud,
    template: Mapping[str, Any],
    stack: Stack | None,
    given: Mapping[str, str],
    *,
    lacks_certificates: bool = False,
) -> None:
    """DeployError with a line for each thing to change. A check that is not permitted is only a warning."""
    known = stack.parameters if stack and not stack.is_new else {}
    parameters = {name: each for name, each in template.get("Parameters", {}).items() if name != releases.PARAMETER}
    if wrong := list(wrong_values(parameters, known, given)):
        raise _impossible(wrong)
    choices = Choices(template, stack.parameters if stack else {}, given)
    plan = Plan(cloud, choices, None if stack is None or stack.is_new else stack)
    problems = [_CERTIFICATES.format(region=cloud.region)] if lacks_certificates else []
    for subject, check in CHECKS.items():
        try:
            problems += list(check(plan))
        except NoCredentialsError:
            raise
        except (BotoCoreError, ClientError) as error:
            print(f"warning: could not check {subject}: {error}", file=sys.stderr, flush=True)
    if problems:
        raise _impossible(problems)


def _impossible(problems: list[str]) -> DeployError:
    return DeployError("\n  ".join(["nothing was made, because this would fail:", *problems]))


def check_rules(plan: Plan) -> Iterator[str]:
    """The template's own, which CloudFormation knows only once the template is in the bucket."""
    yield from plan.choices.broken_rules()


def check_concurrency(plan: Plan) -> Iterator[str]:
    wanted = _reserved(plan.choices)
    before = _reserved(Choices(read_template(plan.cloud, plan.stack.id), plan.stack.parameters)) if plan.stack else {}
    more = sum(wanted.values()) - sum(before.values())
    if more <= 0:
        return
    limits = plan.cloud.functions.get_account_settings()["AccountLimit"]
    unreserved, total = limits["UnreservedConcurrentExecutions"], limits["ConcurrentExecutions"]
    missing = ALWAYS_UNRESERVED - (unreserved - more)
    if missing > 0:
        chosen = [name for name, none in _RESERVING.items() if plan.choices.values.get(name, none) != none]
        instead = " and ".join(f"{name}={_RESERVING[name]}" for name in chosen)
        yield (
            f"{' and '.join(chosen) or 'concurrency'}: {', '.join(sorted(wanted))} would reserve {more} more "
            f"concurrent executions, but Lambda keeps {ALWAYS_UNRESERVED} of an account unreserved, and {unreserved} "
            f"of this one's {total} are: {f'give {instead}, or ' if instead else ''}have the Lambda quota Concurrent "
            f"executions (L-B99A9384) raised to {total + missing}"
        )


def _reserved(choices: Choices) -> dict[str, int]:
    functions = choices.list_resources(*FUNCTIONS)
    found = {name: int(made.get("ReservedConcurrentExecutions", 0)) for name, made in functions.items()}
    return {name: number for name, number in found.items() if number}


def check_addresses(plan: Plan) -> Iterator[str]:
    wanted = len(plan.choices.list_resources("AWS::EC2::EIP"))
    if plan.stack is not None or not wanted:
        return
    used = len(plan.cloud.client("ec2").describe_addresses()["Addresses"])
    quota = _quota(plan.cloud, "ec2", "L-0263D0A3")
    if used + wanted > quota:
        yield (
            f"Egress: {wanted} Elastic IP addresses are needed for NAT gateways, and {used} of {quota} are in use: "
            "release some, give Egress=nat (one address) or a VpcId of your own, or have the EC2 quota EC2-VPC Elastic "
            f"IPs (L-0263D0A3) raised to {used + wanted}"
        )


def check_networks(plan: Plan) -> Iterator[str]:
    wanted = len(plan.choices.list_resources("AWS::EC2::VPC"))
    if plan.stack is not None or not wanted:
        return
    pages = plan.cloud.client("ec2").get_paginator("describe_vpcs").paginate()
    used = sum(len(page["Vpcs"]) for page in pages)
    quota = _quota(plan.cloud, "vpc", "L-F678F1CE")
    if used + wanted > quota:
        yield (
            f"VpcId: the Region has {used} of {quota} possible VPCs: give VpcId and PrivateSubnetIds of an existing "
            f"one, or have the VPC quota VPCs per Region (L-F678F1CE) raised to {used + wanted}"
        )


def check_subnets(plan: Plan) -> Iterator[str]:
    """Of a network of one's own, which the database and the functions will be in."""
    network, given = (plan.choices.values.get(name, "") for name in ("VpcId", "PrivateSubnetIds"))
    if not network or given == "subnet-none" or not plan.concerns("VpcId", "PrivateSubnetIds"):
        return
    found = preflight_database.find_subnets(plan.cloud, given)
    if missing := sorted(set(given.split(",")) - {subnet["SubnetId"] for subnet in found}):
        yield f"PrivateSubnetIds: {', '.join(missing)} cannot be found in {plan.cloud.region}"
    if elsewhere := sorted(subnet["SubnetId"] for subnet in found if subnet["VpcId"] != network):
        yield f"PrivateSubnetIds: {', '.join(elsewhere)} belong to another VPC than {network}"
    zones = {subnet["AvailabilityZone"] for subnet in found}
    if not missing and len(zones) < 2:
        yield f"PrivateSubnetIds: all are in {', '.join(zones)}, but RDS needs subnets in two zones"


def _quota(cloud: Cloud, service: str, code: str) -> int:
    """What was granted to the account, or else what every account has."""
    quotas = cloud.client("service-quotas")
    try:
        found = quotas.get_service_quota(ServiceCode=service, QuotaCode=code)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchResourceException":
            raise
        found = quotas.get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)
    return int(found["Quota"]["Value"])


def check_database(plan: Plan) -> Iterator[str]:
    names = ("DatabaseEngine", "DatabaseVersion", "DatabaseInstanceClass", "DatabaseStandby")
    if plan.concerns(*names):
        yield from preflight_database.check(plan.cloud, plan.choices)


def check_connections(plan: Plan) -> Iterator[str]:
    names = ("DatabaseMaxConnections", "ReserveConcurrency", "ApiConcurrency", "SyncConcurrency")
    known = set(names) <= plan.choices.values.keys()
    if known and plan.concerns(*names) and (shortage := find_shortage(plan.choices.values)):
        yield shortage


def check_certificate(plan: Plan) -> Iterator[str]:
    domain, arn = (plan.choices.values.get(name, "") for name in ("DomainName", "DomainCertificateArn"))
    if not (domain and arn and plan.concerns("DomainName", "DomainCertificateArn")):
        return
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "acm":
        yield f"DomainCertificateArn: {arn} is not the ARN of a certificate in ACM"
    elif parts[3] != plan.cloud.region:
        yield (
            f"DomainCertificateArn: the certificate is in {parts[3]}, and the API will be in {plan.cloud.region}: "
            f"request one for {domain} from ACM there"
        )
    else:
        yield from _check_issued(plan.cloud, domain, arn)


def _check_issued(cloud: Cloud, domain: str, arn: str) -> Iterator[str]:
    try:
        found = cloud.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        yield f"DomainCertificateArn: there is no certificate {arn}"
        return
    if found["Status"] != "ISSUED":
        yield f"DomainCertificateArn: the certificate is {found['Status']}, not ISSUED: validate it in ACM first"
    names = {found["DomainName"], *found.get("SubjectAlternativeNames", [])}
    if not names & {domain, f"*.{domain.partition('.')[2]}"}:
        yield f"DomainCertificateArn: the certificate is for {', '.join(sorted(names))}, not for {domain}"


def check_access_log(plan: Plan) -> Iterator[str]:
    logs = [made for made in plan.choices.list_resources(*APIS).values() if made.get("AccessLogSetting")]
    if not logs or not plan.concerns("AccessLog"):
        return
    if not plan.cloud.client("apigateway").get_account().get("cloudwatchRoleArn"):
        yield (
            "AccessLog: API Gateway has no role for CloudWatch Logs in this account and Region: set one (`aws "
            "apigateway update-account --patch-operations op=replace,path=/cloudwatchRoleArn,value=ROLE_ARN`), or give "
            "AccessLog=false"
        )


CHECKS: Mapping[str, Check] = {
    "the parameters' rules": check_rules,
    "Lambda's concurrency": check_concurrency,
    "Elastic IP addresses": check_addresses,
    "VPCs": check_networks,
    "the subnets": check_subnets,
    "the database": check_database,
    "the database's connections": check_connections,
    "the domain's certificate": check_certificate,
    "API Gateway's role for logs": check_access_log,
}
"""By what a warning calls it"""
