"""Bookings that a release before kept under `{calendar}/{event}`: what its migration and the next full read make of
them."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pg8000.native
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from dev.sandbox import Sandbox
from dev.tenants import act_as
from tests.conftest import ROOT, Api, Database, Queue
from tests.services.conftest import Studio, connect
from tests.services.test_runs import scalar

CONFIG = Config(ROOT / "alembic.ini")
REVISION = "0019"
BEFORE = str(ScriptDirectory.from_config(CONFIG).get_revision(REVISION).down_revision)
CALENDAR = "bulk-30@studio.example"
OLD_CURSOR = f'{{"calendar_id": "{CALENDAR}", "time_zone": "UTC", "page_token": null, "sync_token": "CAES"}}'
TWINS = """
    INSERT INTO booking
    SELECT (jsonb_populate_record(CAST(NULL AS booking), to_jsonb(b) || jsonb_build_object(
        'id', uuidv7(), 'external_id', 'primary/' || split_part(external_id, '/', 2)
    ))).*
    FROM booking AS b
"""


@pytest.fixture
def taken_back(clean_database: Database) -> Iterator[Callable[[], None]]:
    """Takes the schema back to the revision before; in the end it is the newest one again."""
    yield lambda: command.downgrade(CONFIG, BEFORE)
    command.upgrade(CONFIG, "head")


@pytest.fixture
def thirty(api: Api, queue: Queue, platforms: Sandbox, taken_back: Callable[[], None]) -> Studio:
    """A studio whose 30 bookings are there as the release before kept them."""
    studio = connect(api, queue, "bulk-30")
    assert studio.sync("bookings")["records"]["created"] == 30
    taken_back()
    return studio


def keys(superuser: pg8000.native.Connection) -> list[str]:
    return [row[0] for row in superuser.run("SELECT external_id FROM booking ORDER BY external_id") or ()]


def statuses(superuser: pg8000.native.Connection) -> dict[str, int]:
    return dict(superuser.run("SELECT status, count(*) FROM booking GROUP BY status") or ())


def test_taken_back_each_key_names_its_calendar_again(thirty: Studio, superuser: pg8000.native.Connection) -> None:
    assert len(keys(superuser)) == 30
    assert {key.rpartition("/")[0] for key in keys(superuser)} == {CALENDAR}


def test_thirty_bookings_that_had_become_sixty_are_thirty_again_and_confirmed_without_anybodys_confirmation(
    thirty: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    before = statuses(superuser)
    superuser.run(TWINS)
    superuser.run("UPDATE booking SET status = 'cancelled' WHERE external_id LIKE 'primary/%5'")
    superuser.run("UPDATE booking SET status = 'cancelled' WHERE external_id LIKE '%e' OR external_id LIKE '%f'")
    superuser.run("UPDATE sync_schedule SET refused_deletions = 30, cursor = :cursor", cursor=OLD_CURSOR)
    assert sum(statuses(superuser).values()) == 60
    command.upgrade(CONFIG, "head")
    assert len(keys(superuser)) == 30
    assert not [key for key in keys(superuser) if "/" in key]
    status = next(item for item in thirty.api.get("/api/sync/status").json["items"] if item["syncType"] == "bookings")
    assert (status["state"], status["refusedDeletions"]) == ("idle", 0)
    run = thirty.sync("bookings")
    assert (run["status"], run["fullRead"], run["deletionsRefused"]) == ("succeeded", True, 0)
    assert (run["records"]["created"], run["records"]["deleted"]) == (0, 0)
    assert statuses(superuser) == before
    assert scalar(superuser, "SELECT count(DISTINCT calendar_id) = 1 FROM booking")
    assert thirty.sync("bookings")["fullRead"] is False


def test_what_the_studio_owns_of_either_row_stays(thirty: Studio, superuser: pg8000.native.Connection) -> None:
    superuser.run(TWINS)
    chosen = [row[0] for row in superuser.run("SELECT external_id FROM booking ORDER BY id LIMIT 4")]
    first, second, third, fourth = (key.rpartition("/")[2] for key in chosen)
    superuser.run(
        "INSERT INTO inquiry (studio_id, platform, external_id, channel, received_at)"
        " SELECT studio_id, 'google', 'lead', 'email', now() FROM booking LIMIT 1"
    )
    superuser.run(
        "UPDATE booking SET inquiry_id = (SELECT id FROM inquiry) WHERE external_id = ANY(CAST(:keys AS text[]))",
        keys=[f"primary/{first}", f"{CALENDAR}/{second}"],
    )
    superuser.run(
        "UPDATE booking SET value_minor = 250000, currency = 'EUR' WHERE external_id = :k", k=f"primary/{third}"
    )
    superuser.run(
        "INSERT INTO attribution (studio_id, inquiry_id, booking_id, channel, platform, touched_at)"
        " SELECT b.studio_id, i.id, b.id, b.external_id, 'google', now() FROM booking AS b, inquiry AS i"
        " WHERE b.external_id LIKE '%/' || :event",
        event=fourth,
    )
    command.upgrade(CONFIG, "head")
    rows = superuser.run("SELECT external_id, inquiry_id IS NOT NULL, value_minor, currency FROM booking ORDER BY id")
    found = {event: (has_inquiry, value, currency) for event, has_inquiry, value, currency in rows}
    assert [found[event] for event in (first, second, third)] == [
        (True, None, None),
        (True, None, None),
        (False, 250000, "EUR"),
    ]
    touches = superuser.run(
        "SELECT a.channel, b.external_id FROM attribution AS a LEFT JOIN booking AS b ON b.id = a.booking_id"
    )
    assert sorted(touches) == [[f"{CALENDAR}/{fourth}", fourth], [f"primary/{fourth}", fourth]]


def test_three_names_of_one_calendar_make_one_booking_that_lives(
    thirty: Studio, superuser: pg8000.native.Connection
) -> None:
    superuser.run(TWINS)
    superuser.run("UPDATE booking SET status = 'cancelled'")
    superuser.run(TWINS.replace("'primary/'", "'renamed@studio.example/'") + " WHERE external_id LIKE 'primary/%'")
    superuser.run("UPDATE booking SET status = 'confirmed' WHERE external_id LIKE 'renamed@studio.example/%'")
    command.upgrade(CONFIG, "head")
    assert statuses(superuser) == {"confirmed": 30}


REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE division_by_zero; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON booking FOR EACH ROW WHEN (NEW.title = 'Booking 5500')
    EXECUTE FUNCTION refuse()
"""
MANY = """
    INSERT INTO booking (studio_id, platform, external_id, title, event_type, event_date, status)
    SELECT s.id, 'google', prefix || '/' || lpad(n::text, 26, '0'), 'Booking ' || n, 'other', '2026-05-04', 'confirmed'
    FROM studio AS s, generate_series(1, 6000) AS n, unnest(ARRAY['a@studio.example', 'primary']) AS prefix
"""


