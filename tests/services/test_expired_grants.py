"""Grants that were never completed: revoked at their platform unless shared with a connection, and always erased."""

from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.data_keys import LIST_DATA_KEYS
from chalicelib.data.oauth_states import TAKE_OAUTH_STATE
from chalicelib.data.postgres.database import read, write
from chalicelib.errors import AuthorizationFailed
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.oauth2 import TokenGrant
from chalicelib.platforms.google import GOOGLE, identify
from chalicelib.secret import Secret
from chalicelib.security.oauth_states import parse_state
from chalicelib.services.operations.erasures import EndedGrant, erase_studio
from chalicelib.services.pending_grants import MAX_ATTEMPTS, enqueue_expired_grants, hold_grant, revoke_expired_grant
from dev.sandbox import Sandbox, issue_token
from tests.browser import ask, code_of, come_back, complete, consent, decide, query_of, walk
from tests.conftest import Api, Database, LogLines, Queue, Studios
from tests.services.administration import as_administrator, plenty
from tests.services.conftest import connect

__all__ = ["as_administrator"]

pytestmark = pytest.mark.usefixtures("platforms")
OAUTH_HOST = "oauth2.googleapis.com"


def let_expire(superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE pending_grant SET expires_at = now(), due_at = now()")


def revoke_expired(queue: Queue) -> list[str]:
    """Runs a tick and a worker."""
    queue.receive()
    enqueue_expired_grants()
    return [revoke_expired_grant(UUID(each["studioId"]), UUID(each["id"])) for each in queue.receive()]


def revocations(platforms: Sandbox) -> int:
    return platforms.requests.counts().get("oauth2.revoke", 0)


def pending(superuser: pg8000.native.Connection) -> int:
    ((count,),) = superuser.run("SELECT count(*) FROM pending_grant") or [[0]]
    return int(count)


def test_an_expired_grant_is_revoked_and_its_tokens_erased(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection, log_lines: LogLines
) -> None:
    code = code_of(walk(api))
    assert revoke_expired(queue) == []
    let_expire(superuser)
    assert revoke_expired(queue) == ["revoked"]
    assert (revocations(platforms), pending(superuser)) == (1, 0)
    (line,) = log_lines.named("authorization.expired")
    assert (line["platform"], line["outcome"], line["studio_id"]) == ("google", "revoked", str(api.studio_id))
    assert complete(api, code).json["code"] == "completion_code_invalid"
    assert api.get("/api/connections").json["items"] == []


def test_a_message_names_the_grant_and_a_repeated_one_is_dropped(
    api: Api, queue: Queue, superuser: pg8000.native.Connection
) -> None:
    walk(api)
    let_expire(superuser)
    assert enqueue_expired_grants() == 1
    assert enqueue_expired_grants() == 0
    (message,) = queue.receive()
    assert (set(message), message["kind"]) == ({"kind", "id", "studioId"}, "revocation")
    outcomes = [revoke_expired_grant(api.studio_id, UUID(message["id"])) for _ in range(2)]
    assert outcomes == ["revoked", "dropped"]


def test_a_message_does_not_revoke_a_pending_grant(api: Api, superuser: pg8000.native.Connection) -> None:
    code = code_of(walk(api))
    ((grant_id,),) = superuser.run("SELECT id FROM pending_grant") or []
    assert revoke_expired_grant(api.studio_id, grant_id) == "dropped"
    assert complete(api, code).status == 200


def test_completion_and_expiry_exclude_each_other(
    api: Api, queue: Queue, database: Database, superuser: pg8000.native.Connection
) -> None:
    code = code_of(walk(api))
    superuser.run("UPDATE pending_grant SET due_at = now()")
    completing = database.connect()
    completing.run("BEGIN")
    completing.run("SELECT FROM pending_grant FOR UPDATE")
    assert enqueue_expired_grants() == 0
    completing.run("ROLLBACK")
    completing.close()
    assert enqueue_expired_grants() == 1
    assert complete(api, code).status == 400


def test_a_grant_shared_with_a_connection_is_not_revoked(
    studios: Studios, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    api, other = studios.new(), studios.new()
    consent(other)
    for asking in (other, api):
        walk(asking)
        let_expire(superuser)
        assert revoke_expired(queue) == ["shared"]
    assert (revocations(platforms), pending(superuser)) == (0, 0)
    assert other.post("/api/connections/google/test").json["valid"] is True


def test_a_grant_shared_with_a_pending_grant_is_not_revoked(
    studios: Studios, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    api, other = studios.new(), studios.new()
    walk(api)
    let_expire(superuser)
    code = code_of(walk(other))
    assert revoke_expired(queue) == ["shared"]
    assert complete(other, code).status == 200
    assert other.post("/api/connections/google/test").json["valid"] is True


def test_a_disconnect_does_not_revoke_a_pending_grant_of_the_account(
    studios: Studios, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    api, other = studios.new(), studios.new()
    consent(api)
    code = code_of(walk(other))
    assert api.delete("/api/connections/google").status == 204
    assert superuser.run("SELECT revocation FROM platform_connection") == [["shared"]]
    complete(other, code)
    assert other.post("/api/connections/google/test").json["valid"] is True


def test_nothing_is_revoked_if_a_connection_has_an_unknown_account(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    connect(api, queue)  # connected with plain tokens
    walk(api)
    let_expire(superuser)
    assert revoke_expired(queue) == ["shared"]
    assert revocations(platforms) == 0
    assert api.post("/api/connections/google/test").json["valid"] is True


def test_a_grant_of_an_unknown_account_is_not_revoked(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    walk(api)
    superuser.run("UPDATE pending_grant SET external_account_id = ''")
    let_expire(superuser)
    assert revoke_expired(queue) == ["shared"]
    assert (revocations(platforms), pending(superuser)) == (0, 0)


def test_a_dead_connection_does_not_prevent_a_revocation(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    consent(api)
    platforms.google.revoke("studio")
    superuser.run("UPDATE platform_connection SET status = 'revoked'")
    walk(api)
    let_expire(superuser)
    assert revoke_expired(queue) == ["revoked"]


def test_a_platform_without_revocation_is_not_called(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    walk(api, "pinterest")
    let_expire(superuser)
    assert revoke_expired(queue) == ["unsupported"]
    assert pending(superuser) == 0


def test_revocation_is_retried_and_finally_the_tokens_are_erased_without_it(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    walk(api)
    platforms.add_fault(kind="status", status=503, host=OAUTH_HOST, path="/revoke", times=None)
    pending_counts = []
    for _ in range(MAX_ATTEMPTS):
        let_expire(superuser)
        assert revoke_expired(queue) == ["failed"]
        pending_counts.append(pending(superuser))
    assert pending_counts == [1, 1, 1, 1, 0]


def test_a_grant_is_revoked_once_the_platform_recovers(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    walk(api)
    let_expire(superuser)
    platforms.add_fault(kind="reset", host=OAUTH_HOST, path="/revoke")
    assert revoke_expired(queue) == ["failed"]
    assert revoke_expired(queue) == []
    superuser.run("UPDATE pending_grant SET due_at = now()")
    assert revoke_expired(queue) == ["revoked"]
    assert pending(superuser) == 0


def test_undecryptable_tokens_are_erased_too(api: Api, queue: Queue, superuser: pg8000.native.Connection) -> None:
    walk(api)
    superuser.run("UPDATE pending_grant SET access_token = refresh_token")
    for _ in range(MAX_ATTEMPTS):
        let_expire(superuser)
        assert revoke_expired(queue) == ["failed"]
    assert pending(superuser) == 0


@pytest.mark.usefixtures("as_administrator")
def test_a_callback_of_an_erased_studio_is_rejected(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    path = decide(ask(api))
    assert erase_studio(api.studio_id, dry_run=False, remaining_ms=plenty).complete
    answer = come_back(api, path)
    assert (answer.status, answer.json["code"]) == (400, "authorization_invalid")
    assert platforms.requests.counts().get("oauth2.token", 0) == 0


def test_a_callback_of_a_studio_without_keys_exchanges_nothing(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    path = decide(ask(api))
    superuser.run("DELETE FROM data_key")
    answer = come_back(api, path)
    assert (answer.status, answer.json["code"]) == (400, "authorization_invalid")
    assert platforms.requests.counts().get("oauth2.token", 0) == 0


@pytest.mark.usefixtures("as_administrator")
def test_a_grant_arriving_during_an_erasure_is_revoked(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    """The erasure happens between the exchange of the code and the storing of the grant."""
    state = parse_state(query_of(ask(api))["state"])
    oauth_state = write(None, TAKE_OAUTH_STATE, state_hash=state, platform="google")
    data_keys = read(api.studio_id, LIST_DATA_KEYS)
    token = issue_token()
    grant = TokenGrant(Secret(token.access_token), Secret(token.refresh_token), token.expires_in, token.scopes)
    client = Client(GOOGLE, grant.access_token, sandbox_url=platforms.url)
    account = identify(client)
    assert oauth_state is not None
    assert erase_studio(api.studio_id, dry_run=False, remaining_ms=plenty).complete
    with pytest.raises(AuthorizationFailed):
        hold_grant(oauth_state, GOOGLE, grant, account, warnings=(), data_keys=data_keys)
    assert (revocations(platforms), pending(superuser)) == (1, 0)


@pytest.mark.usefixtures("as_administrator")
def test_an_erasure_revokes_pending_grants(api: Api, platforms: Sandbox, superuser: pg8000.native.Connection) -> None:
    walk(api)
    dry = erase_studio(api.studio_id, dry_run=True, remaining_ms=plenty)
    assert dry.grants == [EndedGrant(platform="google", revocation="revoke")]
    report = erase_studio(api.studio_id, dry_run=False, remaining_ms=plenty)
    assert report.grants == [EndedGrant(platform="google", revocation="revoked")]
    assert (revocations(platforms), pending(superuser)) == (1, 0)


@pytest.mark.usefixtures("as_administrator")
def test_an_erasure_revokes_a_pending_grant_of_a_connected_account(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    consent(api)
    walk(api)
    report = erase_studio(api.studio_id, dry_run=False, remaining_ms=plenty)
    assert report.grants == [EndedGrant(platform="google", revocation="revoked")] * 2
    assert pending(superuser) == 0
