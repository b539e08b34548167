"""Policies for plain `chalice deploy`: ARNs instead of placeholders, no rights for unused things; all or nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.policy_validation import IAMPolicyDocumentValidator

from deploy.policies import FUNCTIONS, WITHOUT_SETTINGS, Missing, for_cloudformation, write
from tests.conftest import ROOT

ENVIRON = {
    "DATABASE_AUTH": "iam",
    "SYNC_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/ansel-prod-sync",
    "KMS_KEY_IDS": "arn:aws:kms:eu-central-1:123456789012:key/one, arn:aws:kms:eu-west-1:123456789012:key/two",
    "PLATFORM_SECRETS_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:platforms-AbCdEf",
    "TENANT_PROOF_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:proof-AbCdEf",
}
ADMIN = {
    "DEAD_LETTER_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/ansel-prod-sync-dead",
    "MIGRATION_DATABASE_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:owner-AbCdEf",
}


def chalice_folder(folder: Path, environ: dict[str, str], admin: dict[str, str]) -> Path:
    chalice = folder / ".chalice"
    shutil.copytree(ROOT / ".chalice", chalice, ignore=shutil.ignore_patterns("deploy*", "dev", "prod"))
    path = chalice / "config.json"
    config = json.loads(path.read_text())
    config["stages"]["prod"]["environment_variables"].update(environ)
    config["stages"]["prod"]["lambda_functions"]["admin"]["environment_variables"] = admin
    path.write_text(json.dumps(config))
    return chalice


def written(chalice: Path) -> dict[str, Any]:
    """The policies that the stage's functions refer to, by function."""
    stage = json.loads((chalice / "config.json").read_text())["stages"]["prod"]
    files = {name: function["iam_policy_file"] for name, function in stage["lambda_functions"].items()}
    files["api"] = stage["iam_policy_file"]
    return {name: json.loads((chalice / file).read_text()) for name, file in files.items()}


def as_list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def resources(policy: Any, action: str = "") -> list[str]:
    """The resources on which that action, or any action, is allowed."""
    allowed = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    matching = [statement for statement in allowed if not action or action in as_list(statement["Action"])]
    return [resource for statement in matching for resource in as_list(statement["Resource"])]


def test_every_function_gets_the_arns_of_its_stage(tmp_path: Path) -> None:
    chalice = chalice_folder(tmp_path, ENVIRON, ADMIN)
    write("prod", "db-ABC123", chalice)
    policies = written(chalice)
    assert set(policies) == set(FUNCTIONS)
    assert "${" not in json.dumps(policies)
    queue = "arn:aws:sqs:eu-central-1:123456789012:ansel-prod-sync"
    assert resources(policies["tick"], "sqs:SendMessage") == [queue]
    assert resources(policies["sync"], "sqs:ReceiveMessage") == [queue]
    assert resources(policies["admin"], "sqs:ReceiveMessage") == [f"{queue}-dead"]
    assert resources(policies["api"], "kms:Decrypt") == ENVIRON["KMS_KEY_IDS"].split(", ")
    user = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABC123"
    for name in set(FUNCTIONS) - set(WITHOUT_SETTINGS):
        assert resources(policies[name], "rds-db:connect") == [f"{user}/ansel_{name}"]
    assert resources(policies["api"], "logs:PutLogEvents")[0].endswith(":log-group:/aws/lambda/ansel-prod")
    everything = [resource for policy in policies.values() for resource in resources(policy)]
    assert all(resource == "*" or resource.startswith("arn:aws:") for resource in everything)


def test_no_function_gets_rights_to_things_the_stage_does_not_use(tmp_path: Path) -> None:
    chalice = chalice_folder(tmp_path, {**ENVIRON, "DATABASE_AUTH": "password", "PLATFORM_SECRETS_ARN": ""}, {})
    write("prod", "", chalice)
    text = json.dumps(written(chalice))
    assert "rds-db" not in text
    assert "secret:platforms" not in text
    assert "sqs:SendMessage" in text


