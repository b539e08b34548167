"""A database that goes away."""

import random
import time

from prove import ledger
from prove.course import Proof, Size, at_work, concluded, connect, expect
from prove.rig import Rig
from prove.truth import Difference

WRITER = """
    SELECT pid FROM pg_stat_activity
    WHERE usename = 'ansel_app' AND backend_xid IS NOT NULL
      AND query NOT LIKE '%door.%' AND query NOT LIKE '%WITH leased%' AND query NOT LIKE '%SET refresh_owner%'
"""
"""A connection in a transaction that has written; nearly always a page, for ticks and leases are left out."""
CUT = f"SELECT pg_terminate_backend(pid) FROM ({WRITER} ORDER BY random() LIMIT 1) AS victim"
RECONNECTED = "database.reconnected"
WRITER_SECONDS = 2.0
STREAMS_BESIDE = 3
DECK = (*["cuts"] * 6, "restarts", "crashes")


def cut(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """Connections are cut in transactions that have written; the server restarts or crashes while there are some."""
    done = dict.fromkeys(("cuts", "restarts", "crashes"), 0)
    deck: list[str] = []
    takeovers, reconnected_before = 0, rig.crew.count_logged(RECONNECTED)
    reconnections = 0
    found = Difference()

    def disturb() -> None:
        nonlocal deck
        time.sleep(chance.uniform(0.05, 0.4))
        if sum(done.values()) >= size.times:
            return
        deck = deck or chance.sample(DECK, len(DECK))
        if _strikes(rig, deck[-1]):
            done[deck.pop()] += 1

    while sum(done.values()) < size.times:
        with at_work(rig, chance):
            connect(rig, size)
            for number in range(1, STREAMS_BESIDE + 1):
                rig.connect(f"bulk-{size.threads + number}")
            rig.sync()
            found.add(concluded(rig, disturb, seconds=900))
            found.add(ledger.counted_once(rig.sql))
            takeovers += ledger.takeovers(rig.sql)
        reconnections = rig.crew.count_logged(RECONNECTED) - reconnected_before
        expect(found, "no run was cut", bool(any(done.values()) and takeovers + reconnections))
        if not found.is_none:
            break
    struck = ", ".join(f"{count} {kind}" for kind, count in done.items())
    return Proof(f"{struck}; {takeovers} takeovers, {reconnections} went on over a new connection", found)


def _strikes(rig: Rig, kind: str) -> bool:
    """Waits for a transaction that has written; whether it met one."""
    deadline = time.monotonic() + WRITER_SECONDS
    while time.monotonic() < deadline:
        if kind == "cuts" and any(cut for (cut,) in rig.sql(CUT)):
            return True
        if kind != "cuts" and rig.sql(WRITER):
            rig.restart_server(crash=kind == "crashes")
            return True
        time.sleep(0.001)
    return False
