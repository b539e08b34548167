"""`chalice deploy` against the local AWS: a first deployment, a second, one with a function less, and deletion."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy import policies
from dev.invocation import ACCOUNT, REGION
from tests.deploy.projects import chalice, copy_project, running_cloud

NAMES = ("tick", "sync", "maintenance", "deliver", "admin")
FUNCTIONS = {"api": "ansel-dev", **{name: f"ansel-dev-{name}" for name in NAMES}}
INSIDE = FUNCTIONS.keys() - {"deliver"}
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:ansel-dev-sync"
KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0f1e2d3c"
QUEUES = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}"
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://ansel_api@db.example:5432/ansel?sslmode=verify-full",
    "DATABASE_AUTH": "iam",
    "KMS_KEY_IDS": KEY_ARN,
    "SYNC_QUEUE_URL": f"{QUEUES}/ansel-dev-sync",
    "TENANT_PROOF_SECRET_ARN": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:proof-AbCdEf",
}
OWN_ENVIRONMENT = {
    name: {"DATABASE_URL": f"postgresql://ansel_{name}@db.example:5432/ansel?sslmode=verify-full"}
    for name in ("tick", "sync", "maintenance", "admin")
}
OWN_ENVIRONMENT["admin"]["DEAD_LETTER_QUEUE_URL"] = f"{QUEUES}/ansel-dev-sync-dead"


def configure(project: Path) -> None:
    """The steps of docs/deploying.md before the first deployment."""
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    stage = config["stages"]["dev"]
    stage["environment_variables"].update(ENVIRONMENT)
    for name, environment in OWN_ENVIRONMENT.items():
        stage["lambda_functions"][name]["environment_variables"] = environment
    stage["subnet_ids"], stage["security_group_ids"] = ["subnet-1", "subnet-2"], ["sg-1"]
    path.write_text(json.dumps(config))
    policies.write("dev", "db-ABC123", project / ".chalice")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("chalice")
    with running_cloud(folder):
        for name in ("ansel-dev-sync", "ansel-dev-sync-dead"):
            boto3.client("sqs").create_queue(QueueName=name)
        project = copy_project(folder / "project")
        configure(project)
        chalice(project, "deploy", "--stage", "dev")
        yield project


def configuration(name: str) -> Any:
    return boto3.client("lambda").get_function_configuration(FunctionName=FUNCTIONS[name])


def mapping() -> Any:
    found = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert len(found) == 1
    return found[0]


def api_ids() -> list[str]:
    return [api["id"] for api in boto3.client("apigateway").get_rest_apis()["items"]]


def statements(name: str) -> dict[str, Any]:
    """The actions that the function's role allows, with the policy's placeholders."""
    iam = boto3.client("iam")
    role = configuration(name)["Role"].rpartition("/")[2]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    return {statement["Sid"]: statement for statement in document["Statement"]}


@pytest.mark.usefixtures("project")
def test_each_function_has_the_limits_architecture_network_and_environment_of_its_stage() -> None:
    found = {name: configuration(name) for name in FUNCTIONS}
    limits = {name: (made["MemorySize"], made["Timeout"]) for name, made in found.items()}
    assert limits == {
        "api": (1024, 29),
        "tick": (512, 55),
        "sync": (1024, 300),
        "maintenance": (512, 300),
        "deliver": (512, 35),
        "admin": (1024, 900),
    }
    for name in INSIDE:
        made = found[name]
        assert made["Architectures"] == ["arm64"]
        assert made["VpcConfig"]["SubnetIds"] == ["subnet-1", "subnet-2"]
        own = OWN_ENVIRONMENT.get(name, {})
        assert made["Environment"]["Variables"] == {"ANSEL_STAGE": "dev", **ENVIRONMENT, **own}


@pytest.mark.usefixtures("project")
def test_the_delivery_function_is_outside_the_stages_network_and_has_none_of_its_settings() -> None:
    made = configuration("deliver")
    assert not made.get("VpcConfig", {}).get("SubnetIds")
    variables = made["Environment"]["Variables"]
    assert {name: value for name, value in variables.items() if value} == {"ANSEL_STAGE": "dev"}
    assert statements("deliver").keys() == {"MakesItsLog", "Logs", "Traces"}
    assert statements("sync")["InvokesTheDeliveryFunction"]["Resource"].endswith(":function:ansel-dev-deliver")


@pytest.mark.usefixtures("project")
def test_each_function_has_its_own_role_with_only_its_policy() -> None:
    assert len({configuration(name)["Role"] for name in FUNCTIONS}) == len(FUNCTIONS)
    assert statements("sync")["TakesFromTheQueue"]["Resource"] == QUEUE_ARN
    assert statements("sync")["DataKeys"]["Resource"] == [KEY_ARN]
    database = f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:db-ABC123"
    for name in INSIDE:
        assert statements(name)["Database"]["Resource"] == f"{database}/ansel_{name}"
    assert "TakesFromTheQueue" not in statements("api")
    assert not {"DataKeys", "TakesFromTheQueue"} & statements("maintenance").keys()
    assert "${" not in json.dumps([statements(name) for name in FUNCTIONS])


@pytest.mark.usefixtures("project")
def test_scheduled_functions_have_a_rule_and_the_worker_has_its_queue() -> None:
    events = boto3.client("events")
    rules = {rule["Name"]: rule["ScheduleExpression"] for rule in events.list_rules()["Rules"]}
    assert rules == {"ansel-dev-tick-event": "rate(1 minute)", "ansel-dev-maintenance-event": "rate(1 day)"}
    for name in ("tick", "maintenance"):
        targets = events.list_targets_by_rule(Rule=f"ansel-dev-{name}-event")["Targets"]
        assert [target["Arn"] for target in targets] == [configuration(name)["FunctionArn"]]
    assert mapping()["EventSourceArn"] == QUEUE_ARN
    assert mapping()["BatchSize"] == 1
    reserved = boto3.client("lambda").get_function_concurrency(FunctionName="ansel-dev-tick")
    assert reserved["ReservedConcurrentExecutions"] == 1


def test_a_second_deployment_updates_in_place_and_keeps_manual_settings(project: Path) -> None:
    ids, worker = api_ids(), mapping()["UUID"]
    added = {"FunctionResponseTypes": ["ReportBatchItemFailures"], "ScalingConfig": {"MaximumConcurrency": 5}}
    functions = boto3.client("lambda")
    functions.update_event_source_mapping(UUID=worker, **added)
    functions.put_function_event_invoke_config(FunctionName="ansel-dev-tick", MaximumRetryAttempts=0)
    path = project / ".chalice" / "config.json"
    path.write_text(path.read_text().replace('"lambda_timeout": 300', '"lambda_timeout": 240'))
    chalice(project, "deploy", "--stage", "dev")
    assert configuration("sync")["Timeout"] == 240
    assert (api_ids(), mapping()["UUID"]) == (ids, worker)
    assert {name: mapping()[name] for name in added} == added
    assert functions.get_function_event_invoke_config(FunctionName="ansel-dev-tick")["MaximumRetryAttempts"] == 0


def test_a_function_no_longer_declared_is_deleted_with_its_rule_and_role(project: Path) -> None:
    app = project / "app.py"
    source = app.read_text()
    app.write_text(source.replace("app.register_blueprint(maintenance_worker)\n", ""))
    role = configuration("maintenance")["Role"].rpartition("/")[2]
    chalice(project, "deploy", "--stage", "dev")
    names = {function["FunctionName"] for function in boto3.client("lambda").list_functions()["Functions"]}
    assert names == set(FUNCTIONS.values()) - {"ansel-dev-maintenance"}
    assert role not in {role["RoleName"] for role in boto3.client("iam").list_roles()["Roles"]}
    assert [rule["Name"] for rule in boto3.client("events").list_rules()["Rules"]] == ["ansel-dev-tick-event"]
    app.write_text(source)
    chalice(project, "deploy", "--stage", "dev")
    assert configuration("maintenance")["Timeout"] == 240


def test_deleting_leaves_only_the_queues(project: Path) -> None:
    chalice(project, "delete", "--stage", "dev")
    assert boto3.client("lambda").list_functions()["Functions"] == []
    assert boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"] == []
    assert boto3.client("iam").list_roles()["Roles"] == []
    assert boto3.client("events").list_rules()["Rules"] == []
    assert api_ids() == []
    assert len(boto3.client("sqs").list_queues()["QueueUrls"]) == 2
