"""Concurrency and connections: what the defaults of each stage reserve, and that their database accepts it."""

import json
import re

import pytest

from deploy.capacity import (
    CONTAINERS_WHILE_DEPLOYING,
    KEPT_BY_THE_SERVER,
    RESERVED,
    concurrency_by_role,
    find_shortage,
)
from migrations.privileges import CONNECTION_LIMITS, CONNECTION_SHARES
from tests.conftest import ROOT
from tests.deploy.intrinsics import Account
from tests.deploy.templates import finished, transformed

STAGES = ["dev", "prod"]
MEMORY = {"db.t4g.micro": 1, "db.t4g.medium": 4}
"""GiB"""
BYTES_PER_CONNECTION = 9_531_392
"""RDS allows one connection per so many bytes of memory unless told otherwise."""


def defaults(stage: str) -> dict[str, str]:
    return {name: str(parameter["Default"]) for name, parameter in finished(stage)["Parameters"].items()}


def reserved_in_template(stage: str, choice: dict[str, str]) -> dict[str, int]:
    account = Account(transformed(stage), choice)
    functions = [
        name for name, made in transformed(stage)["Resources"].items() if made["Type"] == "AWS::Lambda::Function"
    ]
    made = {name: account.value("Resources", name, "Properties") for name in functions}
    return {
        name: int(properties["ReservedConcurrentExecutions"])
        for name, properties in made.items()
        if "ReservedConcurrentExecutions" in properties
    }


@pytest.mark.parametrize(("stage", "api", "total"), [("dev", 20, 25), ("prod", 100, 105)])
def test_the_template_reserves_what_the_pages_say(stage: str, api: int, total: int) -> None:
    reserved = reserved_in_template(stage, {})
    assert reserved == RESERVED | {"APIHandler": api}, "the worker's limit is its trigger's"
    assert sum(reserved.values()) == total
    for page in ("infrastructure.md", "deploying.md"):
        assert re.search(rf"`{stage}`(?: reserves)? {total}\b", (ROOT / "docs" / page).read_text())


@pytest.mark.parametrize("stage", STAGES)
def test_less_can_be_reserved(stage: str) -> None:
    assert reserved_in_template(stage, {"ApiConcurrency": "0"}) == RESERVED
    assert reserved_in_template(stage, {"ReserveConcurrency": "false"}) == {}


@pytest.mark.parametrize("stage", STAGES)
def test_chalices_own_deployment_reserves_the_same_for_all_but_the_api(stage: str) -> None:
    """Chalice would give the worker what it is told to reserve for the API."""
    functions = json.loads((ROOT / ".chalice" / "config.json").read_text())["stages"][stage]["lambda_functions"]
    reserved = {
        name: made["reserved_concurrency"] for name, made in functions.items() if "reserved_concurrency" in made
    }
    assert reserved == {name.lower(): number for name, number in RESERVED.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_the_database_accepts_the_connections_of_every_function_during_a_deployment(stage: str) -> None:
    accepted = int(defaults(stage)["DatabaseMaxConnections"])
    assert find_shortage(defaults(stage)) is None
    for name in ("DatabaseSettings", "ClusterSettings"):
        settings = Account(finished(stage)).value("Resources", name, "Properties", "Parameters")
        assert int(settings["max_connections"]) == accepted


@pytest.mark.parametrize("stage", STAGES)
def test_the_instance_has_the_memory_for_its_connections(stage: str) -> None:
    by_rds = MEMORY[defaults(stage)["DatabaseInstanceClass"]] * 1024**3 // BYTES_PER_CONNECTION
    assert int(defaults(stage)["DatabaseMaxConnections"]) < by_rds


@pytest.mark.parametrize("stage", STAGES)
def test_no_role_is_refused_what_its_function_needs_or_takes_what_the_others_need(stage: str) -> None:
    accepted = int(defaults(stage)["DatabaseMaxConnections"])
    limits = {role: accepted * share // 100 for role, share in CONNECTION_SHARES.items()} | CONNECTION_LIMITS
    for role, concurrency in concurrency_by_role(defaults(stage)).items():
        assert limits[role] >= concurrency * CONTAINERS_WHILE_DEPLOYING > 0
    assert sum(limits.values()) <= accepted - KEPT_BY_THE_SERVER


@pytest.mark.parametrize("stage", STAGES)
def test_the_alarm_of_connections_is_below_what_the_database_accepts(stage: str) -> None:
    accepted = int(defaults(stage)["DatabaseMaxConnections"])
    assert int(defaults(stage)["AlarmDatabaseConnections"]) == accepted * 4 // 5


@pytest.mark.parametrize(
    ("stage", "choice", "needed"),
    [
        ("dev", {"SyncConcurrency": "20"}, 160),
        ("prod", {"ApiConcurrency": "120"}, 480),
        ("prod", {"SyncConcurrency": "60"}, 480),
        ("prod", {"ApiConcurrency": "0", "SyncConcurrency": "60"}, 480),
        ("prod", {"DatabaseMaxConnections": "260"}, 400),
    ],
)
def test_sizes_that_the_database_does_not_accept_are_named(stage: str, choice: dict[str, str], needed: int) -> None:
    found = find_shortage(defaults(stage) | choice)
    assert found is not None
    assert f"may need {needed} connections" in found
    assert all(name in found for name in choice)


@pytest.mark.parametrize("choice", [{"ReserveConcurrency": "false"}, {"ApiConcurrency": "0"}], ids=str)
def test_an_api_without_a_limit_is_bounded_by_its_role_alone(choice: dict[str, str]) -> None:
    assert find_shortage(defaults("prod") | choice) is None
