"""`.chalice/config.json`: every function that the app declares is deployed with limits and rights of its own."""

import json
from typing import Any

import pytest

from tests.conftest import ROOT

CHALICE = ROOT / ".chalice"
DEPLOYED = ["dev", "prod"]
ALLOWED = {
    "api": {"logs", "ec2", "sqs", "kms"},
    "tick": {"logs", "ec2", "sqs"},
    "sync": {"logs", "ec2", "sqs", "kms"},
    "maintenance": {"logs", "ec2"},
}
"""The services of AWS that each function may call."""


def config() -> Any:
    return json.loads((CHALICE / "config.json").read_text())


def declared() -> set[str]:
    from app import app

    return {source.name for source in app.event_sources}


@pytest.mark.parametrize("stage", DEPLOYED)
def test_each_function_is_deployed_with_a_policy_of_its_own_and_a_timeout(stage: str) -> None:
    functions = config()["stages"][stage]["lambda_functions"]
    assert set(functions) == declared()
    for name, function in functions.items():
        assert function["iam_policy_file"] == f"policy-{name}.json"
        assert 0 < function["lambda_timeout"] <= 900


def test_no_function_may_call_more_of_aws_than_it_needs() -> None:
    assert set(ALLOWED) == declared() | {"api"}
    for name, services in ALLOWED.items():
        statements = json.loads((CHALICE / f"policy-{name}.json").read_text())["Statement"]
        assert {action.split(":")[0] for statement in statements for action in statement["Action"]} == services, name
        assert {statement["Effect"] for statement in statements} == {"Allow"}
        assert not [action for statement in statements for action in statement["Action"] if "*" in action]


@pytest.mark.parametrize("stage", DEPLOYED)
def test_what_runs_on_a_schedule_runs_once_at_a_time(stage: str) -> None:
    functions = config()["stages"][stage]["lambda_functions"]
    assert {name for name, function in functions.items() if function.get("reserved_concurrency") == 1} == {
        "tick",
        "maintenance",
    }
