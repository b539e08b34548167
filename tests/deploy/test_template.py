"""The template: all parameters work together, rights are minimal, functions and alarms have what they depend on."""

import json
import re
import string
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from chalicelib.aws_requests import CONNECT_SECONDS
from chalicelib.data.postgres.tenants import FIELD
from chalicelib.security import outbound
from chalicelib.services import delivery_function
from chalicelib.services.webhook_deliveries import NEEDED_MS
from chalicelib.settings import BaseSettings, Settings, parse_proof_keys
from deploy import template
from dev.invocation import DELIVERY_TIMEOUT_SECONDS, WORKER_TIMEOUT_SECONDS
from tests.conftest import ROOT
from tests.deploy import templates
from tests.deploy.conftest import Package
from tests.deploy.intrinsics import Account
from tests.deploy.templates import finished, transformed

STAGES = ["dev", "prod"]
FUNCTIONS = {
    "APIHandler": "ansel-{}",
    "Tick": "ansel-{}-tick",
    "Sync": "ansel-{}-sync",
    "Maintenance": "ansel-{}-maintenance",
    "Deliver": "ansel-{}-deliver",
    "Admin": "ansel-{}-admin",
}
OUTSIDE = "Deliver"
"""The function that connects to URLs of studios: outside the VPC, and with nothing to reach from there."""
INSIDE = FUNCTIONS.keys() - {OUTSIDE}
UNBOUND = {
    "ec2:CreateNetworkInterface": "Lambda makes interfaces before they have an id, and checks for the right to all",
    "ec2:DescribeNetworkInterfaces": "EC2 lets nothing be described by ARN",
    "ec2:DescribeSubnets": "as above",
    "ec2:DeleteNetworkInterface": "Lambda refuses a role that may not delete each of them",
    "ec2:AssignPrivateIpAddresses": "as with CreateNetworkInterface",
    "ec2:UnassignPrivateIpAddresses": "as with CreateNetworkInterface",
    "xray:PutTraceSegments": "X-Ray has no resources to name",
    "xray:PutTelemetryRecords": "as above",
}
"""Actions that a function may be allowed on all resources, and why."""
CHOICES: list[dict[str, str]] = [
    {},
    {"DatabaseEngine": "aurora-postgresql", "DatabaseStandby": "true"},
    {"DatabaseProxy": "true", "Egress": "nat"},
    {"DatabaseEngine": "aurora-postgresql", "DatabaseProxy": "true", "DatabaseStandby": "false"},
    {"VpcId": "vpc-0123", "PrivateSubnetIds": "subnet-01,subnet-02", "PrivateEndpoints": "false"},
    {"Egress": "none", "PrivateEndpoints": "true"},
    {"Egress": "nat-per-zone", "Firewall": "true", "AccessLog": "true", "AlarmEmail": "operations@example.com"},
    {"DomainName": "api.example.com", "DomainCertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/1"},
    {"OtherKeyArns": "arn:aws:kms:eu-west-1:123456789012:key/2", "ReserveConcurrency": "false", "ApiConcurrency": "50"},
    {"OtherKeyArns": "arn:aws:kms:eu-west-1:123456789012:key/2", "DataKeyInUse": "false"},
    {"DatabaseSnapshot": "before-the-mistake", "PublicUrl": "https://api.example.com/v1"},
]


def test_make_package_writes_the_template_tested_here(package: Package) -> None:
    written = yaml.safe_load((package.folder / "template.yaml").read_text())
    for function in of_type(written, "AWS::Serverless::Function").values():
        assert function["Properties"].pop("CodeUri") == "./deployment.zip"
        function["Properties"].update(CodeUri="deployment.zip", Architectures=["arm64"])  # this machine's was packaged
    assert written == finished("prod")


def of_type(document: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: made for name, made in document["Resources"].items() if made["Type"] == kind}


