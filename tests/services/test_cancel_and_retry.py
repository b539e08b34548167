"""Runs that are cancelled while a worker is at them, and those that are started again."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import sleep
from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.errors import Conflict
from chalicelib.services.sync import execute as sync_execute
from chalicelib.services.sync import runs as sync_runs
from dev.sandbox import Sandbox
from tests.conftest import Database
from tests.services.conftest import PLENTY_MS, Studio

CALENDAR = "www.googleapis.com"
EVENTS = "/calendar/v3/calendars/"
BLOCKED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND usename LIKE 'ansel%' AND datname = current_database()
"""


def scalar(connection: pg8000.native.Connection, sql: str, **params: Any) -> Any:
    return connection.run(sql, **params)[0][0]


def execute(studio: Studio, run_id: str) -> str:
    return sync_execute.execute_run(studio.id, UUID(run_id), lambda: PLENTY_MS)


def cancel(studio: Studio, run_id: str) -> str:
    """What a cancel is answered: the run's status, or the code of the refusal."""
    try:
        return sync_runs.cancel_run(studio.id, UUID(run_id)).status
    except Conflict as error:
        return error.code


def schedule_of(superuser: pg8000.native.Connection) -> dict[str, Any]:
    rows = superuser.run(
        "SELECT p.cursor, s.failures_in_row FROM sync_schedule AS s"
        " LEFT JOIN account_position AS p ON p.connection_id = s.connection_id AND p.stream = s.stream"
        " WHERE s.stream = 'bookings'"
    )
    return dict(zip(("cursor", "failures_in_row"), rows[0], strict=True))


def after_page(number: int, action: Callable[[], Any]) -> Callable[[], int]:
    """A deadline that is never near, and that acts when the worker asks for it after its page of this number."""
    asked = iter(range(1, 1000))

    def remaining_ms() -> int:
        if next(asked) == number:
            action()
        return PLENTY_MS

    return remaining_ms


class Queued:
    """A run's row, held so that whoever wants to write to it stands in line, and let go when the line is as wished."""

    def __init__(self, holder: pg8000.native.Connection, observer: pg8000.native.Connection) -> None:
        self._holder, self._observer = holder, observer
        self._threads = ThreadPoolExecutor()

    def hold(self, run_id: str) -> None:
        """As an UPDATE of it would: references to it may still be stored."""
        self._holder.run("BEGIN")
        self._holder.run("SELECT FROM sync_log WHERE id = :id FOR NO KEY UPDATE", id=run_id)

    def start(self, work: Callable[[], Any]) -> "Future[Any]":
        return self._threads.submit(work)

    def wait_for(self, waiting: int) -> None:
        for _ in range(4000):
            if scalar(self._observer, BLOCKED) == waiting:
                return
            sleep(0.005)
        raise AssertionError(f"there were never {waiting} in line")

    def let_go_with(self, waiting: int, sql: str = "SELECT") -> None:
        """Once so many are in line; `sql` is done to the row before."""
        self.wait_for(waiting)
        self._holder.run(sql)
        self._holder.run("COMMIT")

    def close(self) -> None:
        self._holder.close()
        self._threads.shutdown()


@pytest.fixture
def queued(clean_database: Database) -> Iterator[Queued]:
    observer = clean_database.connect()
    queued = Queued(clean_database.connect(), observer)
    yield queued
    queued.close()
    observer.close()


def cancel_before_the_page_after(number: int, bulk: Studio, run_id: str, queued: Queued) -> list[Any]:
    """The cancel stands in line for the run first, the worker with its next page second."""
    futures: list[Future[Any]] = []

    def line_up() -> None:
        queued.hold(run_id)
        futures.append(queued.start(lambda: cancel(bulk, run_id)))
        queued.wait_for(1)
        futures.append(queued.start(lambda: queued.let_go_with(2)))

    outcome = bulk.work(remaining_ms=after_page(number, line_up))
    return [futures[0].result(), *outcome]


