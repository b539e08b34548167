"""What plain `chalice deploy` runs on: the template is a part of the whole one, and its stack comes and goes."""

import json
from collections.abc import Iterator

import boto3
import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from deploy import changes, infrastructure
from deploy.cloud import DeployError, Stack
from deploy.infrastructure_template import infrastructure_template, references
from deploy.outputs import read_variable_output, variable_output
from tests.deploy.intrinsics import REGION, Account
from tests.deploy.projects import running_cloud
from tests.deploy.templates import finished

STAGES = ["dev", "prod"]
CHOICES: list[dict[str, str]] = [
    {},
    {"DatabaseEngine": "aurora-postgresql", "DatabaseStandby": "true"},
    {"DatabaseProxy": "true", "Egress": "nat"},
    {"VpcId": "vpc-0123", "PrivateSubnetIds": "subnet-01,subnet-02", "PrivateEndpoints": "false"},
    {"OtherKeyArns": "arn:aws:kms:eu-west-1:123456789012:key/2", "DataKeyInUse": "false"},
]
BUCKET = "ansel-releases"
GIVEN = ["--bucket", BUCKET, "--create-bucket", "--yes"]


@pytest.mark.parametrize("stage", STAGES)
def test_cfn_lint_finds_nothing(stage: str) -> None:
    assert lint(json.dumps(infrastructure_template(stage)), config=ManualArgs(regions=[REGION])) == []


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_no_combination_of_parameters_has_missing_or_circular_references(choice: dict[str, str]) -> None:
    account = Account(infrastructure_template("prod"), choice)
    assert account.broken_rules() == []
    assert account.dangling() == []
    assert account.in_order()


def test_its_resources_are_those_of_the_whole_template() -> None:
    whole, part = finished("prod")["Resources"], infrastructure_template("prod")["Resources"]
    changed = {name for name, each in part.items() if each != whole[name]}
    watching = {name for name in changed if part[name]["Type"] == "AWS::CloudWatch::Alarm"}
    assert changed - watching == {"DataKey"}
    stateful = {"Vpc", "Database", "DatabaseCluster", "SyncQueue", "DeadLetterQueue", "DataKey", "PlatformSecret"}
    assert stateful <= part.keys()
    kinds = {each["Type"] for each in part.values()}
    assert not [kind for kind in kinds if kind.startswith(("AWS::Lambda", "AWS::Serverless", "AWS::ApiGateway"))]


def test_alarms_name_functions_that_do_not_exist_yet() -> None:
    account = Account(infrastructure_template("dev"))
    metrics = account.value("Resources", "TickSilentAlarm", "Properties", "Metrics")
    (ticks,) = [each["MetricStat"]["Metric"] for each in metrics if each["Id"] == "all"]
    assert ticks["Dimensions"] == [{"Name": "FunctionName", "Value": "ansel-dev-tick"}]


def test_it_has_no_parameter_without_a_use() -> None:
    document = infrastructure_template("dev")
    used = set(references([document[section] for section in ("Resources", "Outputs", "Conditions")]))
    assert document["Parameters"].keys() - {"Stage"} == used & document["Parameters"].keys() - {"Stage"}
    assert "RequestsPerSecond" not in document["Parameters"]


