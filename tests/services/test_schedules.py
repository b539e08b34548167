"""Schedules and the tick that serves them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pg8000.native
import pytest

from chalicelib.services.scheduling import schedules
from chalicelib.services.scheduling.schedules import start_due_runs
from tests.conftest import Api, Queue, Studios, from_now

STREAMS = ["bookings", "inquiries"]


@pytest.fixture
def studio(api: Api) -> Api:
    """A connected studio; nothing is due."""
    connect(api)
    start_due_runs()
    finish_runs(api)
    return api


def connect(api: Api) -> None:
    assert api.post("/api/connections", {"platform": "google", "accessToken": "ya29.x"}).status == 201


def finish_runs(api: Api) -> None:
    from chalicelib.data.postgres.database import transaction
    from chalicelib.data.postgres.query import Query

    finish: Query[None] = Query("UPDATE sync_log SET status = 'succeeded', finished_at = now()")
    with transaction(api.studio_id) as tx:
        tx.run(finish)


def make_due(superuser: pg8000.native.Connection, *, late: str = "1 second", stream: str = "bookings") -> None:
    superuser.run(f"UPDATE sync_schedule SET next_run_at = now() - interval '{late}' WHERE stream = :s", s=stream)


def status(api: Api, stream: str = "bookings") -> dict[str, Any]:
    return next(item for item in api.get("/api/sync/status").json["items"] if item["syncType"] == stream)


def test_a_new_connections_streams_are_due_at_once(api: Api, queue: Queue) -> None:
    connect(api)
    assert start_due_runs() == 2
    runs = api.get("/api/sync/log").json["items"]
    assert sorted(run["syncType"] for run in runs) == STREAMS
    assert {run["trigger"] for run in runs} == {"schedule"}
    assert {message["id"] for message in queue.receive()} == {run["id"] for run in runs}


def test_messages_hold_only_ids(api: Api, queue: Queue) -> None:
    connect(api)
    start_due_runs()
    messages = queue.receive()
    assert len(messages) == 2
    for message in messages:
        assert (set(message), message["kind"]) == ({"kind", "id", "studioId"}, "run")
        assert message["studioId"] == str(api.studio_id)


def test_nothing_starts_before_a_schedule_is_due(studio: Api, queue: Queue) -> None:
    queue.receive()
    assert start_due_runs() == 0
    assert queue.receive() == []


def test_after_a_tick_a_schedule_is_due_again_within_its_period(
    studio: Api, superuser: pg8000.native.Connection
) -> None:
    studio.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": "every 30 minutes"})
    make_due(superuser)
    assert start_due_runs() == 1
    wait = from_now(status(studio)["nextRunAt"])
    assert timedelta(0) < wait <= timedelta(minutes=30)


def test_missed_windows_are_merged_into_one_run_and_counted(studio: Api, superuser: pg8000.native.Connection) -> None:
    studio.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": "hourly"})
    (due_in_ms,) = superuser.run(
        """
        UPDATE sync_schedule SET next_run_at = next_run_at - interval '6 hours' WHERE stream = 'bookings'
        RETURNING extract(epoch FROM now() - next_run_at) * 1000
        """
    )[0]
    assert start_due_runs() == 1
    assert status(studio)["missedWindows"] == 5
    assert status(studio, "inquiries")["missedWindows"] == 0
    newest = studio.get("/api/sync/log?limit=1").json["items"][0]
    assert newest["scheduleLagMs"] == pytest.approx(float(due_in_ms), abs=60_000)
    assert status(studio)["lastRun"]["scheduleLagMs"] == newest["scheduleLagMs"]


def test_a_cron_schedule_keeps_running_at_its_local_time(studios: Studios, superuser: pg8000.native.Connection) -> None:
    api = studios.new(time_zone="America/New_York")
    connect(api)
    start_due_runs()
    finish_runs(api)
    answer = api.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": " 0 7 * * MON-FRI "})
    assert (answer.status, answer.json["frequency"]) == (200, "0 7 * * mon-fri")
    assert start_due_runs() == 0
    make_due(superuser, late="15 days")
    assert start_due_runs() == 1
    next_run = datetime.fromisoformat(status(api)["nextRunAt"]).astimezone(ZoneInfo("America/New_York"))
    assert (next_run.time(), next_run.weekday() < 5) == (time(7), True)
    assert status(api)["missedWindows"] in (10, 11)  # depends on the weekday on which these fifteen days begin


def test_a_schedule_with_a_run_in_progress_starts_no_second_one(
    studio: Api, superuser: pg8000.native.Connection
) -> None:
    make_due(superuser)
    assert start_due_runs() == 1
    make_due(superuser)
    assert start_due_runs() == 0
    assert superuser.run("SELECT count(*) FROM sync_log WHERE status = 'queued'") == [[1]]


def test_two_concurrent_ticks_start_each_run_once(studios: Studios, superuser: pg8000.native.Connection) -> None:
    for _ in range(20):
        connect(studios.new("connections:write"))
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: start_due_runs(), range(4)))
    assert sum(started) == 40
    assert superuser.run("SELECT count(*) FROM sync_log") == [[40]]


def test_one_tick_serves_more_due_schedules_than_a_batch(
    studios: Studios, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "BATCH", 4)
    for _ in range(5):
        connect(studios.new("connections:write"))
    assert start_due_runs() == 10


def test_a_paused_schedule_starts_nothing(studio: Api, superuser: pg8000.native.Connection) -> None:
    make_due(superuser)
    superuser.run("UPDATE sync_schedule SET paused_at = now()")
    assert start_due_runs() == 0


def test_a_removed_schedule_starts_nothing_but_manual_syncs_work(
    studio: Api, superuser: pg8000.native.Connection
) -> None:
    assert studio.delete("/api/sync/google/schedule?syncType=bookings").status == 204
    assert status(studio)["frequency"] is None
    assert start_due_runs() == 0
    assert studio.post("/api/sync/google", {"syncType": "bookings"}).status == 202
    assert studio.delete("/api/sync/google/schedule?syncType=bookings").json["code"] == "schedule_not_found"


def test_a_removed_schedule_can_be_restored(studio: Api) -> None:
    studio.delete("/api/sync/google/schedule?syncType=bookings")
    answer = studio.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": "Daily"})
    assert (answer.status, answer.json["frequency"]) == (200, "daily")
    assert status(studio)["frequency"] == "daily"


@pytest.mark.parametrize("state", ["queued", "running", "deferred"])
def test_an_unclaimed_run_is_re_enqueued(
    studio: Api, queue: Queue, superuser: pg8000.native.Connection, state: str
) -> None:
    queue.receive()
    studio.post("/api/sync/google", {"syncType": "bookings"})
    (message,) = queue.receive()
    superuser.run("UPDATE sync_log SET status = :state, enqueue_at = now() WHERE status = 'queued'", state=state)
    assert start_due_runs() == 1
    assert queue.receive() == [message]
    assert start_due_runs() == 0


def test_a_finished_run_is_never_re_enqueued(studio: Api, superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE sync_log SET enqueue_at = now()")
    assert start_due_runs() == 0


def test_an_unreachable_queue_loses_a_message_but_no_run(
    api: Api, queue: Queue, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.settings import get_settings

    connect(api)
    monkeypatch.setenv("SYNC_QUEUE_URL", f"{queue.url}-that-is-not-there")
    get_settings.cache_clear()
    assert start_due_runs() == 2
    monkeypatch.undo()
    get_settings.cache_clear()
    superuser.run("UPDATE sync_log SET enqueue_at = now()")
    assert start_due_runs() == 2
    assert len(queue.receive()) == 2


@pytest.mark.parametrize(
    "frequency",
    [
        *("", "sometimes", "every 4 minutes", "every 1441 minutes", "every 169 hours", "x" * 101),
        *("*/4 * * * *", "0 7 * * 9", "0 0 7 * * *", "@daily", "0 0 31 2 *"),
    ],
)
def test_an_unknown_frequency_is_rejected_by_name(studio: Api, frequency: str) -> None:
    answer = studio.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": frequency})
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "frequency"


def test_every_schedule_keeps_its_own_phase_in_the_period(studios: Studios) -> None:
    next_runs = set()
    for _ in range(5):
        api = studios.new()
        connect(api)
        answer = api.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": "weekly"})
        again = api.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": "weekly"})
        assert again.json == answer.json
        next_runs.add(answer.json["nextRunAt"])
    assert len(next_runs) == 5
