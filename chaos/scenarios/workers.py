"""Workers that die, run out of time, or have wrong clocks."""

import random
import time

from chaos import audit
from chaos.environment import Environment
from chaos.faults import TOKENS, Chaos
from chaos.oracle import Difference
from chaos.paging import CALENDAR, GMAIL
from chaos.scenario_kit import Proof, Size, at_work, changed, concluded, connect, expect

STREAMS_BESIDE = 3
SHORT_OF_TIME = 30.0
"""Less time than a worker requires for another page."""
SKEWS = (0.0, -600.0, 600.0, 86_400.0, -86_400.0)


def killed(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """Workers are SIGKILLed at random moments during a run, in first full reads, until there were enough kills."""
    kills = rounds = takeovers = records = 0
    pages_before = -1
    found = Difference()

    def kill() -> None:
        """A page is stored between two kills; otherwise the machine's speed would decide whether a run ever ends."""
        nonlocal kills, pages_before
        pages = audit.pages(environment.sql)
        if pages > pages_before and kills < size.times:
            time.sleep(chance.uniform(0, 0.4))
            if environment.pool.kill_busy(chance):
                kills, pages_before = kills + 1, pages

    while kills < size.times:
        rounds, pages_before = rounds + 1, -1
        with at_work(environment, chance):
            connect(environment, size)
            for number in range(1, STREAMS_BESIDE + 1):
                environment.connect(f"bulk-{size.threads + number}")
            environment.sync()
            found.add(concluded(environment, kill, seconds=900))
            found.add(audit.counted_once(environment.sql))
            takeovers += audit.takeovers(environment.sql)
            records += sum(audit.created(environment.sql).values())
        expect(found, "no kill hit a run", bool(kills and takeovers))
        if not found.is_none:
            break
    return Proof(f"{kills} kills, {takeovers} takeovers, {records:,} records in {rounds} rounds", found)


def deadlines(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """The function's time is nearly over on every page, so each page is an invocation of its own."""
    with at_work(environment, chance, timeout_seconds=SHORT_OF_TIME):
        for number in range(size.times):
            environment.connect(f"bulk-{size.events + number}", ("bookings",))
        environment.sync()
        found = concluded(environment)
        found.add(audit.counted_once(environment.sql))
        attempts, pages = environment.sql("SELECT sum(attempts)::int, sum(pages)::int FROM sync_log")[0]
        if attempts < pages:
            found.note(f"{attempts} attempts for {pages} pages", pages - attempts)
        expect(found, "no run had two pages", pages > size.times)
    return Proof(f"{pages} pages in {attempts} invocations, {size.times} runs", found)


def clock_skew(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """The workers' clocks differ by up to a day, any of them reads the next page, platforms fail, tokens expire."""
    with at_work(environment, chance, workers=0):
        names = [environment.pool.start_worker(timeout_seconds=SHORT_OF_TIME, skew_seconds=skew) for skew in SKEWS]
        environment.sandbox.faults = Chaos(chance, {CALENDAR: 0.2, GMAIL: 0.003, TOKENS: 0.1}, ["429", "500", "reset"])
        for number in range(size.times):
            environment.connect(f"bulk-{size.events + number}", ("bookings",), lifetime=2)
            environment.connect(f"bulk-{size.threads + number}", lifetime=2)
        environment.sync()
        found = concluded(environment)
        found.add(audit.counted_once(environment.sql))
        changed(environment, chance)
        environment.sync()
        found.add(concluded(environment))
        put_off, wrong = audit.delays(environment.sql)
        found.add(wrong)
        expect(found, "no run was deferred", put_off > 0)
        expect(found, "a worker had no message", all(environment.queue.delivered[name] for name in names))
        runs, handled = len(environment.started), environment.queue.delivered.total()
    skews = ", ".join(f"{skew:+.0f}" for skew in SKEWS)
    return Proof(
        f"{runs} runs, {handled} messages, deferred {put_off} times, by workers with clocks {skews} s off", found
    )
