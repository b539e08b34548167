"""The monthly bill: the documentation shows what the script computes."""

from itertools import pairwise

import msgspec
import pytest

from benchmarks import prices
from benchmarks.bill import FLEETS, USAGE, Assumptions, Fleet, bill, load, tables
from benchmarks.consumption import Invocation, Usage
from tests.conftest import ROOT

NOTHING = Invocation(ms=0, log_bytes=0)
IDLE = Usage(
    measured_on="2026-11-22",
    machine="-",
    api=NOTHING,
    tick=NOTHING,
    tick_per_run=NOTHING,
    sync=NOTHING,
    metric_series=0,
)
FLEET = Fleet(1_000, "db.r7g.large", 2)


def with_sync(**used: float) -> Usage:
    return msgspec.structs.replace(IDLE, sync=msgspec.structs.replace(NOTHING, **used))


def test_the_documented_tables_follow_from_the_measured_usage() -> None:
    documented = (ROOT / "docs" / "cost.md").read_text()
    for table in tables(msgspec.json.decode(USAGE.read_bytes(), type=Usage), Assumptions()):
        assert table.as_markdown() in documented


def test_monthly_runs_and_requests_follow_from_the_studios() -> None:
    of = load(FLEET, IDLE, Assumptions(runs_per_day=24, requests_per_day=10))
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
    usage = msgspec.json.decode(USAGE.read_bytes(), type=Usage)
    costs = [bill(fleet, usage, Assumptions()) for fleet in FLEETS]
    for fewer, more in pairwise(costs):
        assert all(fewer[line] <= more[line] for line in fewer)
