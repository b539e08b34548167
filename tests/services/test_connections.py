"""Connections: testing and disconnecting one, and where its tokens are."""

from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.connections import FIND_STORED_CONNECTION
from chalicelib.data.postgres.database import read
from chalicelib.errors import DecryptionFailed
from chalicelib.platforms.core import transport
from chalicelib.runtime import invocation
from chalicelib.services.connections.tokens import open_tokens
from chalicelib.services.sync.execute import execute_run
from dev.sandbox import Sandbox, issue_token
from tests.conftest import Api, LogLines, Queue, Studios
from tests.services.conftest import PLENTY_MS, Studio, connect

LAMBDA_MS = 29_000
CALENDAR_ONLY = ("openid", "email", "https://www.googleapis.com/auth/calendar.readonly")


def test_a_working_connection_is_valid_and_its_account_is_stored(studio: Studio) -> None:
    answer = studio.api.post("/api/connections/google/test")
    assert answer.status == 200
    assert (answer.json["valid"], answer.json["missingScopes"], answer.json["error"]) == (True, [], None)
    connection = studio.connection()
    assert connection["accountId"] == answer.json["account"]["id"] != ""
    assert connection["accountName"] == answer.json["account"]["name"] != ""


def test_a_partial_grant_is_valid_and_missing_scopes_are_listed(api: Api, queue: Queue, platforms: Sandbox) -> None:
    connect(api, queue, scopes=CALENDAR_ONLY)
    answer = api.post("/api/connections/google/test").json
    assert answer["valid"] is True
    assert answer["missingScopes"] == ["https://www.googleapis.com/auth/gmail.metadata"]
    assert set(api.get("/api/connections/google").json["scopes"]) >= set(CALENDAR_ONLY)


def test_an_expired_token_is_refreshed_for_the_test(api: Api, queue: Queue, platforms: Sandbox) -> None:
    connect(api, queue, lifetime=0)
    assert api.post("/api/connections/google/test").json["valid"] is True


def test_a_token_rejected_even_after_a_refresh_breaks_the_connection(
    api: Api, queue: Queue, platforms: Sandbox
) -> None:
    studio = connect(api, queue, lifetime=0)
    body = {"error": "invalid_token", "error_description": "Invalid Value"}
    platforms.add_fault(kind="status", status=400, body=body, path="/tokeninfo", times=None)
    answer = api.post("/api/connections/google/test").json
    assert (answer["valid"], answer["error"]["code"]) == (False, "token_expired")
    assert (studio.connection()["status"], studio.connection()["statusReason"]["action"]) == ("expired", "reconnect")


def test_a_revoked_connection_is_invalid_and_marked(studio: Studio, platforms: Sandbox) -> None:
    platforms.google.revoke("studio")
    answer = studio.api.post("/api/connections/google/test").json
    assert (answer["valid"], answer["account"], answer["error"]["code"]) == (False, None, "token_revoked")
    assert studio.connection()["status"] == "revoked"


def test_an_unreachable_platform_proves_nothing_about_the_connection(studio: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="status", status=503, times=None)
    answer = studio.api.post("/api/connections/google/test").json
    assert (answer["valid"], answer["error"]["code"]) == (False, "platform_unavailable")
    assert studio.connection()["status"] == "active"


@pytest.mark.parametrize("platform", ["pinterest", "yelp", "website"])
def test_a_platform_without_streams_cannot_be_synced(api: Api, platform: str) -> None:
    api.post("/api/connections", {"platform": platform, "accessToken": "token"})
    for answer in (
        api.post(f"/api/sync/{platform}"),
        api.put(f"/api/sync/{platform}/schedule", {"syncType": "bookings", "frequency": "daily"}),
    ):
        assert (answer.status, answer.json["code"]) == (409, "platform_not_supported")