def statements(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    policies = [(name, policy["Properties"]) for name, policy in of_type(document, "AWS::IAM::Policy").items()]
    for name, role in of_type(document, "AWS::IAM::Role").items():
        policies += [(name, policy) for policy in role["Properties"]["Policies"]]
    for name, policy in policies:
        for statement in policy["PolicyDocument"]["Statement"]:
            yield name, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_a_reference_to_a_missing_resource_is_detected() -> None:
    document = json.loads(json.dumps(transformed("dev")))
    document["Resources"]["DeadLetterQueue"]["Condition"] = "HasFirewall"
    assert "QueuePolicy -> DeadLetterQueue" in Account(document).dangling()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_no_combination_of_parameters_has_missing_or_circular_references(stage: str, choice: dict[str, str]) -> None:
    account = Account(transformed(stage), choice)
    assert account.broken_rules() == []
    assert account.dangling() == []
    assert account.in_order()


@pytest.mark.parametrize(
    ("choice", "rule"),
    [
        ({"VpcId": "vpc-0123"}, "VpcId needs PrivateSubnetIds"),
        ({"Egress": "none", "PrivateEndpoints": "false"}, "Without egress"),
        ({"DomainName": "api.example.com"}, "DomainName needs DomainCertificateArn"),
    ],
)
def test_impossible_parameters_are_refused_before_anything_is_created(choice: dict[str, str], rule: str) -> None:
    (broken,) = Account(finished("dev"), choice).broken_rules()
    assert broken.startswith(rule)


@pytest.mark.parametrize(
    ("subnets", "taken"),
    [("subnet-none", True), ("subnet-0a,subnet-0b", True), ("subnet-0a", False), ("subnet-0a, subnet-0b", False)],
)
def test_an_existing_network_needs_at_least_two_subnets(subnets: str, taken: bool) -> None:
    pattern = finished("dev")["Parameters"]["PrivateSubnetIds"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, subnets)) == taken


def test_rules_use_only_functions_that_cloudformation_allows_in_them() -> None:
    # For lists there are Fn::Contains and Fn::EachMember..., with literal lists or Fn::RefAll.
    used = set(re.findall(r'"(Ref|Condition|Fn::\w+)"', json.dumps(finished("dev")["Rules"])))
    assert used == {"Ref", "Fn::And", "Fn::Equals", "Fn::Not"}


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_settings_load_from_the_environment_of_every_function(choice: dict[str, str]) -> None:
    account = Account(transformed("prod"), choice)
    for name in INSIDE:
        environ = account.value("Resources", name, "Properties", "Environment", "Variables")
        settings = Settings.from_environ({key: str(value) for key, value in environ.items()})
        role = f"ansel_{'api' if name == 'APIHandler' else name.lower()}"
        through_proxy = choice.get("DatabaseProxy") == "true"
        assert settings.database.auth == "iam"
        assert settings.database.url.reveal().startswith(f"postgresql://{role}@")
        assert ("sslrootcert=/var/task/certificates/rds.pem" in settings.database.url.reveal()) != through_proxy
        others = [choice["OtherKeyArns"]] if "OtherKeyArns" in choice else []
        assert list(settings.kms_key_ids[-len(others) :] if others else []) == others
        assert len(settings.kms_key_ids) == len(others) + (choice.get("DataKeyInUse") != "false")


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_delivery_function_has_no_network_no_settings_and_no_rights(choice: dict[str, str]) -> None:
    account = Account(transformed("prod"), choice)
    properties = transformed("prod")["Resources"][OUTSIDE]["Properties"]
    assert "VpcConfig" not in properties
    environ = account.value("Resources", OUTSIDE, "Properties", "Environment", "Variables")
    assert environ == {"ANSEL_STAGE": "prod", "LOG_LEVEL": "INFO"}
    assert BaseSettings.base_from_environment(environ) == BaseSettings(stage="prod")
    role = properties["Role"]["Fn::GetAtt"][0]
    assert f"{role}Policy" not in transformed("prod")["Resources"]
    rights = [statement for name, statement in statements(transformed("prod")) if name == role]
    assert {action for statement in rights for action in as_list(statement["Action"])} == {
        *("logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords")
    }
    assert not transformed("prod")["Resources"][role]["Properties"].get("ManagedPolicyArns")


def test_only_the_worker_may_invoke_a_function_and_only_the_delivery_function() -> None:
    account = Account(finished("prod"))
    invoking = {
        name: account.resolve(statement["Resource"])
        for name, statement in statements(finished("prod"))
        if "lambda:InvokeFunction" in as_list(statement["Action"])
    }
    (arn,) = invoking.values()
    assert arn.endswith(":function:ansel-prod-deliver")
    assert invoking.keys() == {finished("prod")["Resources"]["Sync"]["Properties"]["Role"]["Fn::GetAtt"][0]}


