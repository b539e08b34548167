"""Messages that come too often or never, and ticks that run at once."""

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from prove import ledger
from prove.course import Proof, Size, at_work, changed, concluded, connect, expect
from prove.rig import Rig
from prove.scenarios.workers import SHORT_OF_TIME
from prove.truth import Difference

COPIES = 5
COPIES_SECONDS = 60.0
TICKERS = 2
TICKS_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query LIKE '%claim_due_schedules%' AND usename = 'ansel_app'
"""
AWAIT_SECONDS = 30.0
RUNS_OF_WINDOW = """
    SELECT count(*), count(DISTINCT (studio_id, stream)) FROM sync_log
    WHERE trigger = 'schedule' AND window_at = :window
"""


def five_times(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Every message comes five times, out of order, to four workers, and every page takes one.

    The last copies come when their runs are long done.
    """
    with at_work(rig, chance, copies=COPIES, jumble=True, timeout_seconds=SHORT_OF_TIME):
        connect(rig, size, size.times)
        rig.sync()
        found = concluded(rig)
        found.add(ledger.counted_once(rig.sql))
        changed(rig, chance)
        rig.sync()
        found.add(concluded(rig))
        deadline = time.monotonic() + COPIES_SECONDS
        while not rig.queue.is_empty() and time.monotonic() < deadline:
            time.sleep(0.05)
        found.add(rig.difference())
        sent, delivered = rig.queue.sent, rig.queue.delivered.total()
        expect(found, "not every message came five times", delivered >= COPIES * sent)
    return Proof(f"{delivered:,} deliveries of {sent:,} messages", found)


def dropped(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Seven of ten messages never arrive, and every page takes one."""
    with at_work(rig, chance, loss=0.7, timeout_seconds=SHORT_OF_TIME):
        connect(rig, size, size.times)
        rig.sync()
        found = concluded(rig, seconds=600)
        found.add(ledger.counted_once(rig.sql))
        sent, lost = rig.queue.sent, rig.queue.dropped
        expect(found, "few messages were dropped", lost > sent // 3)
    return Proof(f"{lost:,} of {sent:,} messages dropped", found)


def double_tick(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Two ticks start at the same moment, all schedules being due at the same minute: one run for each window."""
    due = size.events // 2 * 2
    with at_work(rig, chance):
        rig.connect_many("empty", due // 2)
        rig.hold_schedules()
        for _ in range(TICKERS):
            rig.crew.start_ticker(0.1)
        found, released = Difference(), 0
        minute: datetime = rig.sql("SELECT date_trunc('minute', now())")[0][0]
        for window in (minute - timedelta(minutes=number) for number in range(size.times)):
            released += _release(rig, window)
            found.add(concluded(rig, seconds=900))
            runs, streams = rig.sql(RUNS_OF_WINDOW, window=window)[0]
            if (runs, streams) != (due, due):
                found.note(f"{runs} runs of {streams} streams, {due} were due", abs(runs - due) or 1)
        expect(found, "the ticks did not run at once", released == TICKERS * size.times)
    return Proof(f"{due:,} schedules due at once, {size.times} windows, {TICKERS} ticks each", found)


def _release(rig: Rig, window: datetime) -> int:
    """Makes everything due in a transaction that the ticks have to wait for; returns how many did."""
    rig.sql("BEGIN")
    rig.sql("LOCK TABLE sync_schedule IN ACCESS EXCLUSIVE MODE")
    waiting = _awaited(rig, TICKS_WAITING, lambda count: count >= TICKERS)
    rig.sql("UPDATE sync_schedule SET next_run_at = :window", window=window)
    rig.sql("COMMIT")
    _awaited(
        rig, "SELECT count(*) FROM sync_schedule WHERE next_run_at = :window", lambda count: count == 0, window=window
    )
    rig.hold_schedules()
    return waiting


def _awaited(rig: Rig, query: str, is_enough: Callable[[int], bool], **params: Any) -> int:
    """The count that the query comes to; after a time, whatever it is."""
    deadline = time.monotonic() + AWAIT_SECONDS
    while True:
        rig.sql("SELECT pg_stat_clear_snapshot()")  # within a transaction, else, the activity stays as first seen
        count = int(rig.sql(query, **params)[0][0])
        if is_enough(count) or time.monotonic() > deadline:
            return count
        time.sleep(0.01)
