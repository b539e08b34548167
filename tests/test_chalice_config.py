"""`.chalice/config.json`: every function that the app declares is deployed with its own limits and rights."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from deploy.policies import FUNCTIONS
from deploy.stages import list_stages
from tests.conftest import ROOT

CHALICE = ROOT / ".chalice"
DEPLOYED = list_stages()
EVERYONES = {"logs", "xray", "ec2", "rds-db", "secretsmanager"}
ALLOWED = {
    "api": EVERYONES | {"sqs", "kms"},
    "tick": EVERYONES | {"sqs"},
    "sync": EVERYONES | {"sqs", "kms", "lambda"},
    "maintenance": EVERYONES,
    "deliver": {"logs", "xray"},
    "admin": EVERYONES | {"sqs", "kms"},
}
"""The AWS services that each function may call."""
DATABASE_ROLES = {name: f"ansel_{name}" for name in FUNCTIONS if name != "deliver"}
PLATFORM_CREDENTIALS = {"api", "sync", "admin"}
"""Functions that call platforms."""
TENANTS = {"api", "sync", "admin"}
"""Functions that read or write studios' rows: the tick and the maintenance call cross-tenant functions only."""


def config() -> Any:
    return json.loads((CHALICE / "config.json").read_text())


def declared() -> set[str]:
    from app import app

    return {source.name for source in app.event_sources} | {function.name for function in app.pure_lambda_functions}


def statements(name: str) -> list[Any]:
    policy: dict[str, list[Any]] = json.loads((CHALICE / "policies" / f"{name}.json").read_text())
    return policy["Statement"]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("stage", DEPLOYED)
def test_each_function_has_its_own_policy_and_limits(stage: str) -> None:
    of_stage = config()["stages"][stage]
    functions = of_stage["lambda_functions"]
    assert set(functions) == declared() == set(FUNCTIONS) - {"api"}
    assert of_stage["iam_policy_file"] == "policies/api.json"
    for name, function in functions.items():
        assert function["iam_policy_file"] == f"policies/{name}.json"
        assert 0 < function["lambda_timeout"] <= 900


def test_no_policy_is_generated_from_the_code() -> None:
    assert config()["autogen_policy"] is False


def test_the_stages_differ_only_in_name_model_and_python() -> None:
    stages = {
        json.dumps({**config()["stages"][stage], "like": "", "python": ""}, sort_keys=True).replace(
            f'"{stage}"', '"stage"'
        )
        for stage in DEPLOYED
    }
    assert len(stages) == 1


def test_no_function_may_call_more_of_aws_than_it_needs() -> None:
    assert set(ALLOWED) == set(FUNCTIONS)
    for name, services in ALLOWED.items():
        allowed = [statement for statement in statements(name) if statement["Effect"] == "Allow"]
        actions = [action for statement in allowed for action in as_list(statement["Action"])]
        assert {action.split(":")[0] for action in actions} == services, name
        assert not [action for action in actions if "*" in action]


def test_queue_permissions_match_each_functions_use() -> None:
    takes = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}  # which Lambda needs for a trigger
    rights: dict[str, dict[str, set[str]]] = {}
    for name in FUNCTIONS:
        for statement in statements(name):
            actions = {action for action in as_list(statement["Action"]) if action.startswith("sqs:")}
            if actions:
                rights.setdefault(name, {}).setdefault(statement["Resource"], set()).update(actions)
    rings = {"${QueueArn}": {"sqs:SendMessage"}}
    assert rights == {
        "api": rings,
        "tick": rings,
        "sync": {"${QueueArn}": {"sqs:SendMessage"} | takes},
        "admin": {**rings, "${DeadLetterArn}": takes | {"sqs:ChangeMessageVisibility"}},
    }


@pytest.mark.parametrize("name", DATABASE_ROLES)
def test_each_function_logs_in_as_its_own_role_only(name: str) -> None:
    (connect,) = [statement for statement in statements(name) if statement["Action"] == "rds-db:connect"]
    assert connect["Resource"].endswith(f":dbuser:${{DatabaseId}}/{DATABASE_ROLES[name]}")


@pytest.mark.parametrize("stage", DEPLOYED)
def test_the_delivery_function_is_in_no_network_even_if_the_stage_is(stage: str) -> None:
    function = config()["stages"][stage]["lambda_functions"]["deliver"]
    assert (function["subnet_ids"], function["security_group_ids"]) == ([], [])
    assert "environment_variables" not in function


def test_only_functions_that_talk_to_platforms_read_their_credentials() -> None:
    readers = {name for name in FUNCTIONS if "${PlatformSecretArn}" in json.dumps(statements(name))}
    assert readers == PLATFORM_CREDENTIALS


def test_only_functions_that_act_for_a_studio_read_the_key_that_proves_one() -> None:
    readers = {name for name in FUNCTIONS if "${TenantProofSecretArn}" in json.dumps(statements(name))}
    assert readers == TENANTS


def test_only_administration_has_the_owners_password_makes_data_keys_and_reads_dead_letters() -> None:
    for name in FUNCTIONS:
        text = json.dumps(statements(name))
        for right in ('"${OwnerSecretArn}"', '"kms:Encrypt"', '"kms:GenerateDataKey"', '"${DeadLetterArn}"'):
            assert (right in text) == (name == "admin"), (name, right)


@pytest.mark.parametrize("stage", DEPLOYED)
def test_jobs_that_must_not_overlap_have_a_concurrency_of_one(stage: str) -> None:
    functions = config()["stages"][stage]["lambda_functions"]
    assert {name for name, function in functions.items() if function.get("reserved_concurrency") == 1} == {
        "tick",
        "maintenance",
    }


@pytest.mark.parametrize("stage", DEPLOYED)
def test_each_stage_has_its_own_queue_named_by_the_app(stage: str) -> None:
    code = "from app import app; print(app.event_sources[[s.name for s in app.event_sources].index('sync')].queue)"
    environ = {"PATH": os.environ["PATH"], "ANSEL_STAGE": stage}
    named = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    assert named.stdout.strip() == f"ansel-{stage}-sync"
