"""Connection state: authorizations connect and reconnect, and each change of state is recorded once."""

from typing import Any
from uuid import UUID

import pg8000.native
import pytest
from msgspec.structs import replace

from chalicelib.data.connections import FIND_STORED_CONNECTION, StoredConnection
from chalicelib.data.postgres.database import read, transaction
from chalicelib.errors import AccountConnectedTwice, AnotherAccount, Misconfigured, TokenExpired, TokenRevoked
from chalicelib.platforms.core.contract import Identity
from chalicelib.platforms.core.oauth2 import TokenGrant
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.services.connections import connect as connecting
from chalicelib.services.connections import identities
from chalicelib.services.connections import state as connection_state
from chalicelib.services.connections.connect import NewGrant
from chalicelib.services.connections.tokens import Tokens, open_tokens
from dev.sandbox import Sandbox, issue_token
from tests.api.seeding import insert
from tests.conftest import Api, Queue, paused_streams
from tests.services.conftest import Studio

ACCOUNT = Identity("account-1", "Anna")
CALENDAR = "https://www.googleapis.com/auth/calendar.readonly"


def consented(account: str = "studio", **changes: Any) -> TokenGrant:
    """The grant of a completed authorization."""
    token = issue_token(account)
    grant = TokenGrant(Secret(token.access_token), Secret(token.refresh_token), token.expires_in, token.scopes)
    return replace(grant, **changes)