def test_the_key_serves_roles_that_chalice_will_make_by_their_names() -> None:
    account = Account(infrastructure_template("dev"))
    rules = account.value("Resources", "DataKey", "Properties", "KeyPolicy", "Statement")
    served = {rule["Sid"]: rule for rule in rules if "ArnLike" in rule.get("Condition", {})}
    assert served.keys() == {"FunctionsOpenDataKeys", "AdminMakesDataKeys"}
    for rule in served.values():
        assert rule["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
        assert rule["Condition"]["StringEquals"] == {"kms:EncryptionContext:purpose": "data-key"}
    role = "arn:aws:iam::123456789012:role/ansel-dev-"
    makes = served["AdminMakesDataKeys"]["Condition"]["ArnLike"]["aws:PrincipalArn"]
    assert makes == [f"{role}admin", f"{role}AdminRole-*"]
    opens = served["FunctionsOpenDataKeys"]["Condition"]["ArnLike"]["aws:PrincipalArn"]
    assert set(opens) == {f"{role}{name}" for name in ("api_handler", "ApiHandlerRole-*", "sync", "SyncRole-*")} | {
        *makes
    }
    (deny,) = [rule for rule in rules if rule["Effect"] == "Deny"]
    assert deny["Principal"] == "*"


def test_outputs_name_each_variable_of_each_function() -> None:
    account = Account(infrastructure_template("dev"))
    read = {found: name for name in account.value("Outputs") if (found := read_variable_output(name))}
    assert {variable_output(*found) for found in read} == set(read.values())
    assert ("api", "TENANT_PROOF_SECRET_ARN") in read
    assert ("admin", "MIGRATION_DATABASE_SECRET_ARN") in read
    assert {name for name, variable in read if variable == "DATABASE_URL"} == {
        *("api", "tick", "sync", "maintenance", "admin"),
    }
    url = account.value("Outputs", read["tick", "DATABASE_URL"], "Value")
    assert url.startswith(
        "postgresql://ansel_tick@Database.Endpoint.Address:5432/ansel?sslmode=verify-full&sslrootcert="
    )
    assert not {variable for _, variable in read} & {"LOG_LEVEL", "PUBLIC_URL", "RETURN_URLS", "KEY_REQUEST_BURST"}
    assert account.value("Outputs", "SubnetIds", "Value") == "PrivateSubnetA,PrivateSubnetB"


def test_another_output_is_no_variable() -> None:
    assert [read_variable_output(name) for name in ("SyncQueueUrl", "AdminName", "DatabaseId")] == [None, None, None]


@pytest.fixture(scope="module")
def _cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running_cloud(tmp_path_factory.mktemp("cloud")):
        yield


def run(said: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and output."""
    code = infrastructure.main([arguments[0], "--stage", "dev", *arguments[1:]])
    captured = said.readouterr()
    return code, captured.out + captured.err


def status() -> str | None:
    found = boto3.client("cloudformation").describe_stacks()["Stacks"]
    return next((each["StackStatus"] for each in found if each["StackName"] == "ansel-dev-infrastructure"), None)


@pytest.mark.usefixtures("_cloud")
def test_its_stack_is_shown_created_updated_and_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    """One scenario, because a stack takes seconds."""
    code, said = run(capsys, "deploy", *GIVEN, "--dry-run")
    assert (code, status()) == (0, None)
    assert "add       Database  AWS::RDS::DBInstance" in said

    code, said = run(capsys, "deploy", *GIVEN)
    assert (code, status()) == (0, "CREATE_COMPLETE"), said
    assert "next: .venv/bin/python -m deploy.policies --stage dev --from-stack" in said
    assert run(capsys, "deploy", *GIVEN)[1].endswith("--from-stack\n")

    code, said = run(capsys, "deploy", *GIVEN, "--parameters", "DatabaseBackupDays=7")
    assert (code, status()) == (0, "UPDATE_COMPLETE"), said
    (database,) = boto3.client("rds").describe_db_instances()["DBInstances"]
    assert database["BackupRetentionPeriod"] == 7

    code, said = run(capsys, "deploy", *GIVEN, "--parameters", "LogLevel=DEBUG")
    assert code == 1
    assert "the template has no parameter LogLevel; it has " in said

    code, said = run(capsys, "delete", "--yes")
    assert (code, status()) == (0, None), said
    assert "AWS::KMS::Key" in said


@pytest.mark.usefixtures("_cloud")
def test_a_failed_creation_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = boto3.client("ec2").describe_subnets()["Subnets"]
    network = [f"VpcId={first['VpcId']}", f"PrivateSubnetIds={first['SubnetId']},{second['SubnetId']}"]
    queue = boto3.client("sqs").create_queue(QueueName="ansel-dev-sync", Attributes={"VisibilityTimeout": "1"})
    code, said = run(capsys, "deploy", *GIVEN, "--parameters", *network)
    assert (code, status()) == (1, None), said
    assert "deploy: SyncQueue (AWS::SQS::Queue): " in said
    assert "nothing that was created stays; fix the cause, then deploy again" in said
    boto3.client("sqs").delete_queue(QueueUrl=queue["QueueUrl"])


def test_a_failed_rollback_names_the_command_that_deletes_the_stack() -> None:
    failed = Stack("ansel-dev-infrastructure", "id", "ROLLBACK_FAILED", {}, {})
    with pytest.raises(DeployError, match=r"remove it with `python -m deploy.infrastructure delete --stage dev`"):
        changes.ensure_ready(failed, "dev-infrastructure")


@pytest.mark.usefixtures("_cloud")
def test_the_database_is_protected_once_it_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert infrastructure.main(["deploy", "--stage", "prod", *GIVEN, "--parameters", "Egress=nat"]) == 0
    (database,) = boto3.client("rds").describe_db_instances()["DBInstances"]
    assert database["DeletionProtection"]
    capsys.readouterr()


@pytest.mark.usefixtures("_cloud")
def test_it_stays_while_functions_run_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    role = boto3.client("iam").create_role(RoleName="ansel-dev", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    boto3.client("lambda").create_function(
        FunctionName="ansel-dev", Runtime="python3.13", Handler="app.app", Role=role, Code={"ZipFile": b""}
    )
    code, said = run(capsys, "delete", "--yes")
    assert (code, said) == (1, "deploy: its functions still exist: run `chalice delete --stage dev` first\n")


@pytest.mark.usefixtures("_cloud")
def test_a_stage_of_make_deploy_has_it_already(capsys: pytest.CaptureFixture[str]) -> None:
    topic = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {}}}
    document = {"Resources": topic, "Outputs": {"DataKeyArn": {"Value": "arn:aws:kms:us-east-1:123456789012:key/1"}}}
    boto3.client("cloudformation").create_stack(StackName="ansel-dev", TemplateBody=json.dumps(document))
    said = "deploy: ansel-dev was created by `make deploy`, which includes all of this\n"
    assert run(capsys, "deploy", *GIVEN) == (1, said)
    boto3.client("cloudformation").delete_stack(StackName="ansel-dev")


@pytest.mark.usefixtures("_cloud")
def test_an_unknown_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = infrastructure.main(["deploy", "--stage", "nowhere", *GIVEN])
    assert code == 1
    assert capsys.readouterr().err.startswith("deploy: nowhere is not a stage")


def test_without_a_terminal_nothing_changes_unconfirmed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "deploy", "--bucket", BUCKET, "--region", "us-east-1")[1].endswith("add --yes\n")
