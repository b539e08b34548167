"""Schedules paused and resumed by the studio, and schedules paused by a broken connection."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from time import sleep
from typing import Any

import pg8000.native
import pytest

from chalicelib.data.connections import FIND_STORED_CONNECTION
from chalicelib.data.postgres.database import read
from chalicelib.errors import TokenRevoked
from chalicelib.services.connections import state as connection_state
from chalicelib.services.scheduling.schedules import start_due_runs
from tests.conftest import Answer, Api, Database, Studios, from_now, paused_streams

BLOCKED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND usename LIKE 'ansel%' AND datname = current_database()
"""


@pytest.fixture
def studio(api: Api, superuser: pg8000.native.Connection) -> Api:
    """A connected studio whose bookings sync hourly; nothing is due."""
    assert api.post("/api/connections", {"platform": "google", "accessToken": "ya29.x"}).status == 201
    put(api, "hourly")
    superuser.run("UPDATE sync_schedule SET next_run_at = now() + interval '30 minutes'")
    return api


def put(api: Api, frequency: str) -> dict[str, Any]:
    answer = api.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": frequency})
    assert answer.status == 200, answer.text
    return answer.json  # type: ignore[no-any-return]


def ask(api: Api, verb: str, stream: str = "bookings", **headers: str) -> Answer:
    return api.post(f"/api/sync/google/schedule/{verb}", {"syncType": stream}, **headers)


def pause(api: Api) -> dict[str, Any]:
    answer = ask(api, "pause")
    assert answer.status == 200, answer.text
    return answer.json  # type: ignore[no-any-return]


def resume(api: Api) -> dict[str, Any]:
    answer = ask(api, "resume")
    assert answer.status == 200, answer.text
    return answer.json  # type: ignore[no-any-return]


