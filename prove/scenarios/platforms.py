"""Platforms that fail, that list their records in odd ways, and that let tokens die."""

import random
from collections import Counter

from prove import ledger
from prove.chaos import TOKENS, TROUBLES, Chaos
from prove.course import Proof, Size, at_work, changed, concluded, connect, expect
from prove.paging import CALENDAR, GMAIL, Paging
from prove.rig import Rig
from prove.truth import Difference

ACCOUNTS = 4
PAGED_ACCOUNTS = 2
TWO_PAGES = 1_100, 60
"""Changes of events, and new mails, that take two pages each to list."""


def failing(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """The provider answers 429, 500 or 503, breaks off, resets or dawdles, at random."""
    chaos = Chaos(chance, {CALENDAR: 0.3, GMAIL: 0.005, TOKENS: 0.2})
    found, put_off = Difference(), 0
    while chaos.struck.total() < size.times or len(chaos.struck) < len(TROUBLES):
        with at_work(rig, chance):
            rig.sandbox.faults = chaos
            connect(rig, size, ACCOUNTS)
            rig.connect(f"bulk-{size.threads}", lifetime=0)
            rig.connect("studio")
            rig.sync()
            found.add(concluded(rig))
            found.add(ledger.counted_once(rig.sql))
            deferred, wrong = ledger.delays(rig.sql)
            put_off += deferred
            found.add(wrong)
        expect(found, "no run was put off", put_off > 0)
        if not found.is_none:
            break
    return Proof(f"{chaos.struck.total()} faults ({_kinds(chaos.struck)}), runs put off {put_off} times", found)


def pages(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Cursors expire midway, pages come twice or in another order, in full reads and in reads of changes."""
    struck: Counter[str] = Counter()
    found, connected = Difference(), 0
    while any(struck[kind] < size.times for kind in ("expired", "repeated", "reordered")):
        with at_work(rig, chance):
            paging = Paging(chance, rig.sandbox.url, forget=0.1, repeat=0.3, reorder=0.4)
            rig.sandbox.faults = chaos = Chaos(chance, {}, paging=paging)
            connect(rig, size, PAGED_ACCOUNTS, first=connected)
            rig.connect("studio")
            rig.sync()
            found.add(concluded(rig))
            for forget in (False, True):
                changed(rig, chance, events=min(size.events // 2, TWO_PAGES[0]), mails=min(size.threads, TWO_PAGES[1]))
                paging.start_over()
                if forget:
                    rig.sandbox.google.expire_sync_tokens(f"bulk-{size.events + connected}")
                    rig.sandbox.google.expire_history(f"bulk-{size.threads + connected}")
                rig.sync()
                found.add(concluded(rig))
            struck.update(chaos.struck)
            connected += PAGED_ACCOUNTS
        if not found.is_none:
            break
    return Proof(_kinds(struck), found)


def tokens(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Tokens die amid runs: every connection renews, once, though two streams of it are at work."""
    with at_work(rig, chance):
        rig.sandbox.faults = chaos = Chaos(chance, {CALENDAR: 0.3, GMAIL: 0.02}, ["slow"])
        for number in range(size.times):
            studio = rig.connect(f"bulk-{size.threads + number}")
            chaos.mortal[studio.access_token] = chance.randint(3, size.threads)
        for number in range(max(1, size.times // 10)):
            studio = rig.connect(f"bulk-{size.events + number}", ("bookings",))
            chaos.mortal[studio.access_token] = chance.randint(2, size.events // 1000)
        rig.sync()
        found = concluded(rig)
        found.add(ledger.counted_once(rig.sql))
        dead = len(chaos.dead)
        renewals = rig.sandbox.requests.counts().get("oauth2.token", 0)
        if renewals != dead:
            found.note(f"{renewals} renewals of {dead} tokens", abs(renewals - dead))
        expect(found, "a token outlived its run", dead == len(chaos.mortal))
    return Proof(f"{dead} tokens died amid runs, {renewals} renewals", found)


def _kinds(struck: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(struck.items()))
