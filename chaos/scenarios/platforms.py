"""Platforms that fail, that list their records in odd ways, and whose tokens die."""

import random
from collections import Counter

from chaos import audit
from chaos.environment import Environment
from chaos.faults import TOKENS, TROUBLES, Chaos
from chaos.oracle import Difference
from chaos.paging import CALENDAR, GMAIL, Paging
from chaos.scenario_kit import Proof, Size, at_work, changed, concluded, connect, expect

ACCOUNTS = 4
PAGED_ACCOUNTS = 2
TWO_PAGES = 1_100, 60
"""Number of event changes, and of new mails, so that each list takes two pages."""


def failing(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """The provider randomly returns 429, 500 or 503, truncates, resets or responds slowly."""
    chaos = Chaos(chance, {CALENDAR: 0.3, GMAIL: 0.005, TOKENS: 0.2})
    found, put_off = Difference(), 0
    while chaos.struck.total() < size.times or len(chaos.struck) < len(TROUBLES):
        with at_work(environment, chance):
            environment.sandbox.faults = chaos
            connect(environment, size, ACCOUNTS)
            environment.connect(f"bulk-{size.threads}", lifetime=0)
            environment.connect("studio")
            environment.sync()
            found.add(concluded(environment))
            found.add(audit.counted_once(environment.sql))
            deferred, wrong = audit.delays(environment.sql)
            put_off += deferred
            found.add(wrong)
        expect(found, "no run was deferred", put_off > 0)
        if not found.is_none:
            break
    return Proof(f"{chaos.struck.total()} faults ({_kinds(chaos.struck)}), runs deferred {put_off} times", found)


def pages(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """Cursors expire midway, pages are delivered twice or in another order, in full reads and in reads of changes."""
    struck: Counter[str] = Counter()
    found, connected = Difference(), 0
    while any(struck[kind] < size.times for kind in ("expired", "repeated", "reordered")):
        with at_work(environment, chance):
            paging = Paging(chance, environment.sandbox.url, forget=0.1, repeat=0.3, reorder=0.4)
            environment.sandbox.faults = chaos = Chaos(chance, {}, paging=paging)
            connect(environment, size, PAGED_ACCOUNTS, first=connected)
            environment.connect("studio")
            environment.sync()
            found.add(concluded(environment))
            for forget in (False, True):
                changed(
                    environment,
                    chance,
                    events=min(size.events // 2, TWO_PAGES[0]),
                    mails=min(size.threads, TWO_PAGES[1]),
                )
                paging.start_over()
                if forget:
                    environment.sandbox.google.expire_sync_tokens(f"bulk-{size.events + connected}")
                    environment.sandbox.google.expire_history(f"bulk-{size.threads + connected}")
                environment.sync()
                found.add(concluded(environment))
            struck.update(chaos.struck)
            connected += PAGED_ACCOUNTS
        if not found.is_none:
            break
    return Proof(_kinds(struck), found)


def tokens(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """Tokens die during runs: every connection refreshes once, although two of its streams are running."""
    with at_work(environment, chance):
        environment.sandbox.faults = chaos = Chaos(chance, {CALENDAR: 0.3, GMAIL: 0.02}, ["slow"])
        for number in range(size.times):
            studio = environment.connect(f"bulk-{size.threads + number}")
            chaos.mortal[studio.access_token] = chance.randint(3, size.threads)
        for number in range(max(1, size.times // 10)):
            studio = environment.connect(f"bulk-{size.events + number}", ("bookings",))
            chaos.mortal[studio.access_token] = chance.randint(2, size.events // 1000)
        environment.sync()
        found = concluded(environment)
        found.add(audit.counted_once(environment.sql))
        dead = len(chaos.dead)
        refreshes = environment.sandbox.requests.counts().get("oauth2.token", 0)
        if refreshes != dead:
            found.note(f"{refreshes} refreshes of {dead} tokens", abs(refreshes - dead))
        expect(found, "a token outlived its run", dead == len(chaos.mortal))
    return Proof(f"{dead} tokens died during runs, {refreshes} refreshes", found)


def _kinds(struck: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(struck.items()))
