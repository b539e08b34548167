"""Backfills: past days are read again, slice by slice, in parallel with the live sync and independent of it."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pg8000.native
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chalicelib.errors import CursorExpired
from chalicelib.platforms.core.contract import Page, Stream, Window
from chalicelib.platforms.google.calendar import BOOKINGS, CalendarCursor
from chalicelib.services.sync import backfills
from chalicelib.services.sync import execute as sync_execute
from dev.sandbox import Sandbox
from tests.conftest import TODAY, Api, Queue
from tests.services.conftest import CALENDAR, EVENTS, PLENTY_MS, Studio, connect, execute, make_due, scalar


def backfill(studio: Studio, first: str, last: str, stream: str = "bookings") -> Any:
    return studio.api.post("/api/sync/google/backfill", {"syncType": stream, "from": first, "to": last})


def started(studio: Studio, first: str, last: str, stream: str = "bookings") -> dict[str, Any]:
    answer = backfill(studio, first, last, stream)
    assert answer.status == 202, answer.text
    run = answer.json["runs"][0]
    assert answer.headers["Location"] == f"/api/sync/log/{run['id']}"
    return run  # type: ignore[no-any-return]


def cursor_of(superuser: pg8000.native.Connection, stream: str = "bookings") -> str:
    return str(
        scalar(
            superuser, "SELECT cursor FROM account_position WHERE stream = :name AND backfill_id IS NULL", name=stream
        )
    )


def titles(superuser: pg8000.native.Connection, where: str, first: date, last: date) -> list[str]:
    query = f"SELECT title FROM booking WHERE event_date {where} BETWEEN :first AND :last ORDER BY external_id"
    return [title for (title,) in superuser.run(query, first=first, last=last)]


def test_a_backfill_reads_its_days_again_and_keeps_the_live_cursor(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    first, last = TODAY - timedelta(days=2), TODAY + timedelta(days=2)
    platforms.google.add_event({"summary": "Wedding", "start": {"date": f"{TODAY}"}, "end": {"date": f"{TODAY}"}})
    studio.sync("bookings")
    before = cursor_of(superuser)
    superuser.run("UPDATE booking SET title = 'spoilt', updated_at = now() - interval '1 day'")
    run = started(studio, f"{first}", f"{last}")
    assert studio.work() == ["succeeded"]
    done = studio.run(run["id"])
    assert (done["status"], done["trigger"], done["fullRead"]) == ("succeeded", "backfill", False)
    assert done["backfill"] == {"from": f"{first}", "to": f"{last}", "progress": 1}
    inside, outside = (titles(superuser, where, first, last) for where in ("", "NOT"))
    assert "Wedding" in inside
    assert "spoilt" not in inside
    assert len(inside) == done["records"]["updated"]
    assert set(outside) == {"spoilt"}
    assert cursor_of(superuser) == before
    assert studio.connection()["lastError"] is None


@pytest.mark.parametrize("scope", ["gmail.metadata", "gmail.readonly"])
def test_a_backfill_of_the_mailbox_reads_the_threads_of_its_days(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection, scope: str
) -> None:
    """With a grant that allows searching, and with one that only allows listing."""
    studio = connect(api, queue, scopes=[f"https://www.googleapis.com/auth/{scope}"])
    studio.sync("inquiries")
    before = cursor_of(superuser, "inquiries")
    total = scalar(superuser, "SELECT count(*) FROM inquiry")
    newest = scalar(superuser, "SELECT max(received_at) FROM inquiry").date()
    superuser.run("DELETE FROM person")
    started(studio, f"{newest - timedelta(days=3)}", f"{newest}", "inquiries")
    assert studio.work() == ["succeeded"]
    assert 0 < scalar(superuser, "SELECT count(*) FROM inquiry") < total
    oldest = scalar(superuser, "SELECT min(coalesce(first_response_at, received_at)) FROM inquiry").date()
    assert oldest >= newest - timedelta(days=4)
    assert cursor_of(superuser, "inquiries") == before


def test_a_backfill_runs_in_parallel_with_a_live_run(studio: Studio, superuser: pg8000.native.Connection) -> None:
    live, past = studio.start("bookings"), started(studio, "2026-01-01", "2026-12-31")
    assert live["id"] != past["id"]
    assert sorted(studio.work()) == ["succeeded", "succeeded"]
    assert scalar(superuser, "SELECT count(*) = count(DISTINCT external_id) FROM booking")


def test_the_same_backfill_is_returned_and_a_different_one_is_rejected(studio: Studio) -> None:
    first = started(studio, "2026-01-01", "2026-03-31")
    assert started(studio, "2026-01-01", "2026-03-31") == first
    other = backfill(studio, "2026-01-01", "2026-04-01")
    assert (other.status, other.json["code"]) == (409, "backfill_under_way")
    assert first["id"] in other.json["detail"]


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [("2026-02-02", "2026-02-01", "from"), ("1999-12-31", "2000-01-01", "from"), ("2050-01-01", "2150-01-01", "to")],
)
def test_invalid_days_are_named(studio: Studio, first: str, last: str, field: str) -> None:
    answer = backfill(studio, first, last)
    assert answer.status == 422
    assert field in [problem["field"] for problem in answer.json["errors"]]


def test_a_period_of_more_than_ten_years_is_rejected(studio: Studio) -> None:
    answer = backfill(studio, "2010-01-01", "2026-01-01")
    assert (answer.status, answer.json["errors"][0]["problem"]) == (422, "a backfill can cover at most 3660 days")


def test_a_retried_backfill_resumes_where_it_failed(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    run = started(bulk, "2020-01-01", "2029-12-31")
    platforms.add_fault(kind="status", status=400, host=CALENDAR, path=EVENTS, after=4)
    assert bulk.work() == ["failed"]
    failed = bulk.run(run["id"])
    assert 0 < failed["backfill"]["progress"] < 1
    assert scalar(superuser, "SELECT failures_in_row FROM sync_schedule WHERE stream = 'bookings'") == 0
    platforms.clear_faults()
    platforms.requests.clear()
    answer = bulk.api.post(f"/api/sync/log/{run['id']}/retry")
    assert (answer.status, answer.json["runs"][0]["status"]) == (202, "queued")
    assert bulk.work() == ["succeeded"]
    again = bulk.run(answer.json["runs"][0]["id"])
    assert (again["trigger"], again["backfill"]["from"]) == ("backfill", "2020-01-01")
    assert scalar(superuser, "SELECT count(*) FROM booking") == 2500
    assert platforms.requests.counts()["calendar.events.list"] < 10


def test_an_interrupted_backfill_resumes_from_its_last_page(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    run = started(bulk, "2020-01-01", "2029-12-31")
    platforms.add_fault(kind="status", status=500, host=CALENDAR, path=EVENTS, after=3, times=1)
    assert bulk.work() == ["deferred"]
    make_due(superuser, run["id"])
    assert execute(bulk, run["id"]) == "succeeded"
    done = bulk.run(run["id"])
    assert (done["attempts"], done["records"]["created"]) == (2, 2500)


def test_an_expired_page_token_restarts_only_its_slice(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    bulk.sync("bookings")
    before = cursor_of(superuser)
    platforms.add_fault(kind="status", status=410, host=CALENDAR, path=EVENTS, after=1, times=1)
    platforms.requests.clear()
    run = started(bulk, f"{TODAY - timedelta(days=183)}", f"{TODAY + timedelta(days=182)}")
    assert bulk.work() == ["succeeded"]
    assert platforms.requests.counts()["calendar.events.list"] == 4  # page one, the error, and both pages again
    assert bulk.run(run["id"])["records"]["created"] == 0
    assert cursor_of(superuser) == before


def test_a_backfill_can_be_cancelled(bulk: Studio) -> None:
    run = started(bulk, "2020-01-01", "2029-12-31")
    assert bulk.api.delete(f"/api/sync/log/{run['id']}").json["status"] == "cancelled"
    assert bulk.work() == ["dropped"]


def test_a_backfill_does_not_overwrite_what_the_live_sync_stored_meanwhile(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    """The live sync stores a newer response between the fetching and the storing of the backfill's page."""
    days = {"start": {"date": f"{TODAY}"}, "end": {"date": f"{TODAY}"}}
    event = platforms.google.add_event({"summary": "Wedding", **days})
    studio.sync("bookings")
    past = started(studio, f"{TODAY}", f"{TODAY}")
    fetch_page = Stream.fetch_page

    def overtaken(stream: Stream[Any], client: Any, cursor: str | None) -> Page[Any]:
        page = fetch_page(stream, client, cursor)
        if stream.cursor is backfills.BackfillCursor:
            platforms.google.update_event(event["id"], {"summary": "Wedding, moved to the garden"})
            platforms.google.delete_event(platforms.google.add_event({"summary": "Called off", **days})["id"])
            live = studio.start("bookings")
            assert sync_execute.execute_run(studio.id, UUID(live["id"]), lambda: PLENTY_MS) == "succeeded"
        return page

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stream, "fetch_page", overtaken)
        assert sync_execute.execute_run(studio.id, UUID(past["id"]), lambda: PLENTY_MS) == "succeeded"
    rows = superuser.run("SELECT title FROM booking WHERE external_id = :id", id=event["id"])
    assert rows == [["Wedding, moved to the garden"]]


