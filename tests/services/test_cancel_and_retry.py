"""Runs cancelled while a worker executes them, and runs that are retried."""

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
    """The result of a cancel: the run's status, or the error code."""
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
    """A distant deadline that calls `action` when the worker checks it after page `number`."""
    checks = iter(range(1, 1000))

    def remaining_ms() -> int:
        if next(checks) == number:
            action()
        return PLENTY_MS

    return remaining_ms


class Queued:
    """A locked row of a run: writers queue up for it, and it is released once the wanted number waits."""

    def __init__(self, holder: pg8000.native.Connection, observer: pg8000.native.Connection) -> None:
        self._holder, self._observer = holder, observer
        self._threads = ThreadPoolExecutor()

    def hold(self, run_id: str) -> None:
        """Locks as an UPDATE would: references to the row may still be stored."""
        self._holder.run("BEGIN")
        self._holder.run("SELECT FROM sync_log WHERE id = :id FOR NO KEY UPDATE", id=run_id)

    def start(self, work: Callable[[], Any]) -> "Future[Any]":
        return self._threads.submit(work)

    def wait_for(self, waiting: int) -> None:
        for _ in range(4000):
            if scalar(self._observer, BLOCKED) == waiting:
                return
            sleep(0.005)
        raise AssertionError(f"there were never {waiting} writers waiting")

    def release_at(self, waiting: int, sql: str = "SELECT") -> None:
        """Releases the row once so many are waiting; `sql` runs just before."""
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
    """The cancel queues for the run's row first, the worker with its next page second."""
    futures: list[Future[Any]] = []

    def line_up() -> None:
        queued.hold(run_id)
        futures.append(queued.start(lambda: cancel(bulk, run_id)))
        queued.wait_for(1)
        futures.append(queued.start(lambda: queued.release_at(2)))

    outcome = bulk.work(remaining_ms=after_page(number, line_up))
    return [futures[0].result(), *outcome]


def cancel_behind_the_page_after(number: int, bulk: Studio, run_id: str, queued: Queued) -> list[Any]:
    """The worker queues with its next page first, the cancel second."""
    futures: list[Future[Any]] = []

    def cancel_second() -> str:
        queued.wait_for(1)
        cancelling = queued.start(lambda: cancel(bulk, run_id))
        queued.release_at(2)
        return str(cancelling.result())

    def line_up() -> None:
        queued.hold(run_id)
        futures.append(queued.start(cancel_second))

    outcome = bulk.work(remaining_ms=after_page(number, line_up))
    return [futures[0].result(), *outcome]


def test_a_cancelled_run_stops_at_its_next_page_and_keeps_what_it_stored(
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
    assert platforms.requests.counts()["calendar.events.list"] == 2, "the page in progress was fetched, none after it"
    assert execute(bulk, run["id"]) == "dropped"


@pytest.mark.parametrize("line_up", [cancel_before_the_page_after, cancel_behind_the_page_after])
@pytest.mark.parametrize("page", [1, 2])
def test_a_cancel_during_a_page_is_ordered_before_or_after_it(
    bulk: Studio,
    queued: Queued,
    superuser: pg8000.native.Connection,
    line_up: Callable[[int, Studio, str, Queued], list[Any]],
    page: int,
) -> None:
    """The first in the queue may be overtaken: the worker's references to the run do not wait for the row."""
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


def test_a_run_cancelled_during_a_platform_error_stays_cancelled(bulk: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="shape", body={"items": "gone"}, host=CALENDAR, path=EVENTS, after=1)
    run = bulk.start("bookings")
    assert bulk.work(remaining_ms=after_page(1, lambda: cancel(bulk, run["id"]))) == ["lease_lost"]
    assert (bulk.run(run["id"])["status"], bulk.connection()["lastError"]) == ("cancelled", None)


def test_a_cancelled_run_does_not_start_over_when_its_cursor_expires(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.add_fault(kind="status", status=410, host=CALENDAR, path=f"{EVENTS}[^/]+/events", after=1)
    run = bulk.start("bookings")
    assert bulk.work(remaining_ms=after_page(1, lambda: cancel(bulk, run["id"]))) == ["lease_lost"]
    assert (bulk.run(run["id"])["status"], bulk.run(run["id"])["pages"]) == ("cancelled", 1)


def test_of_two_concurrent_cancels_only_one_succeeds(bulk: Studio, queued: Queued) -> None:
    run = bulk.start("bookings")
    queued.hold(run["id"])
    cancels = [queued.start(lambda: cancel(bulk, run["id"])) for _ in range(2)]
    queued.release_at(2)
    assert sorted(future.result() for future in cancels) == ["cancelled", "run_ended"]


def test_a_cancelled_worker_does_not_disturb_the_next_sync(bulk: Studio, superuser: pg8000.native.Connection) -> None:
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


def test_a_cancel_changes_neither_cursor_nor_failure_count(
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
    assert studio.sync("bookings")["records"]["seen"] == 1, "the next sync resumes where the last success ended"


def test_a_run_claimed_during_a_cancel_does_not_end_before_it_began(
    studio: Studio, queued: Queued, superuser: pg8000.native.Connection
) -> None:
    run = studio.start("bookings")
    queued.hold(run["id"])
    cancelling = queued.start(lambda: cancel(studio, run["id"]))
    queued.release_at(1, "UPDATE sync_log SET status = 'running', started_at = clock_timestamp()")
    assert cancelling.result() == "cancelled"
    done = studio.run(run["id"])
    assert done["startedAt"] <= done["finishedAt"]
    assert done["durationMs"] == 0


def test_a_retry_resumes_from_the_streams_cursor_not_the_failed_page(
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
    assert bulk.run(failed["id"]) == failed, "the log of the failed run is unchanged"


def test_a_retried_incremental_run_reads_changes_since_the_last_success(studio: Studio, platforms: Sandbox) -> None:
    studio.sync("bookings")
    platforms.google.add_event({"summary": "Wedding Adams"})
    platforms.add_fault(kind="shape", body={"items": "gone"}, host=CALENDAR, path=EVENTS)
    failed = studio.sync("bookings")
    again = sync_runs.retry_run(studio.id, UUID(failed["id"]))
    assert studio.work() == ["succeeded"]
    done = studio.run(str(again.id))
    assert (done["fullRead"], done["records"]["created"]) == (False, 1)


def test_two_concurrent_retries_start_one_run(studio: Studio, queued: Queued) -> None:
    run = studio.start("bookings")
    cancel(studio, run["id"])
    retries = [queued.start(lambda: sync_runs.retry_run(studio.id, UUID(run["id"])).id) for _ in range(2)]
    first, second = (future.result() for future in retries)
    assert first == second
    assert len(studio.api.get("/api/sync/log").json["items"]) == 2
