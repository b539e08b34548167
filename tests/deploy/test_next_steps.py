"""`python -m deploy.stack next`, and the end of a first deployment: commands that work as they are."""

import json
import re
import shlex

import boto3
import msgspec
import pytest

from chalicelib.services.operations.commands.studios import CreateStudio
from chalicelib.settings import KEYED_PLATFORMS, OAUTH_PLATFORMS, oauth_clients, platform_api_keys
from deploy import next_steps
from deploy.cloud import Stack
from tests.conftest import ROOT
from tests.deploy.small_stage import Operator

TOPIC = "arn:aws:sns:eu-central-1:123456789012:alarms"


def stack(parameters: dict[str, str] | None = None, **outputs: str) -> Stack:
    own = {"EndpointURL": "https://abc123.execute-api.eu-central-1.amazonaws.com/v1/", "AlarmTopicArn": TOPIC}
    return Stack("ansel-prod", "id", "CREATE_COMPLETE", parameters or {}, {**own, **outputs})


def described(parameters: dict[str, str] | None = None, **outputs: str) -> str:
    return next_steps.describe("prod", "eu-central-1", stack(parameters, **outputs))


def commands(text: str) -> list[list[str]]:
    joined = text.replace("\\\n", " ")
    return [shlex.split(line.split(" && ")[0]) for line in joined.splitlines() if line.startswith("aws ")]


def test_the_credentials_are_all_those_that_the_settings_read() -> None:
    assert set(oauth_clients(next_steps.CREDENTIALS)) == set(OAUTH_PLATFORMS)
    assert set(platform_api_keys(next_steps.CREDENTIALS)) == set(KEYED_PLATFORMS)
    shown = re.search(r"^\{.*?^\}", described(PlatformSecretArn="arn:secret"), re.MULTILINE | re.DOTALL)
    assert shown
    assert json.loads(shown[0]) == next_steps.CREDENTIALS


@pytest.mark.parametrize(
    ("parameters", "base"),
    [
        ({}, "https://abc123.execute-api.eu-central-1.amazonaws.com/v1"),
        ({"DomainName": "api.example.com"}, "https://api.example.com"),
        ({"DomainName": "api.example.com", "PublicUrl": "https://www.example.com/api"}, "https://www.example.com/api"),
    ],
)
def test_the_urls_to_register_are_the_products_own_routes(parameters: dict[str, str], base: str) -> None:
    from app import app

    urls = [url for _, _, url in next_steps.list_urls(base)]
    assert f"{base}/api/oauth/google/callback" in urls
    routes = [re.compile(re.sub(r"\{\w+\}", "[a-z-]+", path)) for path in app.routes]
    for url in urls:
        path = url.removeprefix(base)
        assert any(route.fullmatch(path) for route in routes), path
        assert url in described(parameters)
    documented = (ROOT / "docs" / "api.md").read_text()
    for url in urls:
        if "/webhooks/" in url:
            assert f"{{PUBLIC_URL}}{url.removeprefix(base)}" in documented


def test_the_commands_are_complete_and_name_function_secret_and_region() -> None:
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:PlatformSecret-AbCdEf"
    store, create = commands(described(PlatformSecretArn=secret))
    assert store[:3] == ["aws", "secretsmanager", "put-secret-value"]
    assert store[3:5] == create[3:5] == ["--region", "eu-central-1"]
    assert secret in store
    assert create[create.index("--function-name") + 1] == "ansel-prod-admin"
    assert msgspec.json.decode(create[create.index("--payload") + 1], type=CreateStudio).time_zone == "Europe/Berlin"
    for words in (store, create):
        assert not [word for word in words if "..." in word or "$" in word]


def test_a_domain_begins_with_its_dns_record() -> None:
    told = described({"DomainName": "api.example.com"}, DomainTarget="d-1.execute-api.eu-central-1.amazonaws.com")
    assert "1. Point api.example.com at the API" in told
    assert "d-1.execute-api.eu-central-1.amazonaws.com" in told


def test_alarms_have_somebody_to_confirm_or_to_subscribe() -> None:
    assert "to you@example.com: until then no alarm" in described({"AlarmEmail": "you@example.com"})
    assert f"deploy with AlarmEmail=..., or use {TOPIC}" in described()


@pytest.mark.usefixtures("account")
def test_a_first_deployment_ends_with_them_and_a_command_prints_them_again(operator: Operator) -> None:
    operator.template["Resources"]["Secret"] = {
        "Type": "AWS::SecretsManager::Secret",
        "Properties": {"SecretString": "{}"},
    }
    operator.template["Outputs"]["PlatformSecretArn"] = {"Value": {"Ref": "Secret"}}
    first, again = operator.deploy(1)[1], operator.deploy(2)[1]
    assert "What comes next" in first
    assert "What comes next" not in again
    code, printed = operator.run("next")
    assert code == 0
    assert printed in first
    store, create = commands(printed)
    assert boto3.client("secretsmanager").put_secret_value(
        SecretId=store[store.index("--secret-id") + 1], SecretString=json.dumps(next_steps.CREDENTIALS)
    )
    answer = boto3.client("lambda", region_name=create[create.index("--region") + 1]).invoke(
        FunctionName=create[create.index("--function-name") + 1], Payload=create[create.index("--payload") + 1]
    )
    assert json.loads(answer["Payload"].read())["did"] == "studio create"


@pytest.mark.usefixtures("account")
def test_a_stage_that_is_not_there_has_no_next_steps(operator: Operator) -> None:
    assert operator.run("next") == (
        1,
        f"deploy: there is no stack ansel-{operator.stage} in us-east-1: deploy it first, or name its Region "
        "with --region\n",
    )


def documented() -> str:
    """The example in docs/deploying.md."""
    return described(
        {"AlarmEmail": "operations@example.com", "DomainName": "api.example.com"},
        DomainTarget="d-abc123.execute-api.eu-central-1.amazonaws.com",
        PlatformSecretArn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:PlatformSecret-AbCdEf",
    )


def test_the_documented_example_is_what_is_printed() -> None:
    assert f"```text\n{documented()}\n```\n" in (ROOT / "docs" / "deploying.md").read_text()
