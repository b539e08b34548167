"""Drills: runbooks of docs/operations.md, carried out with their own commands."""

from collections.abc import Iterator

import pg8000.native
import pytest

from chalicelib.services.operations import dead_letters
from chalicelib.settings import get_settings
from chalicelib.workers.maintenance import maintenance
from chalicelib.workers.sync import sync
from chalicelib.workers.tick import tick
from dev.invocation import Context, queue_event
from dev.sandbox import CLIENT_SECRET, Sandbox
from tests.conftest import Api, LogLines, Queue
from tests.dev.runbooks import Operator, answers, dead, new_key, operator, read_runbooks, serve, tick_once
from tests.services.conftest import Studio, connect, studio

__all__ = ["dead", "operator", "studio"]

RUNBOOKS = read_runbooks()


def test_a_leaked_api_key_is_replaced_and_stops(operator: Operator, api: Api) -> None:
    runbook = RUNBOOKS["A leaked API key"]
    key_id, leaked = new_key(operator, api)
    assert leaked.key.startswith(f"ansel_{key_id.hex}_"), "the id is found in the key, as the runbook says"
    assert answers(leaked) == 200
    given = {"STUDIO": api.studio_id, "KEY": key_id}
    assert str(key_id) in str(operator.give(runbook.command("api-key list", **given)))
    made = operator.give(runbook.command("api-key rotate", **given))
    assert answers(leaked) == 401
    assert answers(Api(api._client, api.studio_id, made["apiKey"])) == 200
    assert operator.give(runbook.command("api-key revoke", **given))["revokedAt"]


@pytest.fixture
def poison(superuser: pg8000.native.Connection) -> Iterator[None]:
    """A release that cannot store bookings."""
    superuser.run("ALTER TABLE booking ADD CONSTRAINT poison CHECK (false) NOT VALID")
    yield
    superuser.run("ALTER TABLE booking DROP CONSTRAINT IF EXISTS poison")