def cancel_behind_the_page_after(number: int, bulk: Studio, run_id: str, queued: Queued) -> list[Any]:
    """The worker stands in line with its next page first, the cancel second."""
    futures: list[Future[Any]] = []

    def cancel_second() -> str:
        queued.wait_for(1)
        cancelling = queued.start(lambda: cancel(bulk, run_id))
        queued.let_go_with(2)
        return str(cancelling.result())

    def line_up() -> None:
        queued.hold(run_id)
        futures.append(queued.start(cancel_second))

    outcome = bulk.work(remaining_ms=after_page(number, line_up))
    return [futures[0].result(), *outcome]


def test_a_cancelled_run_stops_at_its_next_page_and_what_it_stored_stays(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    run = bulk.start("bookings")
    answers: list[str] = []
    platforms.requests.clear()
    assert bulk.work(remaining_ms=after_page(1, lambda: answers.append(cancel(bulk, run["id"])))) == ["lease_lost"]
    done = bulk.run(run["id"])
    assert answers == ["cancelled"]
    assert (done["status"], done["error"]["code"], done["pages"]) == ("cancelled", "cancelled", 1)
    assert done["durationMs"] >= 0
    assert scalar(superuser, "SELECT count(*) FROM booking") == done["records"]["created"] == 1000
    assert scalar(superuser, "SELECT count(*) FROM sync_seen") == 0
    assert schedule_of(superuser) == {"cursor": None, "failures_in_row": 0}
    assert platforms.requests.counts()["calendar.events.list"] == 2, "the page under way was fetched, none after it"
    assert execute(bulk, run["id"]) == "dropped"


@pytest.mark.parametrize("line_up", [cancel_before_the_page_after, cancel_behind_the_page_after])
@pytest.mark.parametrize("page", [1, 2])
def test_a_cancel_that_meets_a_page_goes_before_or_after_it_and_leaves_nothing_half(
    bulk: Studio,
    queued: Queued,
    superuser: pg8000.native.Connection,
    line_up: Callable[[int, Studio, str, Queued], list[Any]],
    page: int,
) -> None:
    """Whoever stands first in line may still be passed: the worker refers to the run from what it has seen."""
    run = bulk.start("bookings")
    outcome = line_up(page, bulk, run["id"], queued)
    done = bulk.run(run["id"])
    seen, cursor = done["records"]["seen"], schedule_of(superuser)["cursor"]
    if done["status"] == "cancelled":
        assert (outcome, cursor) == (["cancelled", "lease_lost"], None)
        assert seen in {1: (1000, 2000), 2: (2000,)}[page]
    else:
        assert (outcome, page, seen) == (["run_ended", "succeeded"], 2, 2500)
        assert cursor is not None
    assert scalar(superuser, "SELECT count(*) FROM booking") == seen
    assert scalar(superuser, "SELECT count(*) FROM sync_seen") == 0


def test_a_run_cancelled_while_its_platform_fails_stays_cancelled(bulk: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="shape", body={"items": "gone"}, host=CALENDAR, path=EVENTS, after=1)
    run = bulk.start("bookings")
    assert bulk.work(remaining_ms=after_page(1, lambda: cancel(bulk, run["id"]))) == ["lease_lost"]
    assert (bulk.run(run["id"])["status"], bulk.connection()["lastError"]) == ("cancelled", None)


def test_a_cancelled_run_is_not_started_over_when_its_cursor_is_forgotten(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.add_fault(kind="status", status=410, host=CALENDAR, path=f"{EVENTS}[^/]+/events", after=1)
    run = bulk.start("bookings")
    assert bulk.work(remaining_ms=after_page(1, lambda: cancel(bulk, run["id"]))) == ["lease_lost"]
    assert (bulk.run(run["id"])["status"], bulk.run(run["id"])["pages"]) == ("cancelled", 1)


def test_of_two_cancels_at_once_one_cancels_and_the_other_finds_the_run_ended(bulk: Studio, queued: Queued) -> None:
    run = bulk.start("bookings")
    queued.hold(run["id"])
    cancels = [queued.start(lambda: cancel(bulk, run["id"])) for _ in range(2)]
    queued.let_go_with(2)
    assert sorted(future.result() for future in cancels) == ["cancelled", "run_ended"]


def test_a_cancelled_worker_does_not_disturb_the_sync_started_right_after(
    bulk: Studio, superuser: pg8000.native.Connection
) -> None:
    first = bulk.start("bookings")
    outcomes: list[Any] = []

    def cancel_and_sync_again() -> None:
        outcomes.append(cancel(bulk, first["id"]))
        second = bulk.start("bookings")
        outcomes.extend((second["id"], execute(bulk, second["id"])))

    assert bulk.work(remaining_ms=after_page(1, cancel_and_sync_again)) == ["lease_lost", "dropped"]
    answer, second_id, outcome = outcomes
    assert (answer, outcome) == ("cancelled", "succeeded")
    assert second_id != first["id"]
    second = bulk.run(second_id)
    assert (second["records"]["created"], second["records"]["unchanged"], second["pages"]) == (1500, 1000, 3)
    assert (bulk.run(first["id"])["status"], bulk.run(first["id"])["pages"]) == ("cancelled", 1)
    assert schedule_of(superuser)["cursor"] is not None


def test_a_cancel_leaves_the_cursor_and_the_count_of_failures_as_they_were(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio.sync("bookings")
    platforms.add_fault(kind="shape", body={"items": "gone"}, host=CALENDAR, path=EVENTS)
    assert studio.sync("bookings")["status"] == "failed"
    before = schedule_of(superuser)
    assert before["failures_in_row"] == 1
    platforms.add_fault(kind="status", status=503, host=CALENDAR, path=EVENTS)
    deferred = studio.sync("bookings")
    assert deferred["status"] == "deferred"
    assert cancel(studio, deferred["id"]) == "cancelled"
    assert schedule_of(superuser) == before
    assert studio.run(deferred["id"])["resumeAt"] is None
    platforms.google.add_event({"summary": "Wedding Adams"})
    assert studio.sync("bookings")["records"]["seen"] == 1, "the next sync goes on where the last success ended"


def test_a_run_taken_up_while_a_cancel_waited_does_not_end_before_it_began(
    studio: Studio, queued: Queued, superuser: pg8000.native.Connection
) -> None:
    run = studio.start("bookings")
    queued.hold(run["id"])
    cancelling = queued.start(lambda: cancel(studio, run["id"]))
    queued.let_go_with(1, "UPDATE sync_log SET status = 'running', started_at = clock_timestamp()")
    assert cancelling.result() == "cancelled"
    done = studio.run(run["id"])
    assert done["startedAt"] <= done["finishedAt"]
    assert done["durationMs"] == 0


def test_a_retry_goes_on_from_the_streams_cursor_and_not_from_the_failed_page(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.add_fault(kind="shape", body={"items": "gone"}, host=CALENDAR, path=EVENTS, after=2)
    failed = bulk.sync("bookings")
    assert (failed["status"], failed["pages"]) == ("failed", 2)
    again = sync_runs.retry_run(bulk.id, UUID(failed["id"]))
    assert bulk.work() == ["succeeded"]
    done = bulk.run(str(again.id))
    assert (done["trigger"], done["fullRead"], done["pages"]) == ("retry", True, 3)
    assert (done["records"]["created"], done["records"]["unchanged"]) == (500, 2000)
    assert scalar(superuser, "SELECT count(*) FROM booking") == 2500
    assert schedule_of(superuser)["failures_in_row"] == 0
    assert bulk.run(failed["id"]) == failed, "what was logged stays as it was"


def test_a_retry_of_an_incremental_run_reads_what_came_since_the_last_success(
    studio: Studio, platforms: Sandbox
) -> None:
    studio.sync("bookings")
    platforms.google.add_event({"summary": "Wedding Adams"})
    platforms.add_fault(kind="shape", body={"items": "gone"}, host=CALENDAR, path=EVENTS)
    failed = studio.sync("bookings")
    again = sync_runs.retry_run(studio.id, UUID(failed["id"]))
    assert studio.work() == ["succeeded"]
    done = studio.run(str(again.id))
    assert (done["fullRead"], done["records"]["created"]) == (False, 1)


def test_two_retries_at_once_start_one_run(studio: Studio, queued: Queued) -> None:
    run = studio.start("bookings")
    cancel(studio, run["id"])
    retries = [queued.start(lambda: sync_runs.retry_run(studio.id, UUID(run["id"])).id) for _ in range(2)]
    first, second = (future.result() for future in retries)
    assert first == second
    assert len(studio.api.get("/api/sync/log").json["items"]) == 2