def stored(api: Api) -> StoredConnection:
    connection = read(api.studio_id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert connection is not None
    return connection


def events(api: Api) -> list[tuple[str, str | None]]:
    items = api.get("/api/connections/google/events").json["items"]
    return [(item["kind"], item["code"]) for item in items]


@pytest.fixture
def webhook(api: Api, superuser: pg8000.native.Connection) -> UUID:
    return insert(
        superuser, "webhook_endpoint", studio_id=api.studio_id, url="https://studio.example/hook", secret=b"sealed"
    )


def test_identifying_old_tokens_does_not_identify_new_ones(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    """A connection test was in progress when the tokens were replaced."""
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    tested = stored(api)
    token = issue_token("bulk-40")
    tokens = {"accessToken": token.access_token, "refreshToken": token.refresh_token, "expiresIn": 3600}
    assert api.put("/api/connections/google", tokens).status == 200
    superuser.run(
        "INSERT INTO account_position (studio_id, connection_id, stream, account_id, cursor)"
        " SELECT studio_id, id, 'bookings', id, 'kept' FROM platform_connection"
    )
    with transaction(api.studio_id) as tx:
        assert not identities.identify(tx, tested.id, tested.token_generation, Identity("account-2", "Jo"))
    assert superuser.run("SELECT external_account_id, account_unverified FROM platform_connection") == [
        ["account-1", True]
    ]
    assert superuser.run("SELECT DISTINCT cursor FROM account_position") == [["kept"]]
    with pytest.raises(AnotherAccount), transaction(api.studio_id) as tx:
        identities.identify(tx, tested.id, tested.token_generation + 1, Identity("account-2", "Jo"))
    with transaction(api.studio_id) as tx:
        assert identities.identify(tx, tested.id, tested.token_generation + 1, ACCOUNT)
    assert superuser.run("SELECT account_unverified FROM platform_connection") == [[False]]
    assert superuser.run("SELECT DISTINCT cursor FROM account_position") == [["kept"]]


def test_an_account_belongs_to_at_most_one_connection(api: Api, platforms: Sandbox) -> None:
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    tokens = Tokens(Secret("token"), None, None, None)
    unknown = connecting.create(api.studio_id, NewGrant(get_platform("google"), tokens, None, ()))
    assert unknown is not None
    with pytest.raises(AccountConnectedTwice), transaction(api.studio_id) as tx:
        identities.identify(tx, unknown.id, 1, ACCOUNT)
    assert len({each["id"] for each in api.get("/api/connections").json["items"]}) == 2


def test_a_grant_connects_and_schedules_every_stream_it_covers(api: Api, platforms: Sandbox) -> None:
    connection = connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    assert (connection.status, connection.account_id, connection.status_reason.action) == (
        "active",
        "account-1",
        "none",
    )
    streams = {item["syncType"] for item in api.get("/api/sync/status").json["items"]}
    assert streams == {"bookings", "inquiries"}
    assert events(api) == [("connected", None)]


def test_a_stream_without_its_scope_is_off_and_the_connection_says_what_to_do(api: Api, platforms: Sandbox) -> None:
    connection = connecting.connect(api.studio_id, "google", consented(scopes=(CALENDAR,)), ACCOUNT)
    assert (connection.status, connection.status_reason.code) == ("active", "scopes_missing")
    assert connection.status_reason.action == "grant_scopes"
    assert [item["syncType"] for item in api.get("/api/sync/status").json["items"]] == ["bookings"]
    assert connecting.connect(api.studio_id, "google", consented(), ACCOUNT).status_reason.action == "none"


def test_only_the_requested_streams_are_scheduled(api: Api, platforms: Sandbox) -> None:
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT, ["inquiries"])
    assert [item["syncType"] for item in api.get("/api/sync/status").json["items"]] == ["inquiries"]


def test_a_reconnect_keeps_id_and_cursors_and_resumes_schedules(api: Api, queue: Queue, platforms: Sandbox) -> None:
    studio = Studio(api, queue, "studio")
    before = connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    studio.sync("bookings")
    connection_state.fail_connection(stored(api), TokenRevoked())
    assert paused_streams(api) == {"bookings": True, "inquiries": True}
    after = connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    assert (after.id, after.status) == (before.id, "active")
    assert paused_streams(api) == {"bookings": False, "inquiries": False}
    assert studio.sync("bookings")["fullRead"] is False
    assert events(api) == [("recovered", "token_revoked"), ("failed", "token_revoked"), ("connected", None)]


def test_a_reconnect_without_a_refresh_token_keeps_the_existing_one(api: Api, platforms: Sandbox) -> None:
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    refresh_token = open_tokens(stored(api)).refresh
    connecting.connect(api.studio_id, "google", consented(refresh_token=None), ACCOUNT)
    assert open_tokens(stored(api)).refresh == refresh_token


@pytest.mark.parametrize(
    ("error", "status", "action", "paused"),
    [
        (TokenExpired(), "expired", "reconnect", True),
        (TokenRevoked(), "revoked", "reconnect", True),
        (Misconfigured(), "misconfigured", "contact_support", False),
    ],
)
def test_a_failed_connection_shows_what_is_wrong_since_when_and_what_to_do(
    api: Api, platforms: Sandbox, error: Any, status: str, action: str, paused: bool
) -> None:
    before = connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    connection_state.fail_connection(stored(api), error)
    connection = api.get("/api/connections/google").json
    reason = connection["statusReason"]
    assert (connection["status"], reason["code"], reason["action"]) == (status, error.code, action)
    assert reason["message"] == error.message
    assert reason["since"] > before.status_reason.since.isoformat()
    assert paused_streams(api) == dict.fromkeys(("bookings", "inquiries"), paused)
    assert (api.post("/api/sync/google").status == 409) is paused


def test_a_repeated_or_outdated_failure_changes_nothing(api: Api, platforms: Sandbox) -> None:
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    stale = stored(api)
    for _ in range(2):
        connection_state.fail_connection(stale, TokenRevoked())
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    connection_state.fail_connection(stale, TokenRevoked())
    assert api.get("/api/connections/google").json["status"] == "active"
    assert [kind for kind, _ in events(api)] == ["recovered", "failed", "connected"]


def test_a_revoked_grant_breaks_even_a_misconfigured_connection(api: Api, platforms: Sandbox) -> None:
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    connection_state.fail_connection(stored(api), Misconfigured())
    connection_state.fail_connection(stored(api), TokenRevoked())
    assert api.get("/api/connections/google").json["status"] == "revoked"


def test_only_failure_and_recovery_are_sent_to_webhook_endpoints(
    api: Api, queue: Queue, platforms: Sandbox, webhook: UUID, superuser: pg8000.native.Connection
) -> None:
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    connection_state.fail_connection(stored(api), Misconfigured())
    connection_state.recover(stored(api))
    assert queue.receive() == []
    connection_state.fail_connection(stored(api), TokenRevoked())
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    deliveries = superuser.run(
        "SELECT d.id, e.kind FROM webhook_delivery AS d JOIN connection_event AS e ON e.id = d.event_id"
        " WHERE d.endpoint_id = :webhook ORDER BY e.id",
        webhook=webhook,
    )
    assert [kind for _, kind in deliveries or ()] == ["failed", "recovered"]
    studio_id = str(api.studio_id)
    assert queue.receive() == [{"kind": "delivery", "id": str(id), "studioId": studio_id} for id, _ in deliveries or ()]


def test_a_disabled_webhook_endpoint_is_sent_nothing(
    api: Api, platforms: Sandbox, webhook: UUID, superuser: pg8000.native.Connection
) -> None:
    superuser.run("UPDATE webhook_endpoint SET disabled_at = now()")
    connecting.connect(api.studio_id, "google", consented(), ACCOUNT)
    connection_state.fail_connection(stored(api), TokenRevoked())
    assert superuser.run("SELECT count(*) FROM webhook_delivery") == [[0]]