def test_a_stuck_queue_is_emptied_once_the_cause_is_fixed(
    studio: Studio, operator: Operator, dead: Queue, superuser: pg8000.native.Connection, poison: None,
    monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    runbook = RUNBOOKS["A stuck queue"]
    monkeypatch.setattr(dead_letters, "WAIT_SECONDS", 0)  # the local queue is one server
    for stream in ("bookings", "inquiries"):
        studio.api.delete(f"/api/sync/google/schedule?syncType={stream}")
    started = studio.start("bookings")
    while received := studio.queue.sqs.receive_message(QueueUrl=studio.queue.url, VisibilityTimeout=0).get("Messages"):
        with pytest.raises(Exception, match="poison"):
            sync(queue_event(received[0]), Context("sync", 300))
        superuser.run("UPDATE sync_log SET resume_at = now()")
    (shown,) = operator.give(runbook.command("dead-letters show"))["shown"]
    assert (shown["kind"], shown["state"], shown["id"]) == ("run", "waiting", started["id"])
    superuser.run("ALTER TABLE booking DROP CONSTRAINT poison")
    for requeue in (command for command in runbook.commands() if command["command"] == "dead-letters requeue"):
        assert operator.give(requeue)["sent"] == 1
    serve(studio.queue)
    assert studio.run(started["id"])["status"] == "succeeded"
    assert dead.receive() == []


def test_a_purged_queue_costs_a_run_time_and_nothing_else(studio: Studio, superuser: pg8000.native.Connection) -> None:
    started = studio.start("bookings")
    studio.queue.sqs.purge_queue(QueueUrl=studio.queue.url)
    superuser.run("UPDATE sync_log SET enqueue_at = now()")
    tick_once()
    serve(studio.queue)
    assert studio.run(started["id"])["status"] == "succeeded"


def test_a_revoked_platform_app_leaves_connections_alone_and_a_new_secret_recovers_them(
    api: Api, queue: Queue, platforms: Sandbox, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = connect(api, queue, lifetime=0)
    platforms.google.set_client_secrets(["refreshed"])
    assert studio.sync("bookings")["error"]["code"] == "platform_misconfigured"
    told = studio.connection()
    assert (told["status"], told["statusReason"]["action"]) == ("misconfigured", "contact_support")
    health = operator.give(RUNBOOKS["A revoked platform app"].command("studio show", STUDIO=studio.id))
    assert health["connections"][0]["statusReason"]["code"] == "platform_misconfigured"
    monkeypatch.setenv("GOOGLE_CLIENT_SECRET", f"refreshed,{CLIENT_SECRET}")
    get_settings.cache_clear()
    assert studio.sync("bookings")["status"] == "succeeded"
    assert studio.connection()["status"] == "active"


def test_a_leaked_client_secret_is_replaced_without_a_gap(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = f"new,{CLIENT_SECRET}"
    for theirs, ours in (([CLIENT_SECRET], both), ([CLIENT_SECRET, "new"], both), (["new"], both), (["new"], "new")):
        platforms.google.set_client_secrets(theirs)
        monkeypatch.setenv("GOOGLE_CLIENT_SECRET", ours)
        get_settings.cache_clear()
        superuser.run("UPDATE platform_connection SET token_expires_at = now()")
        assert studio.sync("bookings")["status"] == "succeeded"


def test_tick_and_maintenance_can_be_invoked_manually(studio: Studio, log_lines: LogLines) -> None:
    (event,) = RUNBOOKS["A silent tick"].payloads()
    tick(event, Context("tick", 55))
    maintenance(event, Context("maintenance", 300))
    assert [len(log_lines.named(event)) for event in ("tick.done", "maintenance.done")] == [1, 1]


def test_after_a_silent_tick_each_stream_syncs_once_and_counts_missed_windows(
    studio: Studio, superuser: pg8000.native.Connection
) -> None:
    tick_once()
    serve(studio.queue)
    superuser.run("UPDATE sync_schedule SET next_run_at = next_run_at - interval '7 hours'")
    tick_once()
    tick_once()
    serve(studio.queue)
    runs = studio.api.get("/api/sync/log").json["items"]
    assert sorted(run["syncType"] for run in runs) == ["bookings", "bookings", "inquiries", "inquiries"]
    assert {run["status"] for run in runs} == {"succeeded"}
    missed = [stream["missedWindows"] for stream in studio.api.get("/api/sync/status").json["items"]]
    assert [count > 20 for count in missed] == [True, True]


def test_a_provider_outage_breaks_no_connection_and_recovers_automatically(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.add_fault(kind="status", host="www.googleapis.com", status=503, times=None)
    assert studio.sync("bookings")["error"]["code"] == "platform_unavailable"
    assert studio.connection()["status"] == "active"
    platforms.clear_faults()
    superuser.run("UPDATE sync_log SET resume_at = now(), enqueue_at = now()")
    tick_once()
    serve(studio.queue)
    assert studio.api.get("/api/sync/log").json["items"][-1]["status"] == "succeeded"


def test_an_older_release_works_with_a_newer_schema(
    studio: Studio, operator: Operator, superuser: pg8000.native.Connection
) -> None:
    (before,) = superuser.run("SELECT version_num FROM alembic_version")[0]
    superuser.run("UPDATE alembic_version SET version_num = '9999'; ALTER TABLE booking ADD COLUMN later text")
    try:
        assert operator.give(RUNBOOKS["Roll back"].command("migrate status"))["state"] == "ahead"
        health = studio.api.get("/api/health").json
        assert (health["status"], health["migrations"]) == ("ok", "ahead")
        assert studio.sync("bookings")["status"] == "succeeded"
    finally:
        superuser.run(f"UPDATE alembic_version SET version_num = '{before}'; ALTER TABLE booking DROP COLUMN later")