def fail_connection(api: Api) -> None:
    stored = read(api.studio_id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert stored is not None
    connection_state.fail_connection(stored, TokenRevoked())


def refresh(api: Api) -> None:
    assert api.put("/api/connections/google", {"accessToken": "ya29.y"}).status == 200


def status(api: Api, stream: str = "bookings") -> dict[str, Any]:
    return next(item for item in api.get("/api/sync/status").json["items"] if item["syncType"] == stream)


def pausers(api: Api) -> dict[str, str | None]:
    items = api.get("/api/sync/status").json["items"]
    paused_by = {item["syncType"]: item["pausedBy"] for item in items}
    assert paused_streams(api) == {stream: by is not None for stream, by in paused_by.items()}
    return paused_by


def make_due(superuser: pg8000.native.Connection, *, late: str = "1 second") -> None:
    superuser.run(f"UPDATE sync_schedule SET next_run_at = now() - interval '{late}' WHERE stream = 'bookings'")


def wait_of(schedule: dict[str, Any]) -> timedelta:
    return from_now(schedule["nextRunAt"])


def row(superuser: pg8000.native.Connection) -> Any:
    return superuser.run("SELECT s::text FROM sync_schedule AS s WHERE stream = 'bookings'")


def test_a_pause_returns_the_schedule_and_shows_in_the_status(studio: Api) -> None:
    assert pause(studio) == {
        "connectionId": studio.get("/api/connections/google").json["id"],
        "platform": "google",
        "syncType": "bookings",
        "frequency": "hourly",
        "nextRunAt": None,
        "paused": True,
        "pausedBy": "studio",
    }
    stream = status(studio)
    assert (stream["paused"], stream["pausedBy"], stream["nextRunAt"]) == (True, "studio", None)
    assert pausers(studio) == {"bookings": "studio", "inquiries": None}


def test_a_paused_schedule_starts_nothing_but_manual_syncs_work(
    studio: Api, superuser: pg8000.native.Connection
) -> None:
    pause(studio)
    make_due(superuser)
    assert start_due_runs() == 0
    answer = studio.post("/api/sync/google", {"syncType": "bookings"})
    assert (answer.status, answer.json["runs"][0]["status"]) == (202, "queued")
    assert status(studio)["pausedBy"] == "studio"


def test_a_run_in_progress_continues_when_its_schedule_is_paused(
    studio: Api, superuser: pg8000.native.Connection
) -> None:
    make_due(superuser)
    assert start_due_runs() == 1
    pause(studio)
    assert status(studio)["running"]["status"] == "queued"


def test_a_resumed_schedule_is_due_at_its_next_window_without_catching_up(
    studio: Api, superuser: pg8000.native.Connection
) -> None:
    pause(studio)
    make_due(superuser, late="6 hours")
    resumed = resume(studio)
    assert (resumed["paused"], resumed["pausedBy"]) == (False, None)
    assert timedelta(0) < wait_of(resumed) <= timedelta(hours=1)
    assert start_due_runs() == 0
    assert status(studio)["missedWindows"] == 0
    make_due(superuser)
    assert start_due_runs() == 1
    assert status(studio)["missedWindows"] == 0


def test_a_resumed_cron_schedule_follows_the_studios_time_zone(studios: Studios) -> None:
    api = studios.new(time_zone="Asia/Kolkata")
    assert api.post("/api/connections", {"platform": "google", "accessToken": "ya29.x"}).status == 201
    before = put(api, "15 7 * * *")
    pause(api)
    assert resume(api)["nextRunAt"] == before["nextRunAt"]
    assert before["nextRunAt"].endswith("T01:45:00Z")


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_second_pause_or_resume_changes_nothing_and_returns_the_same(
    studio: Api, superuser: pg8000.native.Connection, verb: str
) -> None:
    pause(studio)
    first = ask(studio, verb)
    before = row(superuser)
    again = ask(studio, verb)
    assert (again.status, again.text) == (200, first.text)
    assert row(superuser) == before


def test_resuming_an_unpaused_schedule_changes_nothing(studio: Api, superuser: pg8000.native.Connection) -> None:
    make_due(superuser)
    before = row(superuser)
    assert resume(studio)["paused"] is False
    assert row(superuser) == before
    assert start_due_runs() == 1


def test_changing_a_paused_schedule_keeps_it_paused(studio: Api, superuser: pg8000.native.Connection) -> None:
    pause(studio)
    changed = put(studio, "daily")
    assert (changed["frequency"], changed["paused"], changed["pausedBy"]) == ("daily", True, "studio")
    assert changed["nextRunAt"] is None
    make_due(superuser)
    assert start_due_runs() == 0
    assert timedelta(0) < wait_of(resume(studio)) <= timedelta(days=1)


def test_a_pause_by_the_studio_survives_a_failure_and_a_reconnection(
    studio: Api, superuser: pg8000.native.Connection
) -> None:
    pause(studio)
    (since,) = superuser.run("SELECT paused_at FROM sync_schedule WHERE stream = 'bookings'")
    fail_connection(studio)
    assert pausers(studio) == {"bookings": "studio", "inquiries": "connection"}
    refresh(studio)
    assert pausers(studio) == {"bookings": "studio", "inquiries": None}
    assert superuser.run("SELECT paused_at FROM sync_schedule WHERE stream = 'bookings'") == [since]


def test_the_studio_can_take_over_a_pause_by_the_connection(studio: Api) -> None:
    fail_connection(studio)
    assert pausers(studio) == {"bookings": "connection", "inquiries": "connection"}
    assert pause(studio)["pausedBy"] == "studio"
    refresh(studio)
    assert pausers(studio) == {"bookings": "studio", "inquiries": None}


def test_a_resume_while_the_connection_is_broken_makes_the_pause_the_connections(
    studio: Api, superuser: pg8000.native.Connection
) -> None:
    pause(studio)
    fail_connection(studio)
    make_due(superuser, late="6 hours")
    first = resume(studio)
    assert (first["paused"], first["pausedBy"], first["nextRunAt"]) == (True, "connection", None)
    before = row(superuser)
    assert resume(studio) == first
    assert row(superuser) == before
    refresh(studio)
    assert pausers(studio) == {"bookings": None, "inquiries": None}
    assert timedelta(0) < wait_of(status(studio)) <= timedelta(hours=1)
    assert start_due_runs() == 0


def test_a_pause_without_a_recorded_owner_is_the_connections(studio: Api, superuser: pg8000.native.Connection) -> None:
    fail_connection(studio)
    superuser.run("UPDATE sync_schedule SET paused_by = NULL")
    assert pausers(studio) == {"bookings": "connection", "inquiries": "connection"}
    assert resume(studio)["pausedBy"] == "connection"
    refresh(studio)
    assert pausers(studio) == {"bookings": None, "inquiries": None}


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_an_unscheduled_stream_can_be_neither_paused_nor_resumed(studio: Api, verb: str) -> None:
    assert studio.delete("/api/sync/google/schedule?syncType=bookings").status == 204
    answer = ask(studio, verb)
    assert (answer.status, answer.json["code"]) == (404, "schedule_not_found")
    assert ask(studio, verb, "inquiries").status == 200


def test_a_removed_and_restored_schedule_starts_afresh(studio: Api, superuser: pg8000.native.Connection) -> None:
    pause(studio)
    studio.delete("/api/sync/google/schedule?syncType=bookings")
    assert pausers(studio)["bookings"] is None
    assert put(studio, "hourly")["paused"] is False
    make_due(superuser)
    assert start_due_runs() == 1


def test_a_schedule_restored_while_the_connection_is_broken_is_paused_by_it(studio: Api) -> None:
    pause(studio)
    studio.delete("/api/sync/google/schedule?syncType=bookings")
    fail_connection(studio)
    assert put(studio, "hourly")["pausedBy"] == "connection"
    refresh(studio)
    assert pausers(studio)["bookings"] is None


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_pausing_and_resuming_need_a_stream_that_can_be_scheduled(studio: Api, verb: str) -> None:
    assert studio.post("/api/connections", {"platform": "website"}).status == 201
    website = studio.post(f"/api/sync/website/schedule/{verb}", {"syncType": "reviews"})
    assert (website.status, website.json["code"]) == (409, "platform_not_supported")
    unknown = ask(studio, verb, "reviews")
    assert (unknown.status, unknown.json["errors"][0]["field"]) == (422, "syncType")


def test_repeating_a_pause_with_its_idempotency_key_does_not_pause_again(studio: Api) -> None:
    first = ask(studio, "pause", Idempotency_Key="pause-1")
    resume(studio)
    again = ask(studio, "pause", Idempotency_Key="pause-1")
    assert (again.status, again.text, again.headers["Idempotency-Replayed"]) == (200, first.text, "true")
    assert pausers(studio)["bookings"] is None


class Line:
    """A locked row of a connection: writers queue up for it and proceed in the order of their arrival."""

    def __init__(self, database: Database) -> None:
        self._holder, self._observer = database.connect(), database.connect()
        self._threads = ThreadPoolExecutor()
        self._waiting: list[Future[Any]] = []

    def form(self) -> None:
        self._holder.run("BEGIN")
        self._holder.run("SELECT FROM platform_connection FOR NO KEY UPDATE")

    def join(self, work: Callable[[], Any]) -> None:
        self._waiting.append(self._threads.submit(work))
        for _ in range(4000):
            if self._observer.run(BLOCKED) == [[len(self._waiting)]]:
                return
            sleep(0.005)
        raise AssertionError("the writer never waited for the row")

    def serve(self) -> None:
        """Releases the row; raises the error of any writer."""
        self._holder.run("COMMIT")
        for future in self._waiting:
            future.result()

    def close(self) -> None:
        self._holder.close()
        self._threads.shutdown()
        self._observer.close()


@pytest.fixture
def line(clean_database: Database) -> Iterator[Line]:
    line = Line(clean_database)
    yield line
    line.close()


@pytest.mark.parametrize("resume_first", [True, False])
def test_a_connection_failing_during_a_resume_pauses_the_schedule(studio: Api, line: Line, resume_first: bool) -> None:
    pause(studio)
    line.form()
    for work in (resume, fail_connection) if resume_first else (fail_connection, resume):
        line.join(partial(work, studio))
    line.serve()
    assert pausers(studio)["bookings"] == "connection"


@pytest.mark.parametrize("resume_first", [True, False])
def test_a_reconnection_during_a_resume_leaves_nothing_paused(studio: Api, line: Line, resume_first: bool) -> None:
    pause(studio)
    fail_connection(studio)
    line.form()
    for work in (resume, refresh) if resume_first else (refresh, resume):
        line.join(partial(work, studio))
    line.serve()
    assert pausers(studio) == {"bookings": None, "inquiries": None}
