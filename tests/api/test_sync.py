"""The sync routes: starting runs, scheduling them, and the log of what they did."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.services.scheduling.frequency import parse_frequency
from dev.sandbox import pinterest, yelp
from tests.api.seeding import connect_google, seed_runs
from tests.api.working import execute_run
from tests.conftest import Api, Queue, Studios, from_now

STREAMS = ["bookings", "inquiries"]


@pytest.fixture
def connected(api: Api, platforms: Any) -> Api:
    connect_google(api)
    return api


def enough() -> int:
    return 60_000


def start(api: Api, **body: str) -> list[dict[str, str]]:
    answer = api.post("/api/sync/google", body)
    assert answer.status == 202, answer.text
    runs: list[dict[str, str]] = answer.json["runs"]
    return runs


def test_a_sync_queues_a_run_for_each_stream_and_enqueues_once_per_run(connected: Api, queue: Queue) -> None:
    runs = start(connected)
    assert [(run["syncType"], run["status"]) for run in runs] == [(stream, "queued") for stream in STREAMS]
    messages = queue.receive()
    assert sorted(message["id"] for message in messages) == sorted(run["id"] for run in runs)
    for message in messages:
        assert message == {"kind": "run", "id": message["id"], "studioId": str(connected.studio_id)}


def test_a_sync_of_one_stream_queues_only_that_stream(connected: Api, queue: Queue) -> None:
    (run,) = start(connected, syncType="inquiries")
    assert run["syncType"] == "inquiries"
    assert [message["id"] for message in queue.receive()] == [run["id"]]


def test_a_run_in_progress_is_returned_instead_of_starting_another(connected: Api, queue: Queue) -> None:
    (first,) = start(connected, syncType="bookings")
    queue.receive()
    assert start(connected, syncType="bookings") == [first]
    assert queue.receive() == [], "its message has been enqueued already"
    runs = start(connected)
    assert first in runs
    assert len(queue.receive()) == 1
    assert len(connected.get("/api/sync/log").json["items"]) == 2


def test_after_a_run_ends_a_new_one_can_be_started(connected: Api) -> None:
    (first,) = start(connected, syncType="bookings")
    assert execute_run(connected.studio_id, UUID(first["id"]), enough) == "succeeded"
    (second,) = start(connected, syncType="bookings")
    assert second["id"] > first["id"]


@pytest.mark.parametrize("path", ["/api/sync/google", "/api/sync/google/schedule"])
def test_an_unknown_sync_type_is_rejected_and_the_known_ones_named(connected: Api, queue: Queue, path: str) -> None:
    send = connected.put if path.endswith("schedule") else connected.post
    body = {"syncType": "reviews"} | ({"frequency": "daily"} if path.endswith("schedule") else {})
    answer = send(path, body)
    assert (answer.status, answer.json["code"]) == (422, "invalid_input")
    assert answer.json["errors"] == [{"field": "syncType", "problem": "must be one of bookings, inquiries"}]
    assert queue.receive() == []


def test_unsupported_actions_of_a_platform_are_a_conflict(api: Api) -> None:
    assert api.post("/api/connections", {"platform": "pinterest", "accessToken": "token"}).status == 201
    assert api.post("/api/connections", {"platform": "website"}).status == 201
    for answer in (
        api.post("/api/sync/pinterest"),
        api.put("/api/sync/pinterest/schedule", {"syncType": "posts", "frequency": "daily"}),
        api.delete("/api/sync/pinterest/schedule?syncType=posts"),
        api.post("/api/connections/website/test"),
    ):
        assert (answer.status, answer.json["code"]) == (409, "platform_not_supported")


@pytest.mark.parametrize(("platform", "tested"), [("pinterest", True), ("yelp", True), ("website", False)])
def test_the_detail_says_correctly_whether_a_platform_can_be_tested(
    api: Api, platforms: Any, platform: str, tested: bool
) -> None:
    body = {"yelp": {"accountId": yelp.BUSINESS_ID}, "pinterest": {"accessToken": pinterest.issue_token().access_token}}
    assert api.post("/api/connections", {"platform": platform, **body.get(platform, {})}).status == 201
    detail = api.post(f"/api/sync/{platform}").json["detail"]
    assert ("can be tested" in detail) is tested
    assert (api.post(f"/api/connections/{platform}/test").status == 200) is tested


def test_a_platform_that_is_not_connected_cannot_be_synced_or_scheduled(api: Api) -> None:
    for answer in (
        api.post("/api/sync/google"),
        api.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": "daily"}),
    ):
        assert (answer.status, answer.json["code"]) == (404, "connection_not_found")
    assert api.delete("/api/sync/google/schedule?syncType=bookings").json["code"] == "schedule_not_found"


def test_a_connection_that_must_be_reconnected_cannot_be_synced(connected: Api, platforms: Any, queue: Queue) -> None:
    platforms.google.revoke("empty")
    assert connected.post("/api/connections/google/test").json["valid"] is False
    answer = connected.post("/api/sync/google")
    assert (answer.status, answer.json["code"]) == (409, "connection_not_active")
    assert queue.receive() == []


def test_a_schedule_is_created_changed_and_removed(connected: Api) -> None:
    first = connected.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": "  Every 30 MINUTES "})
    assert first.status == 200
    assert {**first.json, "nextRunAt": None} == {
        "connectionId": connected.get("/api/connections/google").json["id"],
        "platform": "google",
        "syncType": "bookings",
        "frequency": "every 30 minutes",
        "nextRunAt": None,
        "paused": False,
        "pausedBy": None,
    }
    until = from_now(first.json["nextRunAt"])
    assert timedelta(0) < until <= timedelta(minutes=30)
    assert connected.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": "daily"}).status == 200
    assert stream_of(connected, "bookings")["frequency"] == "daily"
    assert connected.delete("/api/sync/google/schedule?syncType=bookings").status == 204
    stream = stream_of(connected, "bookings")
    assert (stream["frequency"], stream["nextRunAt"]) == (None, None)
    assert stream_of(connected, "inquiries")["frequency"], "the other stream keeps its schedule"
    again = connected.delete("/api/sync/google/schedule?syncType=bookings")
    assert (again.status, again.json["code"]) == (404, "schedule_not_found")
    assert start(connected, syncType="bookings"), "it can still be synced manually"


def test_removing_a_schedule_requires_the_stream(connected: Api) -> None:
    answer = connected.delete("/api/sync/google/schedule")
    assert (answer.status, answer.json["errors"]) == (422, [{"field": "syncType", "problem": "is missing"}])


def stream_of(api: Api, name: str) -> dict[str, Any]:
    return next(item for item in api.get("/api/sync/status").json["items"] if item["syncType"] == name)


def test_the_streams_of_a_new_connection_are_due_and_have_no_runs(connected: Api) -> None:
    items = connected.get("/api/sync/status").json["items"]
    assert [(item["platform"], item["syncType"]) for item in items] == [("google", stream) for stream in STREAMS]
    for item in items:
        parse_frequency(item["frequency"])
        assert item["connectionStatus"] == "active"
        assert from_now(item["nextRunAt"]) <= timedelta()
        assert (item["lastRun"], item["lastSuccessAt"], item["running"]) == (None, None, None)
        assert (item["paused"], item["pausedBy"], item["failuresInRow"]) == (False, None, 0)


def test_the_status_follows_a_run_from_the_queue_to_its_end(connected: Api) -> None:
    (run,) = start(connected, syncType="bookings")
    assert stream_of(connected, "bookings")["running"] == {**run, "attempts": 0}
    assert stream_of(connected, "inquiries")["running"] is None
    execute_run(connected.studio_id, UUID(run["id"]), enough)
    done = stream_of(connected, "bookings")
    assert done["running"] is None
    assert (done["lastRun"]["id"], done["lastRun"]["status"]) == (run["id"], "succeeded")
    assert done["lastSuccessAt"] == done["lastRun"]["finishedAt"]
    assert connected.get("/api/connections/google").json["lastSyncAt"] == done["lastSuccessAt"]


def test_the_status_shows_a_failure_and_the_resulting_pause(connected: Api, platforms: Any) -> None:
    (run,) = start(connected, syncType="bookings")
    platforms.google.revoke("empty")
    assert execute_run(connected.studio_id, UUID(run["id"]), enough) == "failed"
    broken = stream_of(connected, "bookings")
    assert (broken["connectionStatus"], broken["pausedBy"], broken["failuresInRow"]) == ("revoked", "connection", 1)
    assert broken["lastRun"]["error"]["code"] == "token_revoked"
    assert broken["lastSuccessAt"] is None


def test_a_run_reports_what_it_did(studios: Studios, platforms: Any) -> None:
    api = studios.new()
    connect_google(api, "studio")
    (started,) = start(api, syncType="bookings")
    queued = api.get(f"/api/sync/log/{started['id']}").json
    assert (queued["status"], queued["trigger"], queued["startedAt"]) == ("queued", "manual", None)
    execute_run(api.studio_id, UUID(started["id"]), enough)
    run = api.get(f"/api/sync/log/{started['id']}").json
    assert (run["status"], run["attempts"], run["fullRead"], run["error"]) == ("succeeded", 1, True, None)
    assert run["records"]["created"] == run["records"]["seen"] > 0
    assert run["apiCalls"] >= run["pages"] >= 1
    assert run["queuedAt"] <= run["startedAt"] <= run["finishedAt"]
    assert run["durationMs"] >= 0
    assert not any("cursor" in name.lower() or "lease" in name.lower() for name in run)
    assert api.get("/api/sync/log").json["items"] == [run]


def test_the_log_is_filtered_by_platform_stream_and_status(connected: Api, superuser: pg8000.native.Connection) -> None:
    seed_runs(superuser, connected.studio_id, 60)
    for query, count in (
        ("", 60),
        ("platform=google", 60),
        ("platform=meta", 0),
        ("syncType=bookings", 30),
        ("status=failed", 20),
        ("status=queued", 0),
        ("syncType=bookings&status=failed", 10),
        ("syncType=unknown", 0),
    ):
        items = connected.get(f"/api/sync/log?limit=200&{query}").json["items"]
        assert len(items) == count, query
        for name, value in (pair.split("=") for pair in query.split("&") if pair):
            assert [item[name] for item in items] == [value] * count


def pages(api: Api, query: str) -> list[list[dict[str, Any]]]:
    pages_read, cursor = [], ""
    while True:
        page = api.get(f"/api/sync/log?{query}{cursor}").json
        pages_read.append(page["items"])
        if page["nextCursor"] is None:
            return pages_read
        cursor = f"&cursor={page['nextCursor']}"


@pytest.mark.parametrize(("count", "limit"), [(0, 50), (1, 1), (99, 10), (100, 10), (101, 100), (250, 200)])
def test_paging_returns_every_run_once_newest_first(
    connected: Api, superuser: pg8000.native.Connection, count: int, limit: int
) -> None:
    seed_runs(superuser, connected.studio_id, count)
    all_pages = pages(connected, f"limit={limit}")
    ids = [run["id"] for page in all_pages for run in page]
    assert len(set(ids)) == len(ids) == count
    assert ids == sorted(ids, reverse=True)
    assert all(len(page) == limit for page in all_pages[:-1])
    assert all_pages[-1] or count == 0, "no request returns an empty page"


def test_a_filter_applies_to_every_page(connected: Api, superuser: pg8000.native.Connection) -> None:
    seed_runs(superuser, connected.studio_id, 90)
    runs = [run for page in pages(connected, "limit=7&status=failed") for run in page]
    assert len(runs) == 30
    assert {run["status"] for run in runs} == {"failed"}


def test_new_runs_while_paging_neither_shift_nor_repeat_pages(
    connected: Api, superuser: pg8000.native.Connection
) -> None:
    seed_runs(superuser, connected.studio_id, 30)
    before = {run["id"] for page in pages(connected, "limit=200") for run in page}
    seen, cursor = [], ""
    while cursor is not None:
        page = connected.get(f"/api/sync/log?limit=7{cursor and f'&cursor={cursor}'}").json
        seen += [run["id"] for run in page["items"]]
        cursor = page["nextCursor"]
        seed_runs(superuser, connected.studio_id, 3)
    assert len(seen) == len(set(seen))
    assert set(seen) == before


def test_the_log_returns_fifty_runs_by_default(connected: Api, superuser: pg8000.native.Connection) -> None:
    seed_runs(superuser, connected.studio_id, 51)
    assert len(connected.get("/api/sync/log").json["items"]) == 50


def test_the_log_outlives_its_connection(connected: Api) -> None:
    (run,) = start(connected, syncType="bookings")
    assert connected.delete("/api/connections/google").status == 204
    logged = connected.get(f"/api/sync/log/{run['id']}").json
    assert (logged["status"], logged["error"]["code"]) == ("cancelled", "disconnected")
    assert connected.get("/api/sync/status").json["items"] == []


def test_a_repeat_with_the_same_idempotency_key_starts_nothing(connected: Api, queue: Queue) -> None:
    first = connected.post("/api/sync/google", {}, Idempotency_Key="sync-1")
    queue.receive()
    again = connected.post("/api/sync/google", {}, Idempotency_Key="sync-1")
    assert (again.status, again.text) == (202, first.text)
    assert queue.receive() == []


def cancelled_run(api: Api) -> str:
    (run,) = start(api, syncType="bookings")
    assert api.delete(f"/api/sync/log/{run['id']}").status == 200
    return run["id"]


def test_a_queued_run_is_cancelled_at_once_and_returned(connected: Api, queue: Queue) -> None:
    (run,) = start(connected, syncType="bookings")
    answer = connected.delete(f"/api/sync/log/{run['id']}")
    assert answer.status == 200
    assert (answer.json["status"], answer.json["startedAt"], answer.json["durationMs"]) == ("cancelled", None, None)
    problem = answer.json["error"]
    assert (problem["code"], problem["message"]) == ("cancelled", "The run was cancelled")
    assert problem["at"] == answer.json["finishedAt"]
    assert connected.get(f"/api/sync/log/{run['id']}").json == answer.json
    assert stream_of(connected, "bookings")["running"] is None
    assert execute_run(connected.studio_id, UUID(run["id"]), enough) == "dropped", "its message is still queued"


@pytest.mark.parametrize("ending", ["succeeded", "failed", "cancelled"])
def test_a_finished_run_cannot_be_cancelled(connected: Api, superuser: pg8000.native.Connection, ending: str) -> None:
    (run,) = start(connected, syncType="bookings")
    superuser.run("UPDATE sync_log SET status = :ending", ending=ending)
    before = connected.get(f"/api/sync/log/{run['id']}").json
    answer = connected.delete(f"/api/sync/log/{run['id']}")
    assert (answer.status, answer.json["code"]) == (409, "run_ended")
    assert ending in answer.json["detail"]
    assert connected.get(f"/api/sync/log/{run['id']}").json == before


@pytest.mark.parametrize("run_id", ["00000000-0000-0000-0000-000000000000", "no-uuid"])
def test_an_unknown_run_is_not_found(connected: Api, run_id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/retry")):
        answer = connected.send(method, f"/api/sync/log/{run_id}{path}")
        assert (answer.status, answer.json["code"]) == (404, "run_not_found")


def test_another_studios_run_is_not_found(connected: Api, studios: Studios) -> None:
    (run,) = start(connected, syncType="bookings")
    other = studios.new()
    for answer in (other.delete(f"/api/sync/log/{run['id']}"), other.post(f"/api/sync/log/{run['id']}/retry")):
        assert (answer.status, answer.json["code"]) == (404, "run_not_found")
    assert connected.get(f"/api/sync/log/{run['id']}").json["status"] == "queued"


def test_a_cancelled_stream_can_be_synced_again_at_once(connected: Api) -> None:
    cancelled = cancelled_run(connected)
    (run,) = start(connected, syncType="bookings")
    assert run["id"] != cancelled
    assert execute_run(connected.studio_id, UUID(run["id"]), enough) == "succeeded"


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_retry_queues_a_new_run_of_the_same_stream(
    connected: Api, queue: Queue, superuser: pg8000.native.Connection, ending: str
) -> None:
    (old,) = start(connected, syncType="inquiries")
    superuser.run("UPDATE sync_log SET status = :ending", ending=ending)
    queue.receive()
    answer = connected.post(f"/api/sync/log/{old['id']}/retry")
    assert answer.status == 202
    (run,) = answer.json["runs"]
    assert (run["syncType"], run["status"]) == ("inquiries", "queued")
    assert answer.headers["Location"] == f"/api/sync/log/{run['id']}"
    assert [message["id"] for message in queue.receive()] == [run["id"]]
    assert connected.get(answer.headers["Location"]).json["trigger"] == "retry"
    assert run["id"] != old["id"]
    assert connected.get(f"/api/sync/log/{old['id']}").json["status"] == ending


def test_a_retry_returns_a_run_in_progress_of_the_stream(connected: Api, queue: Queue) -> None:
    cancelled = cancelled_run(connected)
    (active,) = start(connected, syncType="bookings")
    queue.receive()
    answer = connected.post(f"/api/sync/log/{cancelled}/retry")
    assert (answer.status, answer.json["runs"]) == (202, [active])
    assert answer.headers["Location"] == f"/api/sync/log/{active['id']}"
    assert connected.get(f"/api/sync/log/{active['id']}").json["trigger"] == "manual"
    assert queue.receive() == []


@pytest.mark.parametrize("status", ["queued", "running", "deferred", "succeeded"])
def test_a_run_that_did_not_fail_cannot_be_retried(
    connected: Api, superuser: pg8000.native.Connection, status: str
) -> None:
    (run,) = start(connected, syncType="bookings")
    superuser.run("UPDATE sync_log SET status = :status", status=status)
    answer = connected.post(f"/api/sync/log/{run['id']}/retry")
    assert (answer.status, answer.json["code"]) == (409, "run_not_failed")
    assert len(connected.get("/api/sync/log").json["items"]) == 1


def test_a_retry_needs_a_working_connection(connected: Api, platforms: Any) -> None:
    cancelled = cancelled_run(connected)
    platforms.google.revoke("empty")
    assert connected.post("/api/connections/google/test").json["valid"] is False
    answer = connected.post(f"/api/sync/log/{cancelled}/retry")
    assert (answer.status, answer.json["code"]) == (409, "connection_not_active")
    assert connected.delete("/api/connections/google").status == 204
    answer = connected.post(f"/api/sync/log/{cancelled}/retry")
    assert (answer.status, answer.json["code"]) == (404, "connection_not_found")


def test_a_repeated_retry_with_the_same_idempotency_key_starts_nothing(connected: Api, queue: Queue) -> None:
    path = f"/api/sync/log/{cancelled_run(connected)}/retry"
    first = connected.post(path, Idempotency_Key="retry-1")
    assert execute_run(connected.studio_id, UUID(first.json["runs"][0]["id"]), enough) == "succeeded"
    queue.receive()
    again = connected.post(path, Idempotency_Key="retry-1")
    assert (again.status, again.text, again.headers["Location"]) == (202, first.text, first.headers["Location"])
    assert queue.receive() == []
    assert len(connected.get("/api/sync/log").json["items"]) == 2


def test_a_repeated_cancel_with_the_same_idempotency_key_gets_the_same_response(connected: Api) -> None:
    (run,) = start(connected, syncType="bookings")
    first = connected.delete(f"/api/sync/log/{run['id']}", Idempotency_Key="cancel-1")
    again = connected.delete(f"/api/sync/log/{run['id']}", Idempotency_Key="cancel-1")
    assert (again.status, again.text) == (first.status, first.text) == (200, first.text)
