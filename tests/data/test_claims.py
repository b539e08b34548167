"""The tick's claim: what it touches depends on what is due, not on how many schedules there are or were due before."""

from collections.abc import Iterator

import msgspec
import pg8000.native
import pytest

from tests.conftest import Database

DUE, STREAMS = 100, 5
FILL = (
    "TRUNCATE studio CASCADE",
    """
    INSERT INTO studio (id, name, time_zone) SELECT uuidv7(), 'Studio', 'Europe/Berlin'
    FROM generate_series(1, {studios})
    """,
    "INSERT INTO platform_connection (studio_id, platform, access_token) SELECT id, 'google', '' FROM studio",
    f"""
    INSERT INTO sync_schedule (studio_id, connection_id, platform, stream, frequency, next_run_at)
    SELECT c.studio_id, c.id, c.platform, 'stream-' || n, 'hourly', now() + interval '1 hour'
    FROM platform_connection AS c, generate_series(1, {STREAMS}) AS n
    """,
    "VACUUM ANALYZE",
)
MAKE_DUE = f"""
    UPDATE sync_schedule SET next_run_at = now() - random() * interval '5 minutes'
    WHERE id = ANY(ARRAY(SELECT id FROM sync_schedule ORDER BY random() LIMIT {DUE}))
"""
SERVE = "UPDATE sync_schedule SET next_run_at = now() + interval '1 hour' WHERE next_run_at < now()"
CLAIM = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) SELECT cross_tenant.claim_due_schedules({DUE})"
FEW, MANY = 40, 2_000


@pytest.fixture
def emptied(database: Database, superuser: pg8000.native.Connection) -> Iterator[pg8000.native.Connection]:
    yield superuser
    superuser.run("TRUNCATE studio CASCADE")


def fill(superuser: pg8000.native.Connection, studios: int) -> None:
    for statement in FILL:
        superuser.run(statement.format(studios=studios))


def claim(superuser: pg8000.native.Connection) -> int:
    """The pages that a claim of `DUE` schedules touches, which are then served."""
    superuser.run(MAKE_DUE)
    (plan,) = msgspec.json.decode(msgspec.json.encode((superuser.run(CLAIM) or [])[0][0]))
    superuser.run(SERVE)
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


def test_a_claim_touches_as_many_pages_among_many_schedules_as_among_few(emptied: pg8000.native.Connection) -> None:
    touched = {}
    for studios in (FEW, MANY):
        fill(emptied, studios)
        claim(emptied)  # the first one fills catalog caches
        touched[studios] = claim(emptied)
    assert touched[MANY] <= 1.2 * touched[FEW] + 10
    assert touched[MANY] <= 3 * DUE, "of each schedule its own page, read and locked, and no other table's"


def test_a_claim_does_not_visit_what_earlier_ticks_served(emptied: pg8000.native.Connection) -> None:
    fill(emptied, MANY)
    emptied.run("ALTER TABLE sync_schedule SET (autovacuum_enabled = off)")
    emptied.run(MAKE_DUE)
    emptied.run("ANALYZE sync_schedule")  # the server then expects that many
    emptied.run(SERVE)
    touched = [claim(emptied) for _ in range(20)]
    emptied.run("ALTER TABLE sync_schedule RESET (autovacuum_enabled)")
    assert touched[-1] <= 1.2 * touched[1] + 10


@pytest.mark.parametrize(
    ("frequency", "time_zone"),
    [
        ("hourly", None),
        ("every 15 minutes", None),
        ("every 168 hours", None),
        *(
            (text, "Europe/Berlin")
            for text in ("daily", "weekly", "0 7 * * 1-5", "every day", "every 5 minutes or so", "")
        ),
    ],
)
def test_a_claim_has_the_studios_time_zone_unless_the_frequency_is_an_interval(
    emptied: pg8000.native.Connection, frequency: str, time_zone: str | None
) -> None:
    fill(emptied, 1)
    emptied.run("UPDATE sync_schedule SET next_run_at = now(), frequency = :frequency", frequency=frequency)
    ((claimed,),) = emptied.run("SELECT cross_tenant.claim_due_schedules(10)")
    assert [each["timeZone"] for each in claimed] == [time_zone] * STREAMS
