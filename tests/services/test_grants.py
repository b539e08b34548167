"""Renewing a grant: one worker asks, the others read what came of it, and nothing else kills a connection."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pg8000.native
import pytest

from chalicelib.data.connections import FIND_STORED_CONNECTION, LEASE_REFRESH, StoredConnection
from chalicelib.data.database import read, transaction
from chalicelib.errors import Misconfigured, TokenExpired, TokenRevoked, TransientFault
from chalicelib.secret import Secret
from chalicelib.services import grants
from chalicelib.services.tokens import Tokens, open_tokens
from dev.sandbox import Sandbox, mint
from tests.conftest import Api, Queue
from tests.services.conftest import Studio, connect

TOKEN_HOST = "oauth2.googleapis.com"


@pytest.fixture
def expired(api: Api, queue: Queue, platforms: Sandbox) -> Studio:
    """Connected with an access token that has run out."""
    return connect(api, queue, lifetime=0)


def stored(studio: Studio) -> StoredConnection:
    connection = read(studio.id, FIND_STORED_CONNECTION, platform="google")
    assert connection is not None
    return connection


def refreshes(platforms: Sandbox) -> int:
    return sum(request["path"] == "/token" for request in platforms.requests.list())


def test_a_living_token_is_used_without_a_renewal(studio: Studio, platforms: Sandbox) -> None:
    grants.client_for(stored(studio))
    assert refreshes(platforms) == 0


def test_a_renewal_stores_the_new_token_and_keeps_the_refresh_token(expired: Studio, platforms: Sandbox) -> None:
    before = open_tokens(stored(expired))
    grants.client_for(stored(expired))
    after = stored(expired)
    assert after.token_generation == 2
    assert open_tokens(after).access != before.access
    assert open_tokens(after).refresh == before.refresh
    assert after.token_expires_at is not None
    assert after.token_expires_at > datetime.now(UTC) + timedelta(minutes=50)


def test_many_workers_that_need_the_same_token_make_one_refresh(expired: Studio, platforms: Sandbox) -> None:
    connection = stored(expired)
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda _: grants.client_for(connection), range(16)))
    assert len(clients) == 16
    assert refreshes(platforms) == 1
    assert stored(expired).token_generation == 2


def test_a_loser_of_the_lease_waits_and_reads_the_winners_token(
    expired: Studio, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = stored(expired)
    with transaction(expired.id) as tx:
        tx.run(LEASE_REFRESH, id=connection.id, token_generation=1, owner=uuid4(), lease_seconds=60)
    renewed = Tokens(access=Secret("ya29.renewed"), refresh=Secret("1//0kept"), expires_at=None, scopes=None)
    assert grants.replace_tokens(connection, renewed)
    grants.client_for(connection)
    assert refreshes(platforms) == 0


def test_a_lease_left_by_a_killed_worker_is_taken_over_when_it_runs_out(expired: Studio, platforms: Sandbox) -> None:
    connection = stored(expired)
    with transaction(expired.id) as tx:
        tx.run(LEASE_REFRESH, id=connection.id, token_generation=1, owner=uuid4(), lease_seconds=0)
    grants.client_for(connection)
    assert refreshes(platforms) == 1


def test_a_lease_that_nobody_gives_back_ends_in_a_passing_fault(
    expired: Studio, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grants, "WAIT_SECONDS", 0)
    connection = stored(expired)
    with transaction(expired.id) as tx:
        tx.run(LEASE_REFRESH, id=connection.id, token_generation=1, owner=uuid4(), lease_seconds=60)
    with pytest.raises(TransientFault):
        grants.client_for(connection)
    assert refreshes(platforms) == 0


def test_a_revoked_grant_is_seen_on_the_first_attempt(expired: Studio, platforms: Sandbox) -> None:
    platforms.google.revoke("studio")
    with pytest.raises(TokenRevoked):
        grants.client_for(stored(expired))
    assert refreshes(platforms) == 1


def test_an_outage_of_the_token_endpoint_kills_no_connection(expired: Studio, platforms: Sandbox) -> None:
    for status in (500, 503, 429):
        platforms.add_fault(kind="status", status=status, host=TOKEN_HOST)
        run = expired.sync("bookings")
        assert run["status"] == "deferred"
        expired.api.put("/api/connections/google", {"scopes": []})
        assert expired.connection()["status"] == "active"
        with transaction(expired.id) as tx:
            from chalicelib.data.query import Query

            cancel: Query[None] = Query("UPDATE sync_log SET status = 'cancelled' WHERE status = 'deferred'")
            tx.run(cancel)


def test_invalid_grant_is_not_believed_when_the_tokens_were_replaced_meanwhile(
    expired: Studio, platforms: Sandbox
) -> None:
    """Somebody reconnects while the old refresh token is being refused."""
    stale = stored(expired)
    platforms.google.revoke("studio")
    grant = mint("studio")
    fresh = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresIn": 3600}
    expired.api.put("/api/connections/google", fresh)
    grants.client_for(stale)
    assert expired.connection()["status"] == "active"


def test_a_connection_without_a_refresh_token_cannot_be_renewed(
    expired: Studio, superuser: pg8000.native.Connection
) -> None:
    superuser.run("UPDATE platform_connection SET refresh_token = NULL, token_expires_at = now() - interval '1 hour'")
    with pytest.raises(TokenExpired):
        grants.client_for(stored(expired))


def test_without_an_oauth_client_a_renewal_is_the_operators_matter(
    expired: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.settings import get_settings

    monkeypatch.setenv("GOOGLE_CLIENT_ID", "")
    get_settings.cache_clear()
    with pytest.raises(Misconfigured):
        grants.client_for(stored(expired))
    assert expired.connection()["status"] == "active"