def test_many_are_done_batch_by_batch_and_an_interruption_costs_one_batch(
    clean_database: Database, api: Api, taken_back: Callable[[], None], superuser: pg8000.native.Connection
) -> None:
    taken_back()
    superuser.run(MANY)
    superuser.run(REFUSE)
    with pytest.raises(DBAPIError, match="22012"):
        command.upgrade(CONFIG, "head")
    left = scalar(superuser, "SELECT count(*) FROM booking WHERE external_id LIKE '%/%'")
    assert 0 < left < 12_000
    forced = "SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE relname IN ('booking', 'attribution')"
    assert scalar(superuser, forced)
    superuser.run("DROP FUNCTION refuse() CASCADE")
    command.upgrade(CONFIG, "head")
    assert scalar(superuser, "SELECT count(*) FROM booking") == 6000
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE calendar_id = 'a@studio.example'") == 6000
    taken_back()
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE external_id LIKE 'a@studio.example/0%'") == 6000


def test_the_release_before_goes_on_beside_the_new_schema_without_doubling_anything(
    thirty: Studio, superuser: pg8000.native.Connection, clean_database: Database
) -> None:
    """Its workers run until the deploy is done, and name the calendar in what they store."""
    command.upgrade(CONFIG, "head")
    event = keys(superuser)[0]
    insert = (
        "INSERT INTO booking (studio_id, platform, external_id, title, event_type, event_date, status)"
        " VALUES (:studio, 'google', :key, 'Moved', 'wedding', current_date, 'confirmed')"
        " ON CONFLICT (studio_id, platform, external_id) DO UPDATE SET title = excluded.title"
    )
    with closing(clean_database.connect("ansel_app")) as old_release:
        act_as(old_release, thirty.id)
        for key in (f"{CALENDAR}/{event}", f"primary/{event}", f"a/b@studio.example/{event}new"):
            old_release.run(insert, studio=thirty.id, key=key)
    assert len(keys(superuser)) == 31
    found = superuser.run("SELECT external_id, calendar_id FROM booking WHERE title = 'Moved' ORDER BY 1")
    assert found == [[event, CALENDAR], [f"{event}new", "a/b@studio.example"]]
