"""The scenarios: each sets studios up, disturbs their syncs in its own way until they are done, and compares."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prove.chaos import CALENDAR, GMAIL, TOKENS, Chaos
from prove.postman import Postman
from prove.rig import Rig, Unfinished
from prove.truth import Difference

WORKERS = 4
CUT = """
    SELECT pg_terminate_backend(pid) FROM (
        SELECT pid FROM pg_stat_activity WHERE usename = 'ansel_app' ORDER BY xact_start IS NULL, random() LIMIT 1
    ) AS victim
"""
"""Ends a connection that is in a transaction, if there is one."""


@dataclass(frozen=True)
class Proof:
    """What a scenario's tries came to."""

    tries: str
    difference: Difference


@dataclass(frozen=True)
class Size:
    """How hard to try: the full form and the quick one."""

    times: int
    events: int
    threads: int = 200


Scenario = Callable[[Rig, random.Random, Size], Proof]


def killed(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Workers are SIGKILLed at random moments, round after round of fresh enumerations until there were enough."""
    kills = rounds = 0
    total = Difference()

    def kill() -> None:
        nonlocal kills
        time.sleep(chance.uniform(0.1, 1.0))
        rig.crew.kill_one(chance)
        kills += 1

    while kills < size.times:
        rounds += 1
        with at_work(rig, chance):
            rig.connect(f"bulk-{size.events}", ("bookings",))
            rig.connect(f"bulk-{size.threads}", ("bookings", "inquiries"))
            rig.sync()
            total.add(concluded(rig, kill))
    return Proof(f"{kills} kills in {rounds} rounds of {size.events:,} records", total)


def five_times(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Every message comes five times, out of order; leases are short, so the copies also take runs over."""
    with at_work(rig, chance, copies=5, jumble=True) as postman:
        for number in range(size.times):
            rig.connect(f"bulk-{size.events + number}")
        rig.sync()
        found = concluded(rig)
        changed(rig, chance)
        rig.sync()
        found.add(concluded(rig))
        return Proof(f"{postman.delivered} deliveries of {postman.sent} messages", found)


def dropped(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Most messages never arrive."""
    with at_work(rig, chance, loss=0.7, timeout_seconds=30.0) as postman:
        for number in range(size.times):
            rig.connect(f"bulk-{size.events + number}")
        rig.sync()
        found = concluded(rig)
        return Proof(f"{postman.dropped} of {postman.sent} messages dropped", found)


def provider_faults(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """The provider answers 429, 500 or 503, breaks off, resets or dawdles, at random."""
    rig.sandbox.faults = chaos = Chaos(chance, {CALENDAR: 0.3, GMAIL: 0.005, TOKENS: 0.2})
    found = Difference()
    while chaos.struck.total() < size.times:
        with at_work(rig, chance):
            rig.sandbox.faults = chaos
            rig.connect(f"bulk-{size.events}", ("bookings",))
            rig.connect(f"bulk-{size.events + 1}", ("bookings",), lifetime=0)
            rig.connect(f"bulk-{size.threads}")
            rig.connect("studio")
            rig.sync()
            found.add(concluded(rig))
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(chaos.struck.items()))
    return Proof(f"{chaos.struck.total()} faults ({kinds})", found)


def connections_cut(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Database connections are ended in their transactions, and the server restarts or crashes under load."""
    cuts = restarts = 0
    found = Difference()

    def cut() -> None:
        nonlocal cuts, restarts
        time.sleep(chance.uniform(1.0, 3.0))
        if chance.random() < 0.2:
            rig.restart_server(crash=chance.random() < 0.5)
            restarts += 1
        else:
            cuts += len(rig.sql(CUT))

    while cuts < size.times or not restarts:
        with at_work(rig, chance):
            rig.connect(f"bulk-{size.events}", ("bookings",))
            rig.connect(f"bulk-{size.threads}")
            rig.sync()
            found.add(concluded(rig, cut))
    return Proof(f"{cuts} connections cut, {restarts} restarts", found)


def cursors(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Cursors expire midway and pages come twice, in full reads and in reads of changes."""
    chaos = Chaos(chance, {}, forget=0.04, repeat=0.3)
    found = Difference()
    while chaos.struck.total() < size.times:
        with at_work(rig, chance):
            rig.sandbox.faults = chaos
            rig.connect(f"bulk-{size.events}", ("bookings",))
            rig.connect("studio")
            rig.sync()
            found.add(concluded(rig))
            for forget in (False, True):
                changed(rig, chance)
                if forget:
                    rig.sandbox.google.expire_sync_tokens(f"bulk-{size.events}")
                    rig.sandbox.google.expire_history("studio")
                rig.sync()
                found.add(concluded(rig))
    return Proof(", ".join(f"{count} {kind}" for kind, count in sorted(chaos.struck.items())), found)


def tokens(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Tokens die amid runs: every connection renews, once, though two streams of it are at work."""
    renewals = 0
    with at_work(rig, chance):
        rig.sandbox.faults = Chaos(chance, {CALENDAR: 0.3, GMAIL: 0.05}, ["slow"])
        for number in range(size.times):
            rig.connect(f"bulk-{size.events + number}", lifetime=2)
        rig.sync()
        found = concluded(rig)
        renewals = rig.sandbox.requests.counts().get("oauth2.token", 0)
        if renewals > size.times:
            found.note(f"{renewals} renewals of {size.times} connections", renewals - size.times)
    return Proof(f"{size.times} tokens, {renewals} renewals", found)


def deadlines(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """The function's time is nearly over on every page, so each page is an invocation of its own."""
    with at_work(rig, chance, timeout_seconds=30.0):
        for number in range(size.times):
            rig.connect(f"bulk-{size.events + number}", ("bookings",))
        rig.sync()
        found = concluded(rig)
        attempts, pages = rig.sql("SELECT sum(attempts)::int, sum(pages)::int FROM sync_log")[0]
        if attempts < pages:
            found.note(f"{attempts} attempts for {pages} pages", pages - attempts)
    return Proof(f"{pages} pages in {attempts} invocations, {size.times} runs", found)


def double_tick(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Two ticks run at once while all schedules are due at the same minute: one run for each window."""
    with at_work(rig, chance):
        for _ in range(size.times // 2):
            rig.connect("empty")
        rig.sql("UPDATE sync_schedule SET next_run_at = date_trunc('minute', now())")
        for _ in range(2):
            rig.crew.start_ticker(0.1)
        rig.finish(seconds=60.0 + size.times / 5)
        found = rig.difference()
        windows = "SELECT count(*), count(DISTINCT (studio_id, stream)) FROM sync_log WHERE trigger = 'schedule'"
        runs, streams = rig.sql(windows)[0]
        due = size.times // 2 * 2
        if (runs, streams) != (due, due):
            found.note(f"{runs} runs of {streams} streams for {due} due schedules", abs(runs - due))
    return Proof(f"{due:,} schedules", found)


def clock_skew(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """The workers' clocks differ by up to a day, amid faults and kills, while tokens run out."""
    found = Difference()
    skews = (0.0, -600.0, 600.0, 86_400.0, -86_400.0)
    with at_work(rig, chance, workers=0):
        for skew in skews:
            rig.crew.hire(skew_seconds=skew)
        rig.sandbox.faults = Chaos(chance, {CALENDAR: 0.1, GMAIL: 0.003}, ["429", "500", "reset"])
        for number in range(size.times):
            rig.connect(f"bulk-{size.events + number}", lifetime=2)
        rig.sync()
        found.add(concluded(rig))
        changed(rig, chance)
        rig.sync()
        found.add(concluded(rig))
        runs = len(rig.started)
    return Proof(f"{runs} runs by workers {', '.join(f'{skew:+.0f}' for skew in skews)} s off", found)


SCENARIOS: dict[str, tuple[Scenario, Size, Size]] = {
    "killed": (killed, Size(500, 50_000, 400), Size(5, 4_000, 50)),
    "five-times": (five_times, Size(20, 3_000), Size(3, 300)),
    "dropped": (dropped, Size(20, 3_000), Size(3, 300)),
    "provider": (provider_faults, Size(500, 10_000, 400), Size(5, 3_000, 40)),
    "database": (connections_cut, Size(300, 50_000, 400), Size(4, 4_000, 40)),
    "cursors": (cursors, Size(100, 5_000), Size(3, 2_100)),
    "tokens": (tokens, Size(20, 1_500), Size(2, 300)),
    "deadlines": (deadlines, Size(10, 20_000), Size(2, 3_000)),
    "ticks": (double_tick, Size(10_000, 0), Size(40, 0)),
    "clocks": (clock_skew, Size(15, 1_500), Size(2, 200)),
}

PROVED = ("killed", "five-times", "dropped", "provider", "deadlines", "ticks")
"""Run when none is named. The others have not yet been seen to end within their time on a busy machine."""


@contextmanager
def at_work(
    rig: Rig,
    chance: random.Random,
    *,
    workers: int = WORKERS,
    timeout_seconds: float = 60.0,
    copies: int = 1,
    loss: float = 0.0,
    jumble: bool = False,
) -> Iterator[Postman]:
    """Workers, a ticker and the postman; afterwards an empty rig."""
    postman = Postman(rig.queue_url, rig.delivery_url, chance, copies=copies, loss=loss, jumble=jumble)
    for _ in range(workers):
        rig.crew.hire(timeout_seconds=timeout_seconds)
    postman.start()
    try:
        yield postman
    finally:
        postman.stop()
        rig.clean()


def concluded(rig: Rig, disturb: Callable[[], object] = lambda: None) -> Difference:
    """The difference when all is done, or that it never was."""
    try:
        rig.finish(disturb)
    except Unfinished as error:
        found = rig.difference()
        found.note(str(error))
        return found
    return rig.difference()


def changed(rig: Rig, chance: random.Random) -> None:
    """Events and mails come, change and go in every account."""
    google = rig.sandbox.google
    for name in {studio.account for studio in rig.studios}:
        account = google.account(name)
        ids = [account.events[index]["id"] for index in chance.sample(range(len(account.events)), 20)]
        for event_id in ids[:12]:
            google.update_event(event_id, {"summary": f"Portrait, take {chance.randrange(1000)}"}, name)
        for event_id in ids[12:]:
            google.delete_event(event_id, name)
        for number in range(10):
            google.add_event({"summary": f"Wedding that came later {number}"}, name)
            google.add_message(subject=f"Are you free in June? {number}", account=name)
