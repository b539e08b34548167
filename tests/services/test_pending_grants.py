"""Pending grants: only the studio that started the authorization can complete one, once, in time, and with its code."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pg8000.native
import pytest

from chalicelib.data.connections import FIND_STORED_CONNECTION
from chalicelib.data.postgres.connect import SESSION
from chalicelib.data.postgres.database import read
from chalicelib.errors import AuthorizationFailed
from chalicelib.secret import Secret
from chalicelib.security.oauth_states import hash_completion_code, parse_state
from chalicelib.security.vault import vault
from chalicelib.services.connections.tokens import open_tokens
from chalicelib.services.pending_grants import complete_authorization
from dev.sandbox import Sandbox
from tests.browser import RETURN_TO, ask, code_of, come_back, complete, consent, decide, query_of, walk
from tests.conftest import Api, Database, LogLines, Studios
from tests.services.administration import forget

pytestmark = pytest.mark.usefixtures("platforms")
BOTH = {"streams": ["bookings", "inquiries"]}


def count(superuser: pg8000.native.Connection, table: str) -> int:
    ((rows,),) = superuser.run(f"SELECT count(*) FROM {table}") or [[0]]
    return int(rows)


@contextmanager
def unavailable(database: Database, table: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Writes to the table wait for a lock until they time out, as during a failover."""
    monkeypatch.setitem(SESSION, "lock_timeout", "50")
    forget()
    holder = database.connect()
    holder.run("BEGIN")
    holder.run(f"LOCK TABLE {table} IN SHARE MODE")
    try:
        yield
    finally:
        holder.run("ROLLBACK")
        holder.close()
        monkeypatch.setitem(SESSION, "lock_timeout", "5000")
        forget()


def test_a_consent_alone_connects_nothing(api: Api, superuser: pg8000.native.Connection) -> None:
    walk(api)
    assert api.get("/api/connections").json["items"] == []
    assert api.get("/api/sync/log").json["items"] == []
    assert (count(superuser, "platform_connection"), count(superuser, "pending_grant")) == (0, 1)


def test_the_code_creates_the_connection_and_deletes_the_grant(api: Api, superuser: pg8000.native.Connection) -> None:
    answer = complete(api, code_of(walk(api, wanted=BOTH)))
    assert answer.status == 200
    assert set(answer.json) == {"connection", "missingScopes", "streamsOff", "warnings"}
    assert answer.json["connection"]["accountName"] == "Linden & Light Photography"
    assert {run["syncType"] for run in api.get("/api/sync/log").json["items"]} == {"bookings", "inquiries"}
    assert count(superuser, "pending_grant") == 0


