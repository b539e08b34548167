"""The product's own template, deployed to the local AWS: its state after deployment, update and deletion."""

import copy
import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib.settings import parse_proof_keys
from deploy import stack
from deploy.contents import CERTIFICATES
from tests.deploy import templates
from tests.deploy.projects import running_cloud, write_package
from tests.http_fake import Reply, http_fake

ADMIN = 'def admin(event, context):\n    return {"version": %d}\n'
FUNCTIONS = {
    "ansel-prod": "app.app",
    "ansel-prod-tick": "chalicelib.workers.tick.tick",
    "ansel-prod-sync": "chalicelib.workers.sync.sync",
    "ansel-prod-maintenance": "chalicelib.workers.maintenance.maintenance",
    "ansel-prod-admin": "chalicelib.workers.admin.admin",
    "ansel-prod-deliver": "chalicelib.workers.deliveries.deliver",
}
OUTSIDE = "ansel-prod-deliver"
"""The function that connects to URLs of studios"""
INSIDE = FUNCTIONS.keys() - {OUTSIDE}


def deploy(folder: Path, template: dict[str, Any], version: int, *parameters: str) -> int:
    package = write_package(folder / str(version), template, ADMIN % version, CERTIFICATES)
    with http_fake() as api:
        api.on("/api/health", Reply({"status": "ok"}))
        where = ["--stage", "prod", "--bucket", "releases", "--create-bucket", "--url", api.url]
        given = ["--parameters", "RequestsPerSecond=50", *parameters]
        return stack.main(["deploy", *where, "--package", str(package), "--yes", *given])


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("whole")
    with running_cloud(folder):
        assert deploy(folder, copy.deepcopy(templates.finished("prod")), 1) == 0
        yield folder


def configuration(function: str) -> Any:
    return boto3.client("lambda").get_function_configuration(FunctionName=function)


def outputs() -> dict[str, str]:
    found = boto3.client("cloudformation").describe_stacks(StackName="ansel-prod")["Stacks"][0]["Outputs"]
    return {output["OutputKey"]: output["OutputValue"] for output in found}


def resource(logical_id: str) -> str:
    found = boto3.client("cloudformation").describe_stack_resource(StackName="ansel-prod", LogicalResourceId=logical_id)
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


@pytest.mark.usefixtures("deployed")
def test_each_function_has_its_handler_network_tracing_and_own_role() -> None:
    found = {name: configuration(name) for name in FUNCTIONS}
    assert {name: function["Handler"] for name, function in found.items()} == FUNCTIONS
    assert len({function["Role"] for function in found.values()}) == len(FUNCTIONS)
    for name, function in found.items():
        assert function["Architectures"] == ["arm64"]
        assert len(function.get("VpcConfig", {}).get("SubnetIds", [])) == (0 if name == OUTSIDE else 2)
        assert function["TracingConfig"]["Mode"] == "Active"
        assert function["MemorySize"] >= 512
        assert function["Timeout"] > 20


@pytest.mark.usefixtures("deployed")
def test_each_function_has_the_environment_that_it_reads() -> None:
    environment = {name: configuration(name)["Environment"]["Variables"] for name in INSIDE}
    queue, dead_letters = outputs()["SyncQueueUrl"], outputs()["DeadLetterQueueUrl"]
    for name, variables in environment.items():
        assert variables["ANSEL_STAGE"] == "prod"
        assert variables["PUBLIC_URL"] == outputs()["EndpointURL"].removesuffix("/")
        assert variables["DATABASE_AUTH"] == "iam"
        assert variables["SYNC_QUEUE_URL"] == queue
        assert variables["KMS_KEY_IDS"] == outputs()["DataKeyArn"]
        assert variables["PLATFORM_SECRETS_ARN"] == outputs()["PlatformSecretArn"]
        assert variables["TENANT_PROOF_SECRET_ARN"] == outputs()["TenantProofSecretArn"]
        role = f"ansel_{name.removeprefix('ansel-prod').lstrip('-') or 'api'}"
        assert variables["DATABASE_URL"].startswith(f"postgresql://{role}@{outputs()['DatabaseEndpoint']}:5432/ansel?")
        assert "sslmode=verify-full" in variables["DATABASE_URL"]
    admin = environment["ansel-prod-admin"]
    assert admin["DEAD_LETTER_QUEUE_URL"] == dead_letters
    assert admin["MIGRATION_DATABASE_SECRET_ARN"] == outputs()["OwnerSecretArn"]
    assert [name for name, variables in environment.items() if "MIGRATION_DATABASE_URL" in variables] == [
        "ansel-prod-admin"
    ]
    assert configuration(OUTSIDE)["Environment"]["Variables"] == {"ANSEL_STAGE": "prod", "LOG_LEVEL": "INFO"}


