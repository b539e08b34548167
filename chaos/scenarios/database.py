"""A database that becomes unavailable."""

import random
import time

from chaos import audit
from chaos.environment import Environment
from chaos.oracle import Difference
from chaos.scenario_kit import Proof, Size, at_work, concluded, connect, expect

WRITER = """
    SELECT pid FROM pg_stat_activity
    WHERE usename = 'ansel_sync' AND backend_xid IS NOT NULL
      AND query NOT LIKE '%cross_tenant.%' AND query NOT LIKE '%WITH leased%' AND query NOT LIKE '%SET refresh_owner%'
"""
"""A connection in a transaction that has written; nearly always a page, because ticks and leases are excluded."""
CUT = f"SELECT pg_terminate_backend(pid) FROM ({WRITER} ORDER BY random() LIMIT 1) AS victim"
RECONNECTED = "database.reconnected"
WRITER_SECONDS = 2.0
STREAMS_BESIDE = 3
MOST_TRIES = 10
"""Of as many cuts as were asked for, if none was felt"""
DECK = (*["cuts"] * 6, "restarts", "crashes")


def cut(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """Connections are cut in transactions that have written; the server restarts or crashes during some of them."""
    done = dict.fromkeys(("cuts", "restarts", "crashes"), 0)
    deck: list[str] = []
    takeovers, reconnected_before = 0, environment.pool.count_logged(RECONNECTED)
    reconnections, wanted = 0, size.times
    found = Difference()

    def disturb() -> None:
        nonlocal deck
        time.sleep(chance.uniform(0.05, 0.4))
        if sum(done.values()) >= wanted:
            return
        deck = deck or chance.sample(DECK, len(DECK))
        if _strikes(environment, deck[-1]):
            done[deck.pop()] += 1

    while sum(done.values()) < wanted:
        with at_work(environment, chance):
            connect(environment, size)
            for number in range(1, STREAMS_BESIDE + 1):
                environment.connect(f"bulk-{size.threads + number}")
            environment.sync()
            found.add(concluded(environment, disturb, seconds=900))
            found.add(audit.counted_once(environment.sql))
            takeovers += audit.takeovers(environment.sql)
        reconnections = environment.pool.count_logged(RECONNECTED) - reconnected_before
        if not found.is_none:
            break
        if not takeovers + reconnections:  # a transaction may end just before it is cut
            wanted = min(sum(done.values()) + 1, MOST_TRIES * size.times)
    expect(found, "no run was cut", bool(any(done.values()) and takeovers + reconnections))
    struck = ", ".join(f"{count} {kind}" for kind, count in done.items())
    return Proof(f"{struck}; {takeovers} takeovers, {reconnections} continued on a new connection", found)


def _strikes(environment: Environment, kind: str) -> bool:
    """Waits for a transaction that has written; returns whether there was one."""
    deadline = time.monotonic() + WRITER_SECONDS
    while time.monotonic() < deadline:
        if kind == "cuts" and any(cut for (cut,) in environment.sql(CUT)):
            return True
        if kind != "cuts" and environment.sql(WRITER):
            environment.restart_server(crash=kind == "crashes")
            return True
        time.sleep(0.001)
    return False