def test_a_grant_is_stored_sealed_and_its_code_hashed(api: Api, superuser: pg8000.native.Connection) -> None:
    code = code_of(walk(api))
    ((row, code_hash),) = superuser.run("SELECT p::text, code_hash FROM pending_grant AS p") or []
    assert code not in row
    assert code.encode().hex() not in row
    assert bytes(code_hash) == hash_completion_code(Secret(code)) != parse_state(code)
    complete(api, code)
    stored = read(api.studio_id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert stored is not None
    for token in (open_tokens(stored).access, open_tokens(stored).refresh):
        assert token is not None
        assert token.reveal().encode().hex() not in row


def test_every_invalid_code_gets_the_same_response(studios: Studios, superuser: pg8000.native.Connection) -> None:
    api, other = studios.new(), studios.new()
    expired, used = code_of(walk(api)), code_of(walk(api, account="empty"))
    superuser.run("UPDATE pending_grant SET expires_at = now() WHERE code_hash = :hash", hash=hash_of(expired))
    assert complete(api, used).status == 200
    good = code_of(walk(api))
    answers = [
        complete(api, "A" * 43),
        complete(api, expired),
        complete(api, used),
        complete(other, good),
        complete(api, good, "meta"),
        complete(api, good[:-1]),
    ]
    responses = {(answer.status, answer.json["code"], answer.json["detail"]) for answer in answers}
    ((status, name, _),) = responses
    assert (status, name) == (400, "completion_code_invalid")
    assert complete(api, good).status == 200


def hash_of(code: str) -> bytes:
    return hash_completion_code(Secret(code))


def test_a_code_lasts_ten_minutes(api: Api, superuser: pg8000.native.Connection) -> None:
    walk(api)
    lasts = "SELECT extract(epoch FROM expires_at - created_at)::int, due_at = expires_at FROM pending_grant"
    assert superuser.run(lasts) == [[600, True]]


def test_any_key_of_the_studio_may_complete_an_authorization(studios: Studios) -> None:
    asking = studios.new()
    code = code_of(walk(asking))
    assert complete(studios.with_key(asking.studio_id, "connections:write"), code).status == 200


def test_one_of_two_concurrent_completions_wins(api: Api, superuser: pg8000.native.Connection) -> None:
    code = code_of(walk(api))

    def finish(_: int) -> str:
        try:
            complete_authorization(api.studio_id, "google", Secret(code))
        except AuthorizationFailed as refused:
            return refused.code
        return "connected"

    with ThreadPoolExecutor(4) as threads:
        outcomes = sorted(threads.map(finish, range(4)))
    assert outcomes == [*["completion_code_invalid"] * 3, "connected"]
    assert superuser.run("SELECT kind FROM connection_event") == [["connected"]]


def test_a_failed_completion_leaves_no_connection_and_an_unused_code(
    api: Api, database: Database, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = code_of(walk(api))
    with unavailable(database, "sync_schedule", monkeypatch):
        answer = complete(api, code)
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert (count(superuser, "platform_connection"), count(superuser, "pending_grant")) == (0, 1)
    assert complete(api, code).status == 200


def test_a_reconnect_changes_nothing_before_its_completion(api: Api) -> None:
    before = consent(api).json["connection"]
    code = code_of(walk(api))
    assert api.get("/api/connections/google").json == before
    after = complete(api, code).json["connection"]
    assert after["id"] == before["id"]
    assert after["updatedAt"] > before["updatedAt"]


def test_waiting_for_completion_does_not_extend_a_tokens_lifetime(
    api: Api, superuser: pg8000.native.Connection
) -> None:
    code = code_of(walk(api))
    superuser.run(
        "UPDATE pending_grant SET token_expires_at = now() + interval '30 minutes',"
        " refresh_token_expires_at = now() + interval '3 days'"
    )
    assert complete(api, code).status == 200
    within = (
        "SELECT token_expires_at <= now() + interval '30 minutes', token_expires_at > now() + interval '20 minutes',"
        " refresh_token_expires_at <= now() + interval '3 days' FROM platform_connection"
    )
    assert superuser.run(within) == [[True, True, True]]


def test_a_stream_removed_by_a_later_release_is_ignored(api: Api, superuser: pg8000.native.Connection) -> None:
    code = code_of(walk(api))
    superuser.run("UPDATE pending_grant SET streams = ARRAY['bookings', 'gone']")
    answer = complete(api, code)
    assert (answer.status, answer.json["streamsOff"]) == (200, [])


@pytest.mark.parametrize("column", ["access_token", "refresh_token"])
def test_tokens_moved_to_another_grant_cannot_be_decrypted(
    api: Api, superuser: pg8000.native.Connection, column: str
) -> None:
    codes = [code_of(walk(api)) for _ in range(2)]
    superuser.run(
        f"UPDATE pending_grant SET {column} = (SELECT {column} FROM pending_grant ORDER BY id DESC LIMIT 1)"
        " WHERE id = (SELECT id FROM pending_grant ORDER BY id LIMIT 1)"
    )
    answer = complete(api, codes[0])
    assert (answer.status, answer.json["code"]) == (409, "tokens_unreadable")
    assert count(superuser, "platform_connection") == 0
    assert complete(api, codes[1]).status == 200


def damage_data_key(superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE data_key SET wrapped = 'damaged'")
    vault.cache_clear()


def test_an_undecryptable_data_key_fails_a_completion(api: Api, superuser: pg8000.native.Connection) -> None:
    code = code_of(walk(api))
    damage_data_key(superuser)
    answer = complete(api, code)
    assert (answer.status, answer.json["code"]) == (409, "tokens_unreadable")
    assert count(superuser, "platform_connection") == 0


def test_an_undecryptable_data_key_ends_a_callback_before_the_exchange(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    plain, returning = decide(ask(api)), decide(ask(api, returnTo=RETURN_TO))
    damage_data_key(superuser)
    answer = come_back(api, plain)
    assert (answer.status, answer.json["code"]) == (409, "decryption_failed")
    redirect = come_back(api, returning).headers["Location"]
    assert query_of(redirect) == {"status": "failed", "platform": "google", "code": "decryption_failed"}
    assert platforms.requests.counts().get("oauth2.token", 0) == 0


def test_a_grant_that_cannot_be_sealed_is_revoked(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection, log_lines: LogLines
) -> None:
    path = decide(ask(api, "meta"))  # without PKCE there is no verifier to decrypt first
    damage_data_key(superuser)
    answer = come_back(api, path)
    assert (answer.status, answer.json["code"]) == (409, "decryption_failed")
    assert [line["outcome"] for line in log_lines.named("authorization.not_stored")] == ["revoked"]
    assert count(superuser, "pending_grant") == 0
    revoked = [each for each in platforms.requests.list() if each["method"] == "DELETE"]
    assert [each["path"].rpartition("/")[2] for each in revoked] == ["permissions"]


def test_a_database_outage_after_the_exchange_is_reported(
    api: Api, database: Database, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, returning = decide(ask(api)), decide(ask(api, returnTo=RETURN_TO))
    with unavailable(database, "pending_grant", monkeypatch):
        answer = come_back(api, plain)
        response = come_back(api, returning)
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert query_of(response.headers["Location"]) == {"status": "failed", "platform": "google", "code": "unavailable"}
    assert (count(superuser, "platform_connection"), count(superuser, "pending_grant")) == (0, 0)
    assert consent(api).status == 200
