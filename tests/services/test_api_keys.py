"""API keys as the product issues and verifies them; their format and hash are tested in tests/security."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pg8000.native
import pytest

from chalicelib import clock
from chalicelib.data.postgres.driver import query_statistics
from chalicelib.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthorized
from chalicelib.secret import Secret
from chalicelib.security.api_keys import SCOPES
from chalicelib.services import authentication
from chalicelib.services.api_keys import create_api_key, list_api_keys, revoke_api_key, rotate_api_key
from chalicelib.services.authentication import CACHE_SECONDS, ApiKeyCache, authenticate, forget_callers
from chalicelib.services.studios import create_studio
from tests.conftest import NOON, Database, database_time


@pytest.fixture
def studio_id(clean_database: Database) -> UUID:
    return create_studio("Studio")


def header(key: Secret) -> str:
    return f"Bearer {key.reveal()}"


def key_id(key: Secret) -> UUID:
    return UUID(key.reveal().split("_")[1])


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """For cached keys, on the monotonic clock."""
    monotonic = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: monotonic + seconds)


def test_a_key_authenticates_its_studio_with_its_scopes(studio_id: UUID) -> None:
    key = create_api_key(studio_id, "reader", ["sync:read", "metrics:read"])
    caller = authenticate(header(key))
    assert (caller.studio_id, caller.key_id) == (studio_id, key_id(key))
    assert caller.scopes == {"sync:read", "metrics:read"}
    caller.require("sync:read")
    with pytest.raises(Forbidden, match="sync:write"):
        caller.require("sync:write")


def test_admin_implies_every_existing_scope_and_no_other(studio_id: UUID) -> None:
    caller = authenticate(header(create_api_key(studio_id, "all", ["admin"])))
    for scope in SCOPES:
        caller.require(scope)
    with pytest.raises(Forbidden):
        caller.require("studios:delete")


def test_a_key_without_scopes_is_forbidden_everything(studio_id: UUID) -> None:
    caller = authenticate(header(create_api_key(studio_id, "none", [])))
    for scope in SCOPES:
        with pytest.raises(Forbidden):
            caller.require(scope)


def test_only_the_hash_of_a_key_is_stored(studio_id: UUID, superuser: pg8000.native.Connection) -> None:
    key = create_api_key(studio_id, "stored", ["admin"])
    secret = key.reveal().split("_")[2]
    (row,) = superuser.run("SELECT row_to_json(k)::text, encode(secret_hash, 'hex') FROM api_key AS k")
    assert secret not in row[0]
    assert len(row[1]) == 64
    assert row[1] != secret
    assert secret not in repr(key)


def test_an_unknown_scope_is_rejected_and_named(studio_id: UUID, superuser: pg8000.native.Connection) -> None:
    with pytest.raises(InvalidInput) as caught:
        create_api_key(studio_id, "wrong", ["sync:read", "sync:everything"])
    (problem,) = caught.value.fields
    assert problem.field == "scopes[1]"
    assert "sync:write" in problem.problem
    assert superuser.run("SELECT count(*) FROM api_key") == [[0]]


@pytest.mark.parametrize("spelling", ["Bearer {}", "bearer {}", "BEARER   {}", "  Bearer {}  "])
def test_the_scheme_is_case_insensitive(studio_id: UUID, spelling: str) -> None:
    key = create_api_key(studio_id, "case", ["admin"])
    assert authenticate(spelling.format(key.reveal())).studio_id == studio_id


def test_a_wrong_secret_is_rejected_like_an_unknown_id(studio_id: UUID) -> None:
    key = create_api_key(studio_id, "key", ["admin"]).reveal()
    prefix, id, secret = key.split("_")
    wrong = f"Bearer {prefix}_{id}_{secret[::-1]}"
    unknown = f"Bearer {prefix}_{id[::-1]}_{secret}"
    messages = set()
    for authorization in (wrong, unknown):
        with pytest.raises(Unauthorized) as caught:
            authenticate(authorization)
        messages.add((caught.value.message, str(caught.value)))
    assert len(messages) == 1


@pytest.mark.parametrize(
    "end",
    ["2026-11-18T12:00:30Z", "2027-01-01T00:00:00Z", "2028-02-29T23:59:59Z", "2027-03-28T02:00:00+01:00"],
)
def test_an_expired_key_is_rejected_to_the_second(studio_id: UUID, end: str) -> None:
    expires_at = datetime.fromisoformat(end)
    with clock.at(expires_at - timedelta(microseconds=1)):
        key = create_api_key(studio_id, "short", ["admin"], expires_at=expires_at)
        authenticate(header(key))
    forget_callers()
    with clock.at(expires_at), pytest.raises(Unauthorized):
        authenticate(header(key))


def test_a_key_is_cached_for_a_few_seconds(studio_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    key = create_api_key(studio_id, "seen", ["admin"])

    def look_ups() -> int:
        with query_statistics() as statistics:
            authenticate(header(key))
        return statistics.round_trips

    assert [look_ups(), look_ups()] == [1, 0]
    pass_time(monkeypatch, CACHE_SECONDS)
    assert [look_ups(), look_ups()] == [1, 0]


def test_an_invalid_key_is_rejected_from_the_cache_for_a_few_seconds(
    studio_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = create_api_key(studio_id, "key", ["admin"])
    revoke_api_key(studio_id, key_id(key))

    def look_ups() -> int:
        with query_statistics() as statistics, pytest.raises(Unauthorized):
            authenticate(header(key))
        return statistics.round_trips

    assert [look_ups(), look_ups()] == [1, 0]
    pass_time(monkeypatch, CACHE_SECONDS)
    assert [look_ups(), look_ups()] == [1, 0]


def test_a_key_is_not_cached_beyond_its_expiry(studio_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    end = NOON + timedelta(seconds=1)
    with clock.at(NOON):
        key = create_api_key(studio_id, "short", ["admin"], expires_at=end)
        authenticate(header(key))
    pass_time(monkeypatch, 1)
    with clock.at(end), pytest.raises(Unauthorized):
        authenticate(header(key))


def test_a_revoked_key_is_rejected_once_its_cache_entry_expires(
    studio_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = create_api_key(studio_id, "gone", ["admin"])
    authenticate(header(key))
    revoke_api_key(studio_id, key_id(key))
    pass_time(monkeypatch, CACHE_SECONDS)
    with pytest.raises(Unauthorized):
        authenticate(header(key))


def test_revoking_twice_keeps_the_first_timestamp(studio_id: UUID, superuser: pg8000.native.Connection) -> None:
    key = create_api_key(studio_id, "gone", ["admin"])
    moments = []
    for _ in range(2):
        revoke_api_key(studio_id, key_id(key))
        moments.append(superuser.run("SELECT revoked_at FROM api_key")[0][0])
    assert moments[0] == moments[1] is not None


def test_a_key_of_another_studio_cannot_be_revoked(studio_id: UUID) -> None:
    key = create_api_key(studio_id, "mine", ["admin"])
    with pytest.raises(NotFound):
        revoke_api_key(create_studio("Other"), key_id(key))
    assert authenticate(header(key)).studio_id == studio_id


def test_the_cache_of_keys_is_bounded(studio_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "CACHE_SIZE", 2)
    cache = ApiKeyCache()
    for number in range(5):
        key = create_api_key(studio_id, str(number), ["admin"])
        cache.authenticate(header(key))
        with pytest.raises(Unauthorized):
            cache.authenticate(f"Bearer ansel_{number:032x}_{number:064x}")
        assert len(cache) <= 2


def test_a_rotated_key_keeps_name_and_scopes_and_both_work_during_the_grace_period(
    studio_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = create_api_key(studio_id, "dashboard", ["sync:read"])
    new, ending = rotate_api_key(studio_id, key_id(old), grace_hours=24)
    assert ending.expires_at is not None
    assert timedelta(hours=23, minutes=59) < ending.expires_at - database_time() <= timedelta(hours=24)
    for key in (old, new.token):
        assert authenticate(header(key)).scopes == {"sync:read"}
    assert [(key.name, key.expires_at is None) for key in list_api_keys(studio_id)] == [
        ("dashboard", False),
        ("dashboard", True),
    ]
    pass_time(monkeypatch, 86401)
    with clock.at(ending.expires_at):
        assert authenticate(header(new.token)).key_id == new.id
        with pytest.raises(Unauthorized):
            authenticate(header(old))


def test_without_a_grace_period_the_old_key_ends_at_once(studio_id: UUID) -> None:
    old = create_api_key(studio_id, "leaked", ["admin"])
    rotate_api_key(studio_id, key_id(old), grace_hours=0)
    with pytest.raises(Unauthorized):
        authenticate(header(old))


def test_the_grace_period_does_not_extend_an_expiry(studio_id: UUID) -> None:
    soon, later = database_time() + timedelta(hours=1), database_time() + timedelta(days=9)
    old = create_api_key(studio_id, "short", ["admin"], expires_at=soon)
    _, ending = rotate_api_key(studio_id, key_id(old), grace_hours=24, expires_at=later)
    assert ending.expires_at == soon


def test_rotation_does_not_silently_remove_an_expiry(studio_id: UUID) -> None:
    old = create_api_key(studio_id, "short", ["admin"], expires_at=datetime(2999, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidInput) as caught:
        rotate_api_key(studio_id, key_id(old), grace_hours=24)
    assert [problem.field for problem in caught.value.fields] == ["expiresAt"]
    assert len(list_api_keys(studio_id)) == 1


def test_rotation_to_an_already_expired_key_is_rejected(studio_id: UUID) -> None:
    key, past = create_api_key(studio_id, "good", ["admin"]), NOON
    for make in (
        lambda: create_api_key(studio_id, "dead", ["admin"], expires_at=past),
        lambda: rotate_api_key(studio_id, key_id(key), grace_hours=0, expires_at=past),
    ):
        with clock.at(past), pytest.raises(InvalidInput) as caught:
            make()
        assert [problem.field for problem in caught.value.fields] == ["expiresAt"]
    authenticate(header(key))
    assert len(list_api_keys(studio_id)) == 1


def test_an_expired_key_is_not_rotated(studio_id: UUID, superuser: pg8000.native.Connection) -> None:
    revoked = create_api_key(studio_id, "revoked", ["admin"])
    revoke_api_key(studio_id, key_id(revoked))
    expired = create_api_key(studio_id, "expired", ["admin"])
    superuser.run("UPDATE api_key SET expires_at = now() WHERE name = 'expired'")
    for key in (revoked, expired):
        with pytest.raises(Conflict, match="no longer valid"):
            rotate_api_key(studio_id, key_id(key), grace_hours=24, expires_at=datetime(2999, 1, 1, tzinfo=UTC))
    assert len(list_api_keys(studio_id)) == 2


def test_a_key_of_another_studio_cannot_be_rotated(studio_id: UUID) -> None:
    key = create_api_key(studio_id, "mine", ["admin"])
    other = create_studio("Other")
    with pytest.raises(NotFound):
        rotate_api_key(other, key_id(key), grace_hours=0)
    assert list_api_keys(other) == []
    assert authenticate(header(key)).studio_id == studio_id
