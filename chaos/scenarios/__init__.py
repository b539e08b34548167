"""The scenarios by name, each with a full and a quick size, and some with a short one that the tests run."""

from typing import NamedTuple

from chaos.scenario_kit import Scenario, Size
from chaos.scenarios import database, harness, messages, platforms, refresh, workers


class Entry(NamedTuple):
    run: Scenario
    full: Size
    quick: Size
    short: Size | None = None


SCENARIOS: dict[str, Entry] = {
    "harness": Entry(harness.sabotaged, Size(1, 2_000, 100), Size(1, 300, 60), Size(1, 60, 20)),
    "killed": Entry(workers.killed, Size(500, 50_000, 1_500), Size(10, 6_000, 200), Size(2, 2_500, 60)),
    "five-times": Entry(messages.five_times, Size(20, 3_000, 400), Size(3, 300, 100), Size(1, 100, 60)),
    "dropped": Entry(messages.dropped, Size(20, 10_000, 500), Size(2, 2_500, 120)),
    "provider": Entry(platforms.failing, Size(500, 10_000, 400), Size(12, 3_000, 100)),
    "pages": Entry(platforms.pages, Size(100, 6_000, 300), Size(5, 2_500, 110), Size(1, 1_200, 20)),
    "tokens": Entry(platforms.tokens, Size(100, 4_000, 300), Size(4, 2_500, 100)),
    "database": Entry(database.cut, Size(200, 50_000, 1_500), Size(10, 6_000, 200), Size(2, 2_500, 60)),
    "deadlines": Entry(workers.deadlines, Size(10, 20_000), Size(2, 3_000)),
    "ticks": Entry(messages.double_tick, Size(1, 10_000), Size(3, 40)),
    "refresh-race": Entry(refresh.race, Size(30, 100), Size(3, 100), Size(1, 32)),
    "refresh-killed": Entry(refresh.killed, Size(20), Size(2), Size(1)),
    "outage": Entry(refresh.outage, Size(72, 10), Size(72, 1), Size(6, 1)),
    "revoked": Entry(refresh.revoked, Size(20), Size(3), Size(1)),
    "clocks": Entry(workers.clock_skew, Size(15, 5_000, 300), Size(3, 2_500, 100)),
}