def test_the_delivery_function_outlasts_every_receiver_and_the_worker_outlasts_the_function() -> None:
    timeout = finished("prod")["Resources"][OUTSIDE]["Properties"]["Timeout"]
    assert outbound.LONGEST_SECONDS < timeout < delivery_function.TIMEOUT_SECONDS
    assert delivery_function.TIMEOUT_SECONDS + CONNECT_SECONDS < NEEDED_MS / 1000
    assert timeout == DELIVERY_TIMEOUT_SECONDS
    assert (
        min(WORKER_TIMEOUT_SECONDS, finished("prod")["Resources"]["Sync"]["Properties"]["Timeout"]) > NEEDED_MS / 1000
    )


def test_without_egress_the_worker_reaches_the_delivery_function_through_an_endpoint() -> None:
    for choice, made in (({"Egress": "none", "PrivateEndpoints": "true"}, True), ({}, False)):
        account = Account(transformed("prod"), choice)
        assert ("FunctionEndpoint" in account.in_order()) == made


@pytest.mark.parametrize("stage", STAGES)
def test_a_template_is_valid_for_one_stage_only(stage: str) -> None:
    assert finished(stage)["Parameters"]["Stage"]["AllowedValues"] == [stage]
    other = "dev" if stage == "prod" else "prod"
    with pytest.raises(ValueError, match=f"packaged for {stage}, not for {other}"):
        template.finished(templates.packaged(stage), other)


def as_documented(values: list[Any]) -> str:
    texts = [f"`{value}`" if str(value) else "empty" for value in values]
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def test_every_parameter_is_described_in_the_template_and_documented() -> None:
    documented = (ROOT / "docs" / "infrastructure.md").read_text()
    for name, parameter in finished("prod")["Parameters"].items():
        assert parameter["Description"].endswith("."), name
        defaults = [finished(stage)["Parameters"][name]["Default"] for stage in STAGES]
        assert f"| `{name}` | {as_documented(defaults)} | " in documented


@pytest.mark.parametrize("stage", STAGES)
def test_every_function_has_a_name_log_retention_tracing_and_its_own_role(stage: str) -> None:
    document = finished(stage)
    functions = of_type(document, "AWS::Serverless::Function")
    assert set(functions) == set(FUNCTIONS)
    roles = [function["Properties"]["Role"]["Fn::GetAtt"][0] for function in functions.values()]
    assert len(set(roles)) == len(functions)
    account = Account(document)
    for name, function in functions.items():
        properties = function["Properties"]
        expected = FUNCTIONS[name].format(stage)
        assert account.value("Resources", name, "Properties", "FunctionName") == expected
        log = properties["LoggingConfig"]["LogGroup"]["Ref"]
        assert account.value("Resources", log, "Properties", "LogGroupName") == f"/aws/lambda/{expected}"
        assert document["Resources"][log]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        assert properties["Tracing"] == "Active"
        if name in INSIDE:
            assert function["DependsOn"] in document["Resources"], "its rights come before it"


def test_a_role_gets_network_rights_before_its_function_is_created() -> None:
    account = Account(finished("prod"))
    order = account.in_order()
    functions = of_type(finished("prod"), "AWS::Serverless::Function")
    for name in INSIDE:
        role = functions[name]["Properties"]["Role"]["Fn::GetAtt"][0]
        (early,) = finished("prod")["Resources"][role]["Properties"]["Policies"]
        assert "ec2:CreateNetworkInterface" in json.dumps(early)
        assert early["PolicyName"] != finished("prod")["Resources"][f"{role}Policy"]["Properties"]["PolicyName"]
        assert account.needs(role) == set()
        assert order.index("Database") < order.index(f"{role}Policy")


def test_no_right_is_wider_than_necessary() -> None:
    for name, statement in statements(finished("prod")):
        wide = [resource for resource in as_list(statement["Resource"]) if resource == "*"]
        actions = as_list(statement["Action"])
        assert not [action for action in actions if "*" in action], name
        assert not wide or set(actions) <= UNBOUND.keys(), (name, statement)


def test_a_function_being_deleted_cannot_recreate_its_log_group() -> None:
    assert "logs:CreateLogGroup" not in json.dumps([statement for _, statement in statements(finished("prod"))])


def test_a_functions_own_code_may_not_touch_the_network_interfaces() -> None:
    account = Account(finished("prod"))
    denied = [(name, statement) for name, statement in statements(finished("prod")) if statement["Effect"] == "Deny"]
    assert len(denied) == len(INSIDE)
    for name, statement in denied:
        function = next(key for key in FUNCTIONS if name.lower().startswith(key.lower()[:3]))
        arn = account.resolve(statement["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"])
        assert arn.endswith(f":function:{FUNCTIONS[function].format('prod')}")
        assert set(statement["Action"]) == {action for action in UNBOUND if action.startswith("ec2:")}


