"""The monthly bill: the documentation shows what the script computes, and the script what the template creates."""

from itertools import pairwise

import msgspec
import pytest

from benchmarks import prices
from benchmarks.bill import FLEETS, IDLE, SIZES, STANDING, USAGE, Assumptions, Fleet, bill, load, tables, traces
from benchmarks.consumption import Invocation, Usage
from benchmarks.stack import Stack
from tests.conftest import ROOT

NOTHING = Invocation(ms=0, log_bytes=0)
UNUSED = Usage(
    measured_on="2026-11-22",
    machine="-",
    api=NOTHING,
    tick=NOTHING,
    tick_per_run=NOTHING,
    sync=NOTHING,
    metric_series=0,
)
FLEET = Fleet("1,000 studios", 1_000)
SECONDS = prices.HOURS * 3600
DEV, PROD = IDLE

BY_PROPERTIES = {"AWS::CloudWatch::Alarm", "AWS::EC2::VPCEndpoint", "AWS::RDS::DBInstance"}
BY_USE_OR_FREE = (
    *("AWS::ApiGateway::", "AWS::Budgets::", "AWS::Events::", "AWS::IAM::", "AWS::KMS::Alias", "AWS::Lambda::"),
    *("AWS::Logs::", "AWS::RDS::DBParameterGroup", "AWS::RDS::DBSubnetGroup", "AWS::RDS::EventSubscription"),
    *("AWS::SNS::", "AWS::SQS::", "AWS::EC2::InternetGateway", "AWS::EC2::Route", "AWS::EC2::SecurityGroup"),
    *("AWS::EC2::Subnet", "AWS::EC2::VPC"),
)


def with_sync(**used: float) -> Usage:
    return msgspec.structs.replace(UNUSED, sync=msgspec.structs.replace(NOTHING, **used))


def measured() -> Usage:
    return msgspec.json.decode(USAGE.read_bytes(), type=Usage)


def test_the_documented_tables_follow_from_the_measured_usage() -> None:
    documented = (ROOT / "docs" / "cost.md").read_text()
    for table in tables(measured(), Assumptions()):
        assert table.as_markdown() in documented


def test_monthly_runs_and_requests_follow_from_the_studios() -> None:
    of = load(FLEET, UNUSED, Assumptions(runs_per_day=24, requests_per_day=10))
    assert (of.runs, of.requests) == pytest.approx((1_000 * 730, 1_000 * 730 / 2.4))


def test_each_usage_is_charged_at_its_price() -> None:
    costs = bill(FLEET, with_sync(kms_calls=1), Assumptions(runs_per_day=24))
    assert costs["KMS"] == pytest.approx(1 + 730_000 / 10_000 * 0.03)


def test_waiting_is_billed_by_duration_and_computing_by_core_share() -> None:
    waiting = bill(FLEET, with_sync(api_calls=1), Assumptions(runs_per_day=24, platform_ms=500, queue_ms=0))
    assert waiting["Lambda: time"] == pytest.approx(730_000 * 0.5 * prices.LAMBDA_GB_SECOND)
    computing = bill(FLEET, with_sync(ms=500), Assumptions(runs_per_day=24, queue_ms=0))
    assert computing["Lambda: time"] == pytest.approx(waiting["Lambda: time"] * 1769 / 1024)


def test_more_studios_never_cost_less() -> None:
    costs = [bill(fleet, measured(), Assumptions()) for fleet in SIZES]
    for fewer, more in pairwise(costs):
        assert all(fewer[line] <= more[line] for line in fewer)


def test_the_idle_columns_are_what_make_deploy_creates_by_default() -> None:
    assert [(fleet.stage, fleet.studios, fleet.parameters) for fleet in IDLE] == [("dev", 0, {}), ("prod", 0, {})]
    dev, prod = (fleet.stack for fleet in IDLE)
    assert (dev.database_class, dev.database_instances, dev.endpoint_interfaces) == ("db.t4g.micro", 1, 0)
    assert (prod.database_class, prod.database_instances, prod.endpoint_interfaces) == ("db.t4g.medium", 2, 6)


def test_each_nat_gateway_has_one_public_address_to_pay_for() -> None:
    for fleet, gateways in ((DEV, 1), (PROD, 2)):
        assert fleet.stack.count("AWS::EC2::NatGateway") == fleet.stack.count("AWS::EC2::EIP") == gateways
        assert bill(fleet, UNUSED, Assumptions())["Public IPv4 addresses"] == pytest.approx(3.65 * gateways)
    without = Fleet("no egress", 0, parameters={"Egress": "none"})
    costs = bill(without, UNUSED, Assumptions())
    assert costs["NAT gateways"] == costs["Public IPv4 addresses"] == 0


def test_an_alarm_costs_as_much_as_the_metrics_it_watches() -> None:
    watched = [
        [metric for metric in alarm["Metrics"] if "MetricStat" in metric] if "Metrics" in alarm else [alarm]
        for alarm in PROD.stack.of_type("AWS::CloudWatch::Alarm")
    ]
    assert all(watched)
    assert PROD.stack.alarm_metrics == sum(len(metrics) for metrics in watched)


def test_a_parameter_of_the_template_changes_the_bill() -> None:
    single = Fleet("no standby", 0, parameters={"DatabaseStandby": "false", "DatabaseStorage": "100"})
    costs, default = (bill(fleet, UNUSED, Assumptions()) for fleet in (single, PROD))
    assert costs["RDS: instance"] == pytest.approx(default["RDS: instance"] / 2)
    assert costs["RDS: storage"] == pytest.approx(100 * prices.STORAGE_GB)


def test_a_parameter_that_the_template_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no parameter Databases"):
        Stack("prod", {"Databases": "2"})


def test_every_resource_created_by_default_is_priced_billed_by_use_or_free() -> None:
    for fleet in FLEETS:
        kinds = {each["Type"] for each in fleet.stack.resources if "Type" in each}
        rest = kinds - STANDING.keys() - BY_PROPERTIES
        assert [kind for kind in rest if not kind.startswith(BY_USE_OR_FREE)] == []


def test_the_first_invocation_of_each_second_is_traced_and_then_one_in_twenty() -> None:
    rare, dense = traces(1_000, Assumptions()), traces(SECONDS * 100, Assumptions())
    assert rare == pytest.approx(1_000, rel=0.001)
    assert dense == pytest.approx(SECONDS * (1 + 99 * 0.05))


@pytest.mark.parametrize(("fleet", "dollars"), list(zip(SIZES, (0.59, 18.9, 215), strict=True)))
def test_traces_are_counted_for_each_function(fleet: Fleet, dollars: float) -> None:
    assert bill(fleet, measured(), Assumptions())["X-Ray"] == pytest.approx(dollars, rel=0.01)