@pytest.mark.usefixtures("deployed")
def test_the_queue_feeds_the_worker_and_messages_fail_individually() -> None:
    mappings = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert len(mappings) == 1
    assert mappings[0]["FunctionArn"].endswith(":ansel-prod-sync")
    assert mappings[0]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert int(mappings[0]["ScalingConfig"]["MaximumConcurrency"]) >= 2


@pytest.mark.usefixtures("deployed")
def test_a_message_that_fails_five_times_becomes_a_dead_letter() -> None:
    sqs = boto3.client("sqs")

    def attributes(url: str) -> dict[str, str]:
        found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return found

    queue, dead_letters = attributes(outputs()["SyncQueueUrl"]), attributes(outputs()["DeadLetterQueueUrl"])
    redrive = json.loads(queue["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead_letters["QueueArn"]
    assert int(redrive["maxReceiveCount"]) == 5
    assert int(queue["VisibilityTimeout"]) >= 6 * configuration("ansel-prod-sync")["Timeout"]


@pytest.mark.usefixtures("deployed")
def test_the_key_rotates_and_serves_data_keys_only() -> None:
    kms = boto3.client("kms")
    key = outputs()["DataKeyArn"]
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    uses = [rule for rule in policy["Statement"] if rule["Effect"] == "Allow" and "kms:Decrypt" in rule["Action"]]
    assert [rule["Condition"] for rule in uses] == [{"StringEquals": {"kms:EncryptionContext:purpose": "data-key"}}]
    assert kms.describe_key(KeyId="alias/ansel-prod")["KeyMetadata"]["Arn"] == key


@pytest.mark.usefixtures("deployed")
def test_the_database_is_private_encrypted_and_logged_into_with_iam() -> None:
    found = boto3.client("rds").describe_db_instances()["DBInstances"]
    assert len(found) == 1
    database = found[0]
    assert database["StorageEncrypted"]
    assert database["DeletionProtection"]
    assert database["IAMDatabaseAuthenticationEnabled"]
    assert not database["PubliclyAccessible"]
    assert database["MasterUserSecret"]["SecretArn"] == outputs()["OwnerSecretArn"]
    group = database["DBParameterGroups"][0]["DBParameterGroupName"]
    settings = boto3.client("rds").describe_db_parameters(DBParameterGroupName=group)["Parameters"]
    assert {setting["ParameterName"]: setting["ParameterValue"] for setting in settings}["rds.force_ssl"] == "1"


@pytest.mark.usefixtures("deployed")
def test_scheduled_functions_have_a_rule_and_run_one_at_a_time_and_commands_three() -> None:
    events = boto3.client("events")
    rules = {rule["Name"]: rule["ScheduleExpression"] for rule in events.list_rules()["Rules"]}
    assert sorted(rules.values()) == ["rate(1 day)", "rate(1 minute)"]
    targets = {events.list_targets_by_rule(Rule=name)["Targets"][0]["Arn"].rpartition(":")[2] for name in rules}
    assert targets == {"ansel-prod-tick", "ansel-prod-maintenance"}
    functions = boto3.client("lambda")
    reserved = {
        name: functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        for name in FUNCTIONS
    }
    unreserved = dict.fromkeys(("ansel-prod-sync", "ansel-prod-deliver"))
    limits = dict.fromkeys(targets, 1) | {"ansel-prod-admin": 3, "ansel-prod": 100} | unreserved
    assert reserved == limits


@pytest.mark.usefixtures("deployed")
def test_logs_have_retention_and_alarms_reach_the_topic() -> None:
    groups = boto3.client("logs").describe_log_groups()["logGroups"]
    kept = {group["logGroupName"]: group.get("retentionInDays") for group in groups}
    assert {name: kept[f"/aws/lambda/{name}"] for name in FUNCTIONS} == dict.fromkeys(FUNCTIONS, 30)
    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {"ansel-prod-dead-letters", "ansel-prod-schedule-lag", "ansel-prod-tick-silent"} <= {
        alarm["AlarmName"] for alarm in alarms
    }
    assert {tuple(alarm["AlarmActions"]) for alarm in alarms} == {(outputs()["AlarmTopicArn"],)}


@pytest.mark.usefixtures("deployed")
def test_every_route_reaches_the_api_function() -> None:
    from app import app

    gateway = boto3.client("apigateway")
    resources = gateway.get_resources(restApiId=resource("RestAPI"), limit=500)["items"]
    paths = {found["path"]: set(found.get("resourceMethods", {})) for found in resources}
    assert {path: methods for path, methods in paths.items() if methods} == {
        path: set(routes) for path, routes in app.routes.items()
    }


def test_an_update_changes_functions_in_place_and_leaves_data_alone(deployed: Path) -> None:
    names = ("Database", "DataKey", "PlatformSecret", "TenantProofSecret", "RestAPI", "SyncQueue")
    stays = {name: resource(name) for name in names}
    secrets = boto3.client("secretsmanager")
    secrets.put_secret_value(SecretId=stays["PlatformSecret"], SecretString='{"YELP_API_KEY": "y"}')
    proof = secrets.get_secret_value(SecretId=stays["TenantProofSecret"])["SecretString"]
    assert parse_proof_keys(json.loads(proof)["TENANT_PROOF_KEYS"])
    template = copy.deepcopy(templates.finished("prod"))
    template["Resources"]["Sync"]["Properties"]["MemorySize"] = 2048
    assert deploy(deployed, template, 2) == 0
    assert configuration("ansel-prod-sync")["MemorySize"] == 2048
    code = b64encode(sha256((deployed / "2" / "deployment.zip").read_bytes()).digest()).decode()
    assert {configuration(name)["CodeSha256"] for name in FUNCTIONS} == {code}
    assert {name: resource(name) for name in stays} == stays
    assert secrets.get_secret_value(SecretId=stays["PlatformSecret"])["SecretString"] == '{"YELP_API_KEY": "y"}'
    assert secrets.get_secret_value(SecretId=stays["TenantProofSecret"])["SecretString"] == proof


def test_deleting_leaves_the_key_and_the_platforms_credentials(
    deployed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, secret, proof = resource("DataKey"), resource("PlatformSecret"), resource("TenantProofSecret")
    template = copy.deepcopy(templates.finished("prod"))
    assert deploy(deployed, template, 3, "DatabaseDeletionProtection=false") == 0
    capsys.readouterr()
    assert stack.main(["delete", "--stage", "prod", "--yes"]) == 0
    stays = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert f"  AWS::KMS::Key {key} (RetainExceptOnCreate)" in stays
    assert f"  AWS::SecretsManager::Secret {secret} (RetainExceptOnCreate)" in stays
    assert f"  AWS::SecretsManager::Secret {proof} (RetainExceptOnCreate)" in stays
    assert boto3.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    assert boto3.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    assert boto3.client("lambda").list_functions()["Functions"] == []
    assert boto3.client("rds").describe_db_instances()["DBInstances"] == []
    assert len(boto3.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]) == 1