def test_the_key_is_used_only_with_the_encryption_context() -> None:
    document = finished("prod")
    context = {"kms:EncryptionContext:purpose": "data-key"}
    by_key = document["Resources"]["DataKey"]["Properties"]["KeyPolicy"]["Statement"]
    uses = {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKey*", "kms:ReEncrypt*"}
    for statement in by_key + [statement for _, statement in statements(document)]:
        if uses.intersection(as_list(statement["Action"])):
            operator = "StringEquals" if statement["Effect"] == "Allow" else "StringNotEquals"
            assert statement["Condition"] == {operator: context}
    assert not any("kms:*" in as_list(statement["Action"]) for statement in by_key)
    (deny,) = [statement for statement in by_key if statement["Effect"] == "Deny"]
    assert deny["Principal"] == "*"
    assert document["Resources"]["DataKey"]["Properties"]["EnableKeyRotation"] is True


def test_irreplaceable_resources_survive_mistakes() -> None:
    resources = finished("prod")["Resources"]
    for name, policy in {
        "DataKey": "Retain",
        "PlatformSecret": "Retain",
        "TenantProofSecret": "Retain",
        "Database": "Snapshot",
        "DatabaseCluster": "Snapshot",
    }.items():
        assert resources[name]["DeletionPolicy"].removesuffix("ExceptOnCreate") == policy
        assert resources[name]["UpdateReplacePolicy"] == policy


def test_nothing_is_retained_of_a_creation_that_fails() -> None:
    for stage in STAGES:
        for name, resource in transformed(stage)["Resources"].items():
            assert resource.get("DeletionPolicy") != "Retain", name


def test_the_platforms_secret_has_one_text_in_every_release() -> None:
    resources = finished("prod")["Resources"]
    assert resources["PlatformSecret"]["Properties"]["SecretString"] == "{}", (
        "another text would overwrite what is there"
    )


def test_the_key_that_proves_a_studio_is_created_with_the_stack_and_is_valid() -> None:
    resources = finished("prod")["Resources"]
    made = resources["TenantProofSecret"]["Properties"]["GenerateSecretString"]
    assert (made["SecretStringTemplate"], made["GenerateStringKey"]) == ("{}", FIELD)
    assert made["ExcludePunctuation"] is True
    key = (string.ascii_letters + string.digits)[: made["PasswordLength"]].ljust(made["PasswordLength"], "0")
    assert [known.reveal() for known in parse_proof_keys(key)] == [key]


def test_a_message_stays_hidden_six_times_as_long_as_a_worker_may_take() -> None:
    resources = finished("prod")["Resources"]
    queue = resources["SyncQueue"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * resources["Sync"]["Properties"]["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    source = resources["Sync"]["Properties"]["Events"]["SyncSqsEventSource"]["Properties"]
    assert source["Queue"] == {"Fn::Sub": "${SyncQueue.Arn}"}
    assert source["BatchSize"] == 1
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_asynchronous_invocations_are_retried_only_where_intended() -> None:
    document = transformed("prod")
    retries = {
        made["Properties"]["FunctionName"]["Ref"]: made["Properties"]["MaximumRetryAttempts"]
        for made in of_type(document, "AWS::Lambda::EventInvokeConfig").values()
    }
    assert retries == {"Tick": 0, "Admin": 0, "Deliver": 0, "Maintenance": 1}
    targets = {
        target["Arn"]["Fn::GetAtt"][0]: target["RetryPolicy"]["MaximumRetryAttempts"]
        for rule in of_type(document, "AWS::Events::Rule").values()
        for target in rule["Properties"]["Targets"]
    }
    assert targets == {"Tick": 0, "Maintenance": 4}
    triggers = {
        made["Properties"]["FunctionName"].get("Ref") for made in of_type(document, "AWS::Lambda::Permission").values()
    }
    assert not {"Admin", "Deliver"} & triggers


def test_the_files_declare_nothing_twice(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in template.FOLDER.rglob("*.yaml"):
        copy = tmp_path / path.relative_to(template.FOLDER)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text())
    (tmp_path / "zzz.yaml").write_text("Resources: {SyncQueue: {Type: AWS::SQS::Queue}}")
    monkeypatch.setattr(template, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"zzz\.yaml declares SyncQueue a second time"):
        template.resources("dev")


def test_the_local_stage_has_no_template() -> None:
    with pytest.raises(ValueError, match="local is not a stage that is deployed"):
        template.resources("local")
