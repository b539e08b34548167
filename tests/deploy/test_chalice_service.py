"""From an empty account to a running service with Chalice's own command, by the lines of docs/deploying.md."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from deploy.policies import FUNCTIONS
from dev.invocation import REGION, request_event
from migrations.privileges import LOGINS
from tests.conftest import Database
from tests.deploy.projects import chalice, clone, run_module, running_cloud

STAGE = ("--stage", "dev")
CHANGES = ("--bucket", "ansel-releases", "--create-bucket", "--yes")


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Path]:
    """A clone, and an empty account."""
    with running_cloud(tmp_path):
        yield clone(tmp_path / "project")


@pytest.fixture
def project(fresh: Database, tmp_path: Path) -> Iterator[Path]:
    databases = {role: fresh.url(role) for role in ("ansel_owner", *LOGINS)}
    with running_cloud(tmp_path, databases):
        yield clone(tmp_path / "project")


def outputs() -> dict[str, str]:
    found = boto3.client("cloudformation").describe_stacks(StackName="ansel-dev-infrastructure")["Stacks"][0]["Outputs"]
    return {output["OutputKey"]: output["OutputValue"] for output in found}


def settings(project: Path) -> Any:
    return json.loads((project / ".chalice" / "config.json").read_text())["stages"]["dev"]


def set_by_hand(project: Path, **variables: str) -> None:
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    config["stages"]["dev"]["environment_variables"].update(variables)
    path.write_text(json.dumps(config))


def put_certificates(project: Path) -> None:
    (project / "vendor" / "certificates").mkdir()
    (project / "vendor" / "certificates" / "rds.pem").write_text("the authorities")


def administer(project: Path, **command: str) -> Any:
    """As `echo '{"command": ...}' | chalice invoke` does."""
    return json.loads(chalice(project, "invoke", "-n", "admin", *STAGE, given=json.dumps(command)))


def get(path: str, key: str = "") -> tuple[int, Any]:
    """Asks the deployed API function, as API Gateway would."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    event = json.dumps(request_event("GET", path, headers))
    answer = json.loads(boto3.client("lambda").invoke(FunctionName="ansel-dev", Payload=event)["Payload"].read())
    return answer["statusCode"], json.loads(answer["body"])


def test_a_clone_becomes_a_running_service(project: Path) -> None:
    """One scenario, each step on what the previous one left."""
    run_module(project, "deploy.infrastructure", "deploy", *STAGE, *CHANGES)
    assert_settings_are_taken_from_the_stack(project)

    chalice(project, "deploy", *STAGE, PIP_NO_DEPS="1")
    assert_roles_have_rights_to_what_the_stack_made()
    assert get("/api/health")[1]["status"] != "ok"

    assert administer(project, command="migrate up")["complete"]
    run_module(project, "deploy.complete", *STAGE)
    assert_functions_are_complete()

    status, health = get("/api/health")
    assert (status, health["status"], health["migrations"]) == (200, "ok", "current")
    made = administer(project, command="studio create", name="Anna & Jo")
    assert get("/api/connections", made["apiKey"]) == (200, {"items": [], "nextCursor": None})
    assert get("/api/connections", "wrong")[0] == 401

    assert_a_second_deployment_keeps_what_is_set(project)
    chalice(project, "delete", *STAGE)
    run_module(project, "deploy.infrastructure", "delete", *STAGE, "--yes")
    assert boto3.client("sqs").list_queues().get("QueueUrls", []) == []


def assert_settings_are_taken_from_the_stack(project: Path) -> None:
    set_by_hand(project, RETURN_URLS="https://app.example.com", SYNC_QUEUE_URL="https://example.com/stale")
    refused = pytest.raises(AssertionError, match=r"nothing was written: vendor/certificates/rds\.pem does not exist")
    with refused:
        run_module(project, "deploy.policies", *STAGE, "--from-stack")
    assert "subnet_ids" not in settings(project)
    put_certificates(project)
    said = run_module(project, "deploy.policies", *STAGE, "--from-stack")
    assert "DATABASE_URL of tick" in said
    assert "RETURN_URLS" not in said
    found, made = settings(project), outputs()
    variables = found["environment_variables"]
    assert variables["RETURN_URLS"] == "https://app.example.com"
    assert "PUBLIC_URL" not in variables
    assert variables["SYNC_QUEUE_URL"] == made["SyncQueueUrl"]
    assert variables["KMS_KEY_IDS"] == made["DataKeyArn"]
    assert (found["subnet_ids"], found["security_group_ids"]) == (
        made["SubnetIds"].split(","),
        [made["SecurityGroupIds"]],
    )
    admin = found["lambda_functions"]["admin"]["environment_variables"]
    assert admin["MIGRATION_DATABASE_SECRET_ARN"] == made["OwnerSecretArn"]

    written = (project / ".chalice" / "config.json").read_text()
    assert "already as in the stack" in run_module(project, "deploy.policies", *STAGE, "--from-stack")
    assert (project / ".chalice" / "config.json").read_text() == written


