"""Messages that are delivered too often or never, and concurrent ticks."""

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from chaos import audit
from chaos.environment import Environment
from chaos.oracle import Difference
from chaos.scenario_kit import Proof, Size, at_work, changed, concluded, connect, expect
from chaos.scenarios.workers import SHORT_OF_TIME

COPIES = 5
COPIES_SECONDS = 60.0
TICKERS = 2
TICKS_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query LIKE '%claim_due_schedules%' AND usename = 'ansel_tick'
"""
AWAIT_SECONDS = 30.0
RUNS_OF_WINDOW = """
    SELECT count(*), count(DISTINCT (studio_id, stream)) FROM sync_log
    WHERE trigger = 'schedule' AND window_at = :window
"""


def five_times(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """Every message is delivered five times, out of order, to four workers, and every page takes one.

    The last copies are delivered long after their runs are done.
    """
    with at_work(environment, chance, copies=COPIES, shuffle=True, timeout_seconds=SHORT_OF_TIME):
        connect(environment, size, size.times)
        environment.sync()
        found = concluded(environment)
        found.add(audit.counted_once(environment.sql))
        changed(environment, chance)
        environment.sync()
        found.add(concluded(environment))
        deadline = time.monotonic() + COPIES_SECONDS
        while not environment.queue.is_empty() and time.monotonic() < deadline:
            time.sleep(0.05)
        found.add(environment.difference())
        sent, delivered = environment.queue.sent, environment.queue.delivered.total()
        expect(found, "not every message was delivered five times", delivered >= COPIES * sent)
    return Proof(f"{delivered:,} deliveries of {sent:,} messages", found)


def dropped(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """Seven of ten messages never arrive, and every page takes one."""
    with at_work(environment, chance, loss=0.7, timeout_seconds=SHORT_OF_TIME):
        connect(environment, size, size.times)
        environment.sync()
        found = concluded(environment, seconds=600)
        found.add(audit.counted_once(environment.sql))
        sent, lost = environment.queue.sent, environment.queue.dropped
        expect(found, "few messages were dropped", lost > sent // 3)
    return Proof(f"{lost:,} of {sent:,} messages dropped", found)


def double_tick(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """Two ticks start at the same moment, with all schedules due at the same minute: one run per window."""
    due = size.events // 2 * 2
    with at_work(environment, chance):
        environment.connect_many("empty", due // 2)
        environment.hold_schedules()
        for _ in range(TICKERS):
            environment.pool.start_ticker(0.1)
        found, released = Difference(), 0
        minute: datetime = environment.sql("SELECT date_trunc('minute', now())")[0][0]
        for window in (minute - timedelta(minutes=number) for number in range(size.times)):
            released += _release(environment, window)
            found.add(concluded(environment, seconds=900))
            runs, streams = environment.sql(RUNS_OF_WINDOW, window=window)[0]
            if (runs, streams) != (due, due):
                found.note(f"{runs} runs of {streams} streams, {due} were due", abs(runs - due) or 1)
        expect(found, "the ticks did not run concurrently", released == TICKERS * size.times)
    return Proof(f"{due:,} schedules due at once, {size.times} windows, {TICKERS} ticks each", found)


def _release(environment: Environment, window: datetime) -> int:
    """Makes everything due in a transaction that the ticks have to wait for; returns how many waited."""
    environment.sql("BEGIN")
    environment.sql("LOCK TABLE sync_schedule IN ACCESS EXCLUSIVE MODE")
    waiting = _awaited(environment, TICKS_WAITING, lambda count: count >= TICKERS)
    environment.sql("UPDATE sync_schedule SET next_run_at = :window", window=window)
    environment.sql("COMMIT")
    _awaited(
        environment,
        "SELECT count(*) FROM sync_schedule WHERE next_run_at = :window",
        lambda count: count == 0,
        window=window,
    )
    environment.hold_schedules()
    return waiting


def _awaited(environment: Environment, query: str, is_enough: Callable[[int], bool], **params: Any) -> int:
    """Waits until the query returns the wanted count; after a timeout, returns whatever it is."""
    deadline = time.monotonic() + AWAIT_SECONDS
    while True:
        environment.sql(
            "SELECT pg_stat_clear_snapshot()"
        )  # within one transaction, pg_stat_activity would stay as first read
        count = int(environment.sql(query, **params)[0][0])
        if is_enough(count) or time.monotonic() > deadline:
            return count
        time.sleep(0.01)
