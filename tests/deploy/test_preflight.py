"""What would make a deployment fail after half an hour is found before anything is made, the bucket included."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy import stack
from deploy.choices import Choices
from deploy.contents import CERTIFICATES
from tests.deploy import templates
from tests.deploy.intrinsics import Account
from tests.deploy.projects import write_package
from tests.deploy.small_stage import Operator
from tests.http_fake import Reply, http_fake

LAMBDA, ADDRESSES, NETWORKS = ("lambda", "L-B99A9384"), ("ec2", "L-0263D0A3"), ("vpc", "L-F678F1CE")
BUCKET = "releases-of-nobody"
ADMIN = "def admin(event, context):\n    return {}\n"
DOMAIN = "DomainName=api.example.com"

pytestmark = pytest.mark.usefixtures("account")


class Preflight:
    """The product's own template, which nobody agrees to deploy."""

    def __init__(self, folder: Path, said: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._said = said

    def run(self, *parameters: str, stage: str = "prod", files: tuple[str, ...] = (CERTIFICATES,)) -> tuple[int, str]:
        package = self._folder / f"{stage}-{len(files)}"
        if not package.exists():
            write_package(package, templates.finished(stage), ADMIN, *files)
        where = ["--stage", stage, "--bucket", BUCKET, "--create-bucket", "--package", str(package)]
        code = stack.main(["deploy", *where, "--dry-run", "--parameters", *parameters])
        said = self._said.readouterr()
        return code, said.out + said.err

    def problems(self, *parameters: str, **options: Any) -> list[str]:
        remove_bucket()
        code, said = self.run(*parameters, **options)
        assert code == 1, said
        assert not exists(BUCKET)
        first, *problems = said.splitlines()
        assert first == "deploy: nothing was made, because this would fail:"
        return [line.removeprefix("  ") for line in problems]


def exists(bucket: str) -> bool:
    try:
        boto3.client("s3").head_bucket(Bucket=bucket)
    except ClientError:
        return False
    return True


def remove_bucket() -> None:
    if exists(BUCKET):
        storage = boto3.resource("s3").Bucket(BUCKET)
        storage.object_versions.delete()
        storage.delete()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packages")


@pytest.fixture
def preflight(packages: Path, capsys: pytest.CaptureFixture[str]) -> Preflight:
    return Preflight(packages, capsys)


@pytest.fixture(autouse=True)
def _ordinary_account() -> Iterator[None]:
    """An account in which the deployment is possible, whatever a test did to it."""
    yield
    for quota, value in ((LAMBDA, 1000), (ADDRESSES, 5), (NETWORKS, 5)):
        grant(quota, value)
    remove_bucket()


def grant(quota: tuple[str, str], value: int) -> None:
    boto3.client("service-quotas").request_service_quota_increase(
        ServiceCode=quota[0], QuotaCode=quota[1], DesiredValue=value
    )


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_an_ordinary_account_passes_without_a_word(preflight: Preflight, stage: str) -> None:
    code, said = preflight.run(stage=stage)
    assert code == 0, said
    assert "warning" not in said


def test_a_new_accounts_concurrency_is_too_low_to_reserve_any(preflight: Preflight) -> None:
    grant(LAMBDA, 10)
    reserved = sum(reservations().values())
    (problem,) = preflight.problems()
    assert problem.startswith("ReserveConcurrency")
    assert "10 of this one's 10 are: give ReserveConcurrency=false" in problem
    assert f"Concurrent executions (L-B99A9384) raised to {100 + reserved}" in problem
    assert preflight.run("ReserveConcurrency=false", "ApiConcurrency=0")[0] == 0


def reservations() -> dict[str, int]:
    functions = Choices(templates.finished("prod")).list_resources("AWS::Serverless::Function")
    found = {name: int(made.get("ReservedConcurrentExecutions", 0)) for name, made in functions.items()}
    return {name: number for name, number in found.items() if number}


def test_reservations_must_leave_a_hundred_executions(preflight: Preflight) -> None:
    assert {"Admin", "Maintenance", "Tick"} <= set(reservations())
    grant(LAMBDA, 100 + sum(reservations().values()))
    assert preflight.run()[0] == 0
    grant(LAMBDA, 99 + sum(reservations().values()))
    assert len(preflight.problems()) == 1
    (problem,) = preflight.problems("ApiConcurrency=150", "DatabaseMaxConnections=600")
    assert "ApiConcurrency=0" in problem
    assert "APIHandler" in problem


def test_the_database_must_accept_the_connections_of_every_function(preflight: Preflight) -> None:
    (problem,) = preflight.problems("ApiConcurrency=150")
    assert problem.startswith("DatabaseMaxConnections: ApiConcurrency=150 and SyncConcurrency=20 may need 600 ")
    assert preflight.run("ApiConcurrency=150", "DatabaseMaxConnections=600")[0] == 0


def test_addresses_and_networks_must_be_left(preflight: Preflight) -> None:
    ec2 = boto3.client("ec2")
    used = len(ec2.describe_addresses()["Addresses"])
    grant(ADDRESSES, used + 1)
    grant(NETWORKS, len(ec2.describe_vpcs()["Vpcs"]))
    addresses, networks = preflight.problems()
    assert addresses.startswith(f"Egress: 2 Elastic IP addresses are needed for NAT gateways, and {used} of {used + 1}")
    assert f"EC2-VPC Elastic IPs (L-0263D0A3) raised to {used + 2}" in addresses
    assert networks.startswith("VpcId: the Region has ")
    assert "give VpcId and PrivateSubnetIds of an existing one" in networks
    assert len(preflight.problems("Egress=nat")) == 1
    network, zones = default_network()
    assert preflight.run(network, f"PrivateSubnetIds={zones['a']},{zones['b']}")[0] == 0


def test_the_default_quota_applies_where_none_was_granted(preflight: Preflight) -> None:
    made = [boto3.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"] for _ in range(4)]
    try:
        (problem,) = preflight.problems()
        assert "5 of 5 possible VPCs" in problem
    finally:
        for network in made:
            boto3.client("ec2").delete_vpc(VpcId=network)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        (["DatabaseVersion=18.9"], "DatabaseVersion: RDS has no postgres 18.9 in us-east-1; it has 18.3, 18.4"),
        (["DatabaseVersion=19"], "DatabaseVersion: RDS has no postgres 19 in us-east-1; it has 18.3, 18.4"),
        (
            ["DatabaseInstanceClass=db.t1.micro"],
            "DatabaseInstanceClass: db.t1.micro with postgres 18.4 cannot be ordered in us-east-1: choose another "
            "class",
        ),
        (
            ["DatabaseInstanceClass=db.m7g.large"],
            "DatabaseInstanceClass: db.m7g.large with postgres 18.4 can be ordered in us-east-1c, and the subnets are "
            "in us-east-1a and us-east-1b: choose another class, or give VpcId and PrivateSubnetIds in those zones",
        ),
        (
            ["DatabaseEngine=aurora-postgresql", "DatabaseVersion=20.1"],
            "DatabaseVersion: RDS has no aurora-postgresql 20.1 in us-east-1; it has 18.3, 18.4",
        ),
    ],
)
def test_a_database_that_cannot_be_ordered_is_refused(
    preflight: Preflight, parameters: list[str], problem: str
) -> None:
    assert preflight.problems(*parameters) == [problem]