def assert_roles_have_rights_to_what_the_stack_made() -> None:
    iam, made = boto3.client("iam"), outputs()
    policy = boto3.client("kms").get_key_policy(KeyId=made["DataKeyArn"], PolicyName="default")["Policy"]
    served = {arn for rule in json.loads(policy)["Statement"] for arn in _served(rule)}
    roles = {name: f"ansel-dev-{'api_handler' if name == 'api' else name}" for name in FUNCTIONS}
    for name, role in roles.items():
        document = json.dumps(iam.get_role_policy(RoleName=role, PolicyName=role)["PolicyDocument"])
        uses_key = made["DataKeyArn"] in document
        assert uses_key == (iam.get_role(RoleName=role)["Role"]["Arn"] in served), name
        assert uses_key == (made["TenantProofSecretArn"] in document)
    assert any(uses for uses in served)


def _served(rule: Any) -> list[str]:
    arns: list[str] = rule.get("Condition", {}).get("ArnLike", {}).get("aws:PrincipalArn", [])
    return arns


def assert_functions_are_complete() -> None:
    functions = boto3.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName="ansel-dev-sync")["EventSourceMappings"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 5}
    retries = {
        name: functions.get_function_event_invoke_config(FunctionName=f"ansel-dev-{name}")["MaximumRetryAttempts"]
        for name in ("tick", "maintenance", "admin")
    }
    assert retries == {"tick": 0, "maintenance": 1, "admin": 0}
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/ansel-dev")["logGroups"]
    assert {group["logGroupName"].removeprefix("/aws/lambda/ansel-dev") for group in groups} == {
        "" if name == "api" else f"-{name}" for name in FUNCTIONS
    }
    assert {group["retentionInDays"] for group in groups} == {30}


def assert_a_second_deployment_keeps_what_is_set(project: Path) -> None:
    set_by_hand(project, LOG_LEVEL="DEBUG")
    assert "dev in .chalice/config.json: PUBLIC_URL\n" in run_module(project, "deploy.policies", *STAGE, "--from-stack")
    chalice(project, "deploy", *STAGE, PIP_NO_DEPS="1")
    assert_functions_are_complete()
    deployed = boto3.client("lambda").get_function_configuration(FunctionName="ansel-dev-tick")
    variables = deployed["Environment"]["Variables"]
    assert variables["LOG_LEVEL"] == "DEBUG"
    assert f"{variables['PUBLIC_URL']}/" == chalice(project, "url", *STAGE).strip()
    run_module(project, "deploy.complete", *STAGE, "--sync-concurrency", "7", "--log-days", "60")
    (mapping,) = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 7}


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        (
            "deploy.policies",
            ["--from-stack"],
            "there is no complete stack ansel-dev-infrastructure in us-east-1: run `make",
        ),
        ("deploy.complete", [], "there is no function ansel-dev in us-east-1: run `chalice deploy` first"),
    ],
)
def test_a_step_too_early_says_which_one_comes_before(
    account: Path, module: str, arguments: list[str], said: str
) -> None:
    with pytest.raises(AssertionError, match=f"deploy: {said}"):
        run_module(account, module, *STAGE, *arguments)


def test_chalices_own_template_can_be_deployed(account: Path) -> None:
    run_module(account, "deploy.infrastructure", "deploy", *STAGE, *CHANGES)
    put_certificates(account)
    run_module(account, "deploy.policies", *STAGE, "--from-stack")
    chalice(account, "package", *STAGE, "--merge-template", ".chalice/policies/dev/names.json", "out")
    template = json.loads((account / "out" / "sam.json").read_text())
    assert lint(json.dumps(template), config=ManualArgs(regions=[REGION])) == []

    assert create_stack("ansel-dev", template, account / "out" / "deployment.zip") == "CREATE_COMPLETE"
    functions = boto3.client("lambda").list_functions()["Functions"]
    assert {function["FunctionName"].removeprefix("ansel-dev") for function in functions} == {
        "" if name == "api" else f"-{name}" for name in FUNCTIONS
    }
    policy = boto3.client("kms").get_key_policy(KeyId=outputs()["DataKeyArn"], PolicyName="default")["Policy"]
    served = [arn for rule in json.loads(policy)["Statement"] for arn in _served(rule)]
    roles = {function["FunctionName"]: function["Role"] for function in functions}
    uses = {name for name, role in roles.items() if any(fnmatchcase(role, pattern) for pattern in served)}
    assert uses == {"ansel-dev", "ansel-dev-sync", "ansel-dev-admin"}


def create_stack(name: str, template: Any, code: Path) -> str:
    """As `aws cloudformation package` and `deploy` do. Returns the stack's status."""
    boto3.client("s3").upload_file(str(code), "ansel-releases", "deployment.zip")
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": "ansel-releases", "Key": "deployment.zip"}
    cloudformation = boto3.client("cloudformation")
    change_set = cloudformation.create_change_set(
        StackName=name,
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    cloudformation.execute_change_set(ChangeSetName=change_set["Id"])
    return str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