def test_a_disconnect_revokes_upstream_erases_tokens_and_keeps_records(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio.sync("bookings")
    assert studio.api.delete("/api/connections/google").status == 204
    (row,) = superuser.run("SELECT status, access_token, refresh_token, revocation FROM platform_connection")
    assert row == ["disabled", None, None, "revoked"]
    assert superuser.run("SELECT count(*) FROM sync_schedule") == [[0]]
    assert superuser.run("SELECT count(*) > 0 FROM booking") == [[True]]
    assert len(studio.api.get("/api/sync/log").json["items"]) == 1
    assert [request["path"] for request in platforms.requests.list()][-1] == "/revoke"


def test_a_failed_revocation_is_recorded_and_still_disconnects(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.add_fault(kind="reset", host="oauth2.googleapis.com", times=None)
    assert studio.api.delete("/api/connections/google").status == 204
    assert superuser.run("SELECT revocation, access_token FROM platform_connection") == [["failed", None]]


def test_a_request_stops_waiting_for_a_slow_platform_in_time(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    platforms.add_fault(kind="slow", seconds=3, host="oauth2.googleapis.com", path="/revoke")
    monkeypatch.setattr(invocation, "OWN_MS", LAMBDA_MS - 500)
    monkeypatch.setattr(transport, "LEAST_SECONDS", 0.1)
    assert studio.api.delete("/api/connections/google").status == 204
    assert superuser.run("SELECT revocation FROM platform_connection") == [["failed"]]


def test_a_platform_without_revocation_says_so(api: Api, superuser: pg8000.native.Connection) -> None:
    api.post("/api/connections", {"platform": "pinterest", "accessToken": "token"})
    assert api.delete("/api/connections/pinterest").status == 204
    assert superuser.run("SELECT revocation FROM platform_connection") == [["unsupported"]]


def test_a_studio_that_disconnected_syncs_from_the_start(studio: Studio) -> None:
    first = studio.sync("bookings")["records"]["created"]
    studio.api.delete("/api/connections/google")
    connect(studio.api, studio.queue)
    run = studio.sync("bookings")
    assert (run["fullRead"], run["records"]["unchanged"]) == (True, first)


def test_another_accounts_tokens_break_the_connection_before_any_read(
    studio: Studio, superuser: pg8000.native.Connection, log_lines: LogLines
) -> None:
    studio.api.post("/api/connections/google/test")
    stored = studio.sync("bookings")["records"]["created"]
    replace_tokens(studio, "bulk-40")
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"], run["pages"]) == ("failed", "another_account", 0)
    broken = studio.connection()
    assert (broken["status"], broken["accountName"]) == ("revoked", "Linden & Light Photography")
    reason = broken["statusReason"]
    assert (reason["code"], reason["action"]) == ("another_account", "reconnect")
    assert reason["message"] == (
        "The new tokens belong to Bulk Studio, but this connection belongs to Linden & Light Photography"
    )
    assert "Bulk Studio" not in log_lines.text
    assert superuser.run("SELECT count(*) FROM booking") == [[stored]]
    replace_tokens(studio, "studio")
    run = studio.sync("bookings")
    assert (run["status"], run["fullRead"]) == ("succeeded", False)
    assert studio.connection()["status"] == "active"


def test_a_test_detects_another_accounts_tokens_too(studio: Studio) -> None:
    studio.api.post("/api/connections/google/test")
    replace_tokens(studio, "bulk-40")
    tested = studio.api.post("/api/connections/google/test").json
    assert (tested["valid"], tested["error"]["code"]) == (False, "another_account")
    assert studio.connection()["status"] == "revoked"


def replace_tokens(studio: Studio, account: str) -> None:
    grant = issue_token(account)
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token}
    assert studio.api.put("/api/connections/google", tokens).status == 200


def test_new_tokens_of_the_same_account_keep_the_cursor(studio: Studio) -> None:
    studio.api.post("/api/connections/google/test")
    studio.sync("inquiries")
    grant = issue_token("studio")
    studio.api.put("/api/connections/google", {"accessToken": grant.access_token, "refreshToken": grant.refresh_token})
    assert studio.sync("inquiries")["fullRead"] is False


def test_a_run_stores_nothing_read_with_replaced_tokens(bulk: Studio) -> None:
    bulk.api.post("/api/connections/google/test")
    other = issue_token("bulk-40")
    calls = 0

    def remaining_ms() -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            tokens = {"accessToken": other.access_token, "refreshToken": other.refresh_token}
            assert bulk.api.put("/api/connections/google", tokens).status == 200
        return PLENTY_MS

    run = bulk.start("bookings")
    assert bulk.work(remaining_ms=remaining_ms) == ["lease_lost"]
    execute_run(bulk.id, UUID(run["id"]), lambda: PLENTY_MS)
    finished = bulk.run(run["id"])
    assert (finished["status"], finished["error"]["code"]) == ("failed", "another_account")


def test_undecryptable_tokens_can_be_replaced(studio: Studio, superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE platform_connection SET access_token = refresh_token, refresh_token = access_token")
    assert studio.sync("bookings")["error"]["code"] == "decryption_failed"
    assert studio.connection()["status"] == "error"
    grant = issue_token("studio")
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token}
    refused = studio.api.put("/api/connections/google", {"accessToken": grant.access_token})
    assert (refused.status, refused.json["code"]) == (409, "tokens_unreadable")
    assert studio.api.put("/api/connections/google", tokens).status == 200
    assert studio.connection()["status"] == "active"
    assert studio.sync("bookings")["status"] == "succeeded"


def test_a_connection_recovers_once_its_tokens_can_be_decrypted_again(
    studio: Studio, superuser: pg8000.native.Connection
) -> None:
    superuser.run("UPDATE platform_connection SET access_token = refresh_token, refresh_token = access_token")
    studio.sync("bookings")
    superuser.run("UPDATE platform_connection SET access_token = refresh_token, refresh_token = access_token")
    assert studio.sync("bookings")["status"] == "succeeded"
    assert studio.connection()["status"] == "active"


def test_a_grant_shared_with_another_studio_is_not_revoked(
    studios: Studios, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    first, second = connect(studios.new(), queue), connect(studios.new(), queue)
    second.api.post("/api/connections/google/test")
    assert first.api.delete("/api/connections/google").status == 204
    assert superuser.run("SELECT revocation FROM platform_connection WHERE status = 'disabled'") == [["shared"]]
    assert second.api.post("/api/connections/google/test").json["valid"] is True
    assert second.api.delete("/api/connections/google").status == 204
    assert superuser.run("SELECT count(*) FROM platform_connection WHERE revocation = 'revoked'") == [[1]]


def test_events_of_a_connection_are_listed_newest_first(studio: Studio, platforms: Sandbox) -> None:
    grant = issue_token("studio")
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token}
    studio.api.put("/api/connections/google", tokens)
    platforms.google.revoke("studio")
    studio.api.post("/api/connections/google/test")
    fresh = issue_token("studio")
    studio.api.put("/api/connections/google", {"accessToken": fresh.access_token, "refreshToken": fresh.refresh_token})
    studio.api.delete("/api/connections/google")
    first = studio.api.get("/api/connections/google/events?limit=3").json
    rest = studio.api.get(f"/api/connections/google/events?cursor={first['nextCursor']}").json
    events = [(item["kind"], item["code"]) for item in first["items"] + rest["items"]]
    assert events == [
        ("disconnected", "revoked"),
        ("recovered", "token_revoked"),
        ("failed", "token_revoked"),
        ("reconnected", None),
        ("connected", None),
    ]
    assert rest["nextCursor"] is None


def test_tokens_are_stored_sealed(studio: Studio, superuser: pg8000.native.Connection) -> None:
    (row,) = superuser.run("SELECT access_token, refresh_token FROM platform_connection")
    for sealed in row:
        assert b"ya29" not in sealed
        assert b"1//0" not in sealed


def test_a_token_copied_to_another_studios_row_cannot_be_decrypted(
    studios: Studios, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    victim, thief = connect(studios.new(), queue), connect(studios.new(), queue)
    superuser.run(
        """
        UPDATE platform_connection SET access_token =
            (SELECT access_token FROM platform_connection WHERE studio_id = :victim)
        WHERE studio_id = :thief
        """,
        victim=str(victim.id),
        thief=str(thief.id),
    )
    stolen = read(thief.id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert stolen is not None
    with pytest.raises(DecryptionFailed):
        open_tokens(stolen)


@pytest.mark.parametrize("change", ["access_token = refresh_token", "token_generation = token_generation + 1"])
def test_a_token_moved_within_its_row_cannot_be_decrypted(
    studio: Studio, superuser: pg8000.native.Connection, change: str
) -> None:
    superuser.run(f"UPDATE platform_connection SET {change}")
    moved = read(studio.id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert moved is not None
    with pytest.raises(DecryptionFailed):
        open_tokens(moved)


def test_a_studio_without_its_data_key_can_still_disconnect(
    studio: Studio, superuser: pg8000.native.Connection
) -> None:
    superuser.run("DELETE FROM data_key")
    answer = studio.api.put("/api/connections/google", {"accessToken": issue_token("studio").access_token})
    assert (answer.status, answer.json["code"]) == (409, "tokens_unreadable")
    both = {"accessToken": issue_token("studio").access_token, "refreshToken": issue_token("studio").refresh_token}
    answer = studio.api.put("/api/connections/google", both)
    assert (answer.status, answer.json["code"]) == (500, "decryption_failed")
    result = studio.api.post("/api/connections/google/test").json
    assert (result["valid"], result["error"]["code"]) == (False, "decryption_failed")
    assert studio.connection()["status"] == "error"
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("failed", "decryption_failed")
    assert studio.api.delete("/api/connections/google").status == 204
    assert superuser.run("SELECT revocation FROM platform_connection") == [["failed"]]
