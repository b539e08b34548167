"""The audit trail: each change by a key, an operator or a platform is recorded together with it, permanently."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.audit import acting_as
from chalicelib.data.postgres.database import write
from chalicelib.data.sync.schedules import PAUSE_SCHEDULE
from chalicelib.services.operations.maintenance import maintain
from chalicelib.workers.admin import admin
from dev.invocation import Context
from dev.sandbox import Sandbox, issue_token
from migrations.privileges import ADMIN, API, MAINTENANCE
from tests.browser import code_of, walk
from tests.conftest import Api, Queue, login_as
from tests.services.administration import PLENTY_MS
from tests.services.conftest import Studio, connect

Entries = list[tuple[str, str, str]]
WEBHOOK = {"url": "https://studio.example/hook"}


def entries(superuser: pg8000.native.Connection, studio_id: UUID) -> Entries:
    """Action, kind of actor and kind of subject, without the entries of the setup."""
    rows = superuser.run(
        "SELECT action, actor_kind, subject_kind FROM audit_entry WHERE studio_id = :id"
        " AND action <> 'api_key.create' ORDER BY id",
        id=studio_id,
    )
    return [tuple(row) for row in rows or ()]


def one(superuser: pg8000.native.Connection, action: str) -> dict[str, Any]:
    ((entry,),) = superuser.run("SELECT to_json(e) FROM audit_entry AS e WHERE action = :action", action=action)
    return entry  # type: ignore[no-any-return]


SCHEDULE = "/api/sync/google/schedule"
BOOKINGS = {"syncType": "bookings"}
CHANGES: dict[str, tuple[Callable[[Api], Any], str]] = {
    "account.change": (
        lambda api: api.put(
            f"/api/connections/google/accounts/{api.get('/api/connections/google/accounts').json['items'][0]['id']}",
            {"rule": "all"},
        ),
        "account",
    ),
    "schedule.put": (lambda api: api.put(SCHEDULE, {**BOOKINGS, "frequency": "weekly"}), "schedule"),
    "schedule.pause": (lambda api: api.post(f"{SCHEDULE}/pause", BOOKINGS), "schedule"),
    "schedule.delete": (lambda api: api.delete(f"{SCHEDULE}?syncType=bookings"), "schedule"),
    "sync.start": (lambda api: api.post("/api/sync/google", BOOKINGS), "run"),
    "deletions.confirm": (lambda api: api.post("/api/sync/google", {**BOOKINGS, "confirmDeletions": True}), "run"),
    "backfill.start": (
        lambda api: api.post("/api/sync/google/backfill", {**BOOKINGS, "from": "2026-01-01", "to": "2026-01-31"}),
        "run",
    ),
    "webhook_endpoint.create": (lambda api: api.post("/api/webhook-endpoints", WEBHOOK), "webhook_endpoint"),
    "connection.disconnect": (lambda api: api.delete("/api/connections/google"), "connection"),
}


@pytest.mark.parametrize("action", CHANGES)
def test_a_change_by_a_key_is_recorded_with_actor_and_subject(
    action: str, studio: Studio, superuser: pg8000.native.Connection
) -> None:
    change, subject = CHANGES[action]
    if action == "account.change":
        studio.sync("bookings")
    superuser.run("DELETE FROM audit_entry")
    with login_as(API):
        answer = change(studio.api)
    assert answer.status < 300, answer.text
    assert entries(superuser, studio.id) == [(action, "api_key", subject)]
    entry = one(superuser, action)
    assert entry["actor_id"] == str(UUID(studio.api.key.split("_")[1]))
    assert entry["request_id"]
    assert entry["subject_id"]


def test_consequences_of_a_change_are_recorded_too(studio: Studio, superuser: pg8000.native.Connection) -> None:
    webhook = studio.api.post("/api/webhook-endpoints", WEBHOOK).json["id"]
    studio.api.post(f"{SCHEDULE}/pause", BOOKINGS)
    run = studio.start("bookings")["id"]
    superuser.run("DELETE FROM audit_entry")
    with login_as(API):
        answers = [
            studio.api.post(f"{SCHEDULE}/resume", BOOKINGS),
            studio.api.delete(f"/api/sync/log/{run}"),
            studio.api.post(f"/api/webhook-endpoints/{webhook}/test"),
            studio.api.post(f"/api/webhook-endpoints/{webhook}/test"),
            studio.api.delete(f"/api/webhook-endpoints/{webhook}"),
        ]
    assert [answer.status for answer in answers] == [200, 200, 202, 202, 204]
    assert entries(superuser, studio.id) == [
        ("schedule.resume", "api_key", "schedule"),
        ("sync.cancel", "api_key", "run"),
        ("webhook_endpoint.test", "api_key", "webhook_endpoint"),
        ("webhook_endpoint.delete", "api_key", "webhook_endpoint"),
    ]


def test_connecting_and_reconnecting_are_recorded(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    connect(api, queue)
    grant = issue_token("studio")
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresIn": 3600}
    assert api.put("/api/connections/google", tokens).status == 200
    assert entries(superuser, api.studio_id) == [
        ("connection.connect", "api_key", "connection"),
        ("connection.reconnect", "api_key", "connection"),
    ]
    assert one(superuser, "connection.connect")["detail"] == {"platform": "google"}


def test_an_authorization_is_recorded_on_completion(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    back = walk(api)
    assert entries(superuser, api.studio_id) == [], "the callback connects nothing"
    assert api.post("/api/oauth/google/complete", {"code": code_of(back)}).status in (200, 201)
    assert entries(superuser, api.studio_id) == [
        ("connection.connect", "api_key", "connection"),
        ("sync.start", "api_key", "run"),
    ]


def test_a_refresh_by_a_worker_is_not_recorded(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    superuser.run("DELETE FROM audit_entry; UPDATE platform_connection SET token_expires_at = now()")
    studio.start("bookings")
    studio.work()
    assert superuser.run("SELECT token_generation FROM platform_connection") == [[2]]
    assert entries(superuser, studio.id) == [("sync.start", "api_key", "run")]


def test_a_change_without_effect_is_not_recorded(studio: Studio, superuser: pg8000.native.Connection) -> None:
    superuser.run("DELETE FROM audit_entry")
    assert studio.api.post(f"{SCHEDULE}/pause", {"syncType": "none"}).status >= 400
    assert entries(superuser, studio.id) == []


def test_operator_commands_are_recorded(api: Api, superuser: pg8000.native.Connection) -> None:
    superuser.run("DELETE FROM audit_entry")
    context = Context("ansel-test-admin", 300)
    with login_as(ADMIN):
        created = admin({"command": "api-key create", "studioId": str(api.studio_id), "name": "second"}, context)
        admin({"command": "api-key revoke", "studioId": str(api.studio_id), "keyId": created["keyId"]}, context)
    assert one(superuser, "api_key.create")["actor_kind"] == "admin"
    assert one(superuser, "api_key.create")["detail"] == {"scopes": ["admin"]}
    assert entries(superuser, api.studio_id) == [("api_key.revoke", "admin", "api_key")]


def test_an_entry_is_rolled_back_with_its_change(studio: Studio, superuser: pg8000.native.Connection) -> None:
    superuser.run("DELETE FROM audit_entry")
    superuser.run("ALTER TABLE audit_entry ADD CONSTRAINT closed CHECK (false) NOT VALID")
    try:
        answer = studio.api.post(f"{SCHEDULE}/pause", BOOKINGS)
    finally:
        superuser.run("ALTER TABLE audit_entry DROP CONSTRAINT closed")
    assert answer.status == 500
    assert superuser.run("SELECT count(*) FROM sync_schedule WHERE paused_at IS NOT NULL") == [[0]]


def test_changes_outside_requests_are_attributed_to_workers(
    studio: Studio, superuser: pg8000.native.Connection
) -> None:
    superuser.run("DELETE FROM audit_entry")
    write(studio.id, PAUSE_SCHEDULE, platform="google", connection=None, stream="bookings")
    with acting_as("platform"):
        write(studio.id, PAUSE_SCHEDULE, platform="google", connection=None, stream="inquiries")
    assert [kind for _, kind, _ in entries(superuser, studio.id)] == ["worker", "platform"]


def test_details_about_an_erased_person_are_cleared(api: Api, superuser: pg8000.native.Connection) -> None:
    superuser.run("DELETE FROM audit_entry")
    insert = (
        "INSERT INTO audit_entry (studio_id, actor_kind, action, subject_kind, subject_id, detail)"
        " VALUES (:studio, 'api_key', :action, 'person', CAST(:subject AS uuid), CAST(:detail AS jsonb))"
    )
    person, other = UUID(int=1), UUID(int=2)
    for action, subject, detail in (
        ("a", person, '{"merged": true}'),
        ("b", other, '{"person": "hash-of-her", "x": 1}'),
        ("c", other, '{"kept": 1}'),
    ):
        superuser.run(insert, studio=api.studio_id, action=action, subject=subject, detail=detail)
    for role in (MAINTENANCE, ADMIN):
        superuser.run(f"SET ROLE {role}")
        try:
            for known_as in (str(person), "hash-of-her"):
                superuser.run(
                    "SELECT cross_tenant.redact_audit(:studio, :person)", studio=api.studio_id, person=known_as
                )
        finally:
            superuser.run("RESET ROLE")
    entries = superuser.run("SELECT action, detail FROM audit_entry ORDER BY action")
    assert entries == [["a", {}], ["b", {}], ["c", {"kept": 1}]]


@pytest.mark.parametrize(("days", "ages"), [("730", [1, 729]), ("365", [1, 364])])
def test_entries_are_kept_for_the_configured_retention(
    days: str, ages: list[int], api: Api, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_RETENTION_DAYS", days)
    superuser.run("DELETE FROM audit_entry")
    for age in (1, int(days) - 1, int(days) + 1, 4000):
        superuser.run(
            "INSERT INTO audit_entry (id, studio_id, actor_kind, action, subject_kind, detail)"
            " VALUES (uuidv7(CAST(:ago AS interval)), :studio, 'admin', 'studio.erase', 'studio',"
            " to_jsonb(CAST(:age AS int)))",
            ago=-timedelta(days=age),
            studio=api.studio_id,
            age=age,
        )
    with login_as(MAINTENANCE):
        assert maintain(lambda: PLENTY_MS).audit_pruned == 2
    assert superuser.run("SELECT detail FROM audit_entry ORDER BY id DESC") == [[age] for age in ages]


def test_a_retention_under_a_year_is_rejected(api: Api, superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE audit_entry SET id = uuidv7(interval '-364 days')")
    assert superuser.run("SELECT cross_tenant.prune_audit(1, 10)") == [[{"count": 0}]]