def test_only_the_function_that_uses_a_password_may_read_it(tmp_path: Path) -> None:
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:{}-AbCdEf"
    environ = {**ENVIRON, "DATABASE_AUTH": "secret", "DATABASE_SECRET_ARN": secret.format("app")}
    chalice = chalice_folder(tmp_path, environ, {"DATABASE_SECRET_ARN": secret.format("admin")})
    write("prod", "", chalice)
    policies = written(chalice)
    for name in set(FUNCTIONS) - set(WITHOUT_SETTINGS):
        text = json.dumps(policies[name])
        assert (secret.format("app") in text, secret.format("admin") in text) == (name != "admin", name == "admin")
    assert "secretsmanager" not in json.dumps(policies["deliver"])


def test_the_delivery_function_gets_none_of_the_stages_settings_however_often_they_are_written(tmp_path: Path) -> None:
    chalice = chalice_folder(tmp_path, {**ENVIRON, "LOG_LEVEL": "INFO"}, ADMIN)
    for _ in range(2):
        write("prod", "db-ABC123", chalice)
    stage = json.loads((chalice / "config.json").read_text())["stages"]["prod"]
    own = stage["lambda_functions"]["deliver"]["environment_variables"]
    merged = {**stage["environment_variables"], **own}
    assert {name: value for name, value in merged.items() if value} == {"ANSEL_STAGE": "prod", "LOG_LEVEL": "INFO"}
    (invoked,) = resources(written(chalice)["sync"], "lambda:InvokeFunction")
    assert invoked == "arn:aws:lambda:eu-central-1:123456789012:function:ansel-prod-deliver"


@pytest.mark.parametrize(
    ("environ", "database_id", "said"),
    [
        ({"SYNC_QUEUE_URL": ""}, "db-ABC123", "SYNC_QUEUE_URL"),
        ({"SYNC_QUEUE_URL": "https://example.com/123456789012/queue"}, "db-ABC123", "SYNC_QUEUE_URL"),
        ({"KMS_KEY_IDS": "*"}, "db-ABC123", "KMS_KEY_IDS"),
        ({"KMS_KEY_IDS": "arn:aws:kms:eu-central-1:123456789012:key/*"}, "db-ABC123", "KMS_KEY_IDS"),
        ({"PLATFORM_SECRETS_ARN": "*"}, "db-ABC123", "PLATFORM_SECRETS_ARN"),
        ({"TENANT_PROOF_SECRET_ARN": ""}, "db-ABC123", "TENANT_PROOF_SECRET_ARN"),
        ({}, "", "--database-id"),
        ({}, "*", "--database-id"),
    ],
)
def test_nothing_is_written_unless_every_name_has_an_arn(
    tmp_path: Path, environ: dict[str, str], database_id: str, said: str
) -> None:
    chalice = chalice_folder(tmp_path, {**ENVIRON, **environ}, ADMIN)
    before = (chalice / "config.json").read_text()
    with pytest.raises(Missing, match=said):
        write("prod", database_id, chalice)
    assert (chalice / "config.json").read_text() == before
    assert not (chalice / "policies" / "prod").exists()


def test_policies_written_for_plain_deploy_are_refused_by_the_template(tmp_path: Path) -> None:
    chalice = chalice_folder(tmp_path, ENVIRON, ADMIN)
    write("prod", "db-ABC123", chalice)
    with pytest.raises(ValueError, match="written for plain"):
        for_cloudformation(written(chalice)["tick"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_iam_accepts_the_written_policies_and_refuses_their_sources(tmp_path: Path, name: str) -> None:
    chalice = chalice_folder(tmp_path, ENVIRON, ADMIN)
    source = (chalice / "policies" / f"{name}.json").read_text()
    with pytest.raises(MalformedPolicyDocument, match=r"must be in ARN format|is not valid for resource"):
        IAMPolicyDocumentValidator(source).validate()
    write("prod", "db-ABC123", chalice)
    IAMPolicyDocumentValidator(json.dumps(written(chalice)[name])).validate()