@pytest.mark.parametrize(
    "parameters",
    [["DatabaseVersion=18"], ["DatabaseEngine=aurora-postgresql"], ["DatabaseStandby=false", "DatabaseVersion=18.3"]],
)
def test_a_database_that_can_be_ordered_passes(preflight: Preflight, parameters: list[str]) -> None:
    code, said = preflight.run(*parameters)
    assert code == 0, said


def test_a_class_need_not_be_in_every_zone_unless_there_is_a_standby(preflight: Preflight) -> None:
    network, zones = default_network()
    given = [network, f"PrivateSubnetIds={zones['b']},{zones['c']}", "DatabaseInstanceClass=db.m7g.large"]
    assert preflight.run(*given, "DatabaseStandby=false")[0] == 0
    (problem,) = preflight.problems(*given, "DatabaseStandby=true")
    assert "in us-east-1c, and the subnets are in us-east-1b and us-east-1c" in problem


def default_network() -> tuple[str, dict[str, str]]:
    """The parameter that names it, and a subnet by the letter of its zone."""
    subnets = boto3.client("ec2").describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    return f"VpcId={subnets[0]['VpcId']}", {found["AvailabilityZone"][-1]: found["SubnetId"] for found in subnets}


def test_subnets_must_exist_in_the_vpc_and_in_two_zones(preflight: Preflight) -> None:
    network, zones = default_network()
    (missing,) = preflight.problems(network, f"PrivateSubnetIds={zones['a']},subnet-0123")
    assert missing == "PrivateSubnetIds: subnet-0123 cannot be found in us-east-1"
    (elsewhere,) = preflight.problems("VpcId=vpc-0123", f"PrivateSubnetIds={zones['a']},{zones['b']}")
    assert elsewhere.endswith("belong to another VPC than vpc-0123")
    (twice,) = preflight.problems(network, f"PrivateSubnetIds={zones['a']},{zones['a']}", "DatabaseStandby=false")
    assert twice == "PrivateSubnetIds: all are in us-east-1a, but RDS needs subnets in two zones"


def certificate(domain: str, *, region: str = "us-east-1", validated_by: str = "DNS") -> str:
    acm = boto3.client("acm", region_name=region)
    return str(acm.request_certificate(DomainName=domain, ValidationMethod=validated_by)["CertificateArn"])


