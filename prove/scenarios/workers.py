"""Workers that die, that run out of time, and whose clocks are wrong."""

import random
import time

from prove import ledger
from prove.chaos import TOKENS, Chaos
from prove.course import Proof, Size, at_work, changed, concluded, connect, expect
from prove.paging import CALENDAR, GMAIL
from prove.rig import Rig
from prove.truth import Difference

STREAMS_BESIDE = 3
SHORT_OF_TIME = 30.0
"""Less than a worker wants to have left for another page."""
SKEWS = (0.0, -600.0, 600.0, 86_400.0, -86_400.0)


def killed(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Workers are SIGKILLed at random moments amid a run, on fresh enumerations until there were enough."""
    kills = rounds = takeovers = records = 0
    pages_before = -1
    found = Difference()

    def kill() -> None:
        """Between two kills a page is stored, or else the machine's speed would decide whether a run ever ends."""
        nonlocal kills, pages_before
        pages = ledger.pages(rig.sql)
        if pages > pages_before and kills < size.times:
            time.sleep(chance.uniform(0, 0.4))
            if rig.crew.kill_busy(chance):
                kills, pages_before = kills + 1, pages

    while kills < size.times:
        rounds, pages_before = rounds + 1, -1
        with at_work(rig, chance):
            connect(rig, size)
            for number in range(1, STREAMS_BESIDE + 1):
                rig.connect(f"bulk-{size.threads + number}")
            rig.sync()
            found.add(concluded(rig, kill, seconds=900))
            found.add(ledger.counted_once(rig.sql))
            takeovers += ledger.takeovers(rig.sql)
            records += sum(ledger.created(rig.sql).values())
        expect(found, "no kill struck", bool(kills and takeovers))
        if not found.is_none:
            break
    return Proof(f"{kills} kills, {takeovers} takeovers, {records:,} records in {rounds} rounds", found)


def deadlines(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """The function's time is nearly over on every page, so each page is an invocation of its own."""
    with at_work(rig, chance, timeout_seconds=SHORT_OF_TIME):
        for number in range(size.times):
            rig.connect(f"bulk-{size.events + number}", ("bookings",))
        rig.sync()
        found = concluded(rig)
        found.add(ledger.counted_once(rig.sql))
        attempts, pages = rig.sql("SELECT sum(attempts)::int, sum(pages)::int FROM sync_log")[0]
        if attempts < pages:
            found.note(f"{attempts} attempts for {pages} pages", pages - attempts)
        expect(found, "no run had two pages", pages > size.times)
    return Proof(f"{pages} pages in {attempts} invocations, {size.times} runs", found)


def clock_skew(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """The workers' clocks differ by up to a day, each page is read by any of them, platforms fail, tokens run out."""
    with at_work(rig, chance, workers=0):
        names = [rig.crew.hire(timeout_seconds=SHORT_OF_TIME, skew_seconds=skew) for skew in SKEWS]
        rig.sandbox.faults = Chaos(chance, {CALENDAR: 0.2, GMAIL: 0.003, TOKENS: 0.1}, ["429", "500", "reset"])
        for number in range(size.times):
            rig.connect(f"bulk-{size.events + number}", ("bookings",), lifetime=2)
            rig.connect(f"bulk-{size.threads + number}", lifetime=2)
        rig.sync()
        found = concluded(rig)
        found.add(ledger.counted_once(rig.sql))
        changed(rig, chance)
        rig.sync()
        found.add(concluded(rig))
        put_off, wrong = ledger.delays(rig.sql)
        found.add(wrong)
        expect(found, "no run was put off", put_off > 0)
        expect(found, "a worker had no message", all(rig.queue.delivered[name] for name in names))
        runs, handled = len(rig.started), rig.queue.delivered.total()
    skews = ", ".join(f"{skew:+.0f}" for skew in SKEWS)
    return Proof(f"{runs} runs, {handled} messages, put off {put_off} times, by workers {skews} s off", found)