class Days:
    """A stream that records the days requested of it, in pages of at most three days."""

    def __init__(self) -> None:
        self.read: list[date] = []
        self.forgetful = False

    def fetch(self, client: Any, window: Window, cursor: CalendarCursor | None) -> Page[CalendarCursor]:
        if cursor is not None and self.forgetful:
            self.forgetful = False
            raise CursorExpired()
        start = date.fromisoformat(cursor.page_token) if cursor and cursor.page_token else window.first
        end = min(start + timedelta(days=2), window.last)
        self.read += [start + timedelta(days=number) for number in range((end - start).days + 1)]
        following = CalendarCursor(page_token=f"{end + timedelta(days=1)}")
        return Page([], following, last=end == window.last)


@given(
    st.dates(date(2020, 1, 1), date(2021, 1, 1)),
    st.integers(0, 100),
    st.integers(1, 40),
    st.booleans(),
)
def test_every_day_of_a_backfill_is_read_newest_slice_first(
    first: date, length: int, slice_days: int, forgetful: bool
) -> None:
    days, window = Days(), Window(first, first + timedelta(days=length))
    days.forgetful = forgetful
    stream = replace(BOOKINGS, fetch=days.fetch, fetch_window=days.fetch, slice_days=slice_days)
    past, cursor, last = backfills.over(stream, window), None, False
    while not last:
        page: Page[Any] = past.fetch(None, cursor)  # type: ignore[arg-type]
        cursor, last = page.cursor, page.last
    expected = {window.first + timedelta(days=number) for number in range(length + 1)}
    assert set(days.read) == expected
    assert len(days.read) <= len(expected) + 3
    assert cursor is not None
    assert cursor.last == window.first - timedelta(days=1)
    assert datetime.combine(days.read[0], datetime.min.time()).date() > window.last - timedelta(days=slice_days)