def test_a_certificate_must_be_in_the_region_issued_and_for_the_domain(preflight: Preflight) -> None:
    abroad = certificate("api.example.com", region="eu-west-1")
    missing = "arn:aws:acm:us-east-1:123456789012:certificate/none"
    for arn, problem in {
        abroad: "the certificate is in eu-west-1, and the API will be in us-east-1: request one for api.example.com",
        missing: f"there is no certificate {missing}",
        certificate("other.example"): "the certificate is for other.example, not for api.example.com",
        "something": "something is not the ARN of a certificate in ACM",
    }.items():
        (found,) = preflight.problems(DOMAIN, f"DomainCertificateArn={arn}")
        assert found.startswith(f"DomainCertificateArn: {problem}")


def test_a_certificate_that_is_not_issued_is_refused_and_a_wildcard_passes(preflight: Preflight) -> None:
    waiting = certificate("api.example.com", validated_by="EMAIL")
    (problem,) = preflight.problems(DOMAIN, f"DomainCertificateArn={waiting}")
    assert problem.startswith("DomainCertificateArn: the certificate is PENDING_VALIDATION, not ISSUED")
    assert preflight.run(DOMAIN, f"DomainCertificateArn={certificate('*.example.com')}")[0] == 0


def test_an_access_log_needs_the_gateways_role(preflight: Preflight) -> None:
    (problem,) = preflight.problems("AccessLog=true")
    assert problem.startswith("AccessLog: API Gateway has no role for CloudWatch Logs")
    assert "give AccessLog=false" in problem
    change = {"op": "replace", "path": "/cloudwatchRoleArn", "value": "arn:aws:iam::123456789012:role/logs"}
    boto3.client("apigateway").update_account(patchOperations=[change])
    assert preflight.run("AccessLog=true")[0] == 0


def test_the_templates_own_rules_are_among_the_problems(preflight: Preflight) -> None:
    found = preflight.problems(DOMAIN)
    assert found == ["DomainName needs DomainCertificateArn"]


def test_missing_certificates_of_rds_are_told_before_the_bucket_is_made(preflight: Preflight) -> None:
    (problem,) = preflight.problems(files=())
    assert problem.startswith("vendor/certificates: the package has no RDS certificates")
    assert "`make certificates REGION=us-east-1`" in problem


def test_all_problems_are_listed_together_a_line_each(preflight: Preflight) -> None:
    grant(LAMBDA, 10)
    grant(ADDRESSES, 0)
    found = preflight.problems("DatabaseVersion=18.9", files=())
    assert [line.partition(":")[0].partition(" ")[0] for line in found] == [
        *("vendor/certificates", "ReserveConcurrency", "Egress", "DatabaseVersion")
    ]


def test_a_check_that_is_not_permitted_is_a_warning(preflight: Preflight, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_fake() as aws:
        denied = {"__type": "AccessDeniedException", "Message": "not authorized to perform GetServiceQuota"}
        aws.on("/", Reply(denied, status=400))
        monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", aws.url)
        code, said = preflight.run()
    assert code == 0, said
    for subject in ("Elastic IP addresses", "VPCs"):
        assert f"warning: could not check {subject}: " in said
    assert "AccessDenied" in said


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_choices_agree_with_what_the_template_creates(stage: str) -> None:
    document = templates.transformed(stage)
    for given in ({}, {"Egress": "nat-per-zone"}, {"VpcId": "vpc-1", "PrivateSubnetIds": "subnet-01,subnet-02"}):
        kinds = {resource["Type"] for resource in document["Resources"].values()}
        made = set(Choices(document, given).list_resources(*kinds))
        assert made == set(Account(document, given).in_order())


def test_what_a_stage_has_already_is_not_questioned(operator: Operator) -> None:
    sync = operator.template["Resources"]["Sync"]["Properties"]
    sync["ReservedConcurrentExecutions"] = 1
    assert operator.deploy(1)[0] == 0
    grant(LAMBDA, 10)
    assert operator.deploy(2)[0] == 0
    sync["ReservedConcurrentExecutions"] = 3
    code, said = operator.deploy(3)
    assert code == 1
    assert "concurrency: Sync would reserve 2 more concurrent executions, but Lambda keeps 100" in said
    assert "9 of this one's 10 are: have the Lambda quota" in said


def test_a_database_is_questioned_when_it_changes_only(operator: Operator) -> None:
    operator.template["Parameters"]["DatabaseVersion"] = {"Type": "String", "Default": "18.4"}
    operator.template["Resources"]["Database"] = {
        "Type": "AWS::RDS::DBInstance",
        "Condition": "Never",
        "Properties": {"Engine": "postgres", "EngineVersion": "18.2", "DBInstanceClass": "db.t4g.micro"},
    }
    operator.template["Conditions"] = {"Never": {"Fn::Equals": [{"Ref": "DatabaseVersion"}, "18.2"]}}
    assert operator.deploy(1)[0] == 0
    assert operator.deploy(2)[0] == 0
    code, said = operator.deploy(3, "--parameters", "DatabaseVersion=18.2")
    assert code == 1
    assert "DatabaseVersion: RDS has no postgres 18.2" in said
