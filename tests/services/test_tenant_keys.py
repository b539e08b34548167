"""The keys of tenant proofs: two during a replacement, and a key that does not match fails loudly."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import boto3
import pg8000.native
import pytest
from alembic import command
from alembic.config import Config

from chalicelib import clock
from chalicelib.data.postgres.database import close_pool, read, transaction
from chalicelib.data.postgres.tenants import TRUSTED, fingerprint_of
from chalicelib.data.studios import GET_STUDIO
from chalicelib.errors import Conflict, SettingsError
from chalicelib.secret import Secret
from chalicelib.secret_store import forget_secrets
from chalicelib.services.health import check_health
from chalicelib.services.operations.tenant_keys import IN_USE_ELSEWHERE, apply_tenant_keys, get_tenant_keys_status
from chalicelib.settings import get_settings
from tests.conftest import PROOF_KEY, ROOT, Api, Database
from tests.data.rows import new_studio

OLD, NEW, OTHER = PROOF_KEY, "new-canary-" * 4, "other-canary-" * 4
Listing = Callable[..., None]


@pytest.fixture
def listing(clean_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listing]:
    """Configures these keys; afterwards the database accepts those of the tests again."""

    def listing(*keys: str) -> None:
        monkeypatch.setenv("TENANT_PROOF_KEYS", ",".join(keys))
        get_settings.cache_clear()

    yield listing
    listing(OLD)
    apply_tenant_keys(force=True)
    get_settings.cache_clear()


@pytest.fixture
def studio(clean_database: Database) -> UUID:
    return new_studio()


def is_seen(studio: UUID) -> bool:
    try:
        return read(studio, GET_STUDIO) is not None
    except SettingsError:
        return False


def later(monkeypatch: pytest.MonkeyPatch, time: timedelta) -> None:
    now = clock.now()  # today: the clock advances from the current time
    monkeypatch.setattr(clock, "now", lambda: now + time)


def test_a_key_is_replaced_without_a_gap_and_the_old_one_ends(
    studio: UUID, listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing(OLD, NEW)
    applied = apply_tenant_keys()
    assert (applied.added, applied.removed, applied.fits) == (1, 0, True)
    for keys in ((OLD, NEW), (NEW, OLD), (OLD,), (NEW,)):  # containers get the new list at different times
        listing(*keys)
        assert is_seen(studio)
    listing(NEW, OLD)
    apply_tenant_keys()
    later(monkeypatch, IN_USE_ELSEWHERE)
    listing(NEW)
    applied = apply_tenant_keys()
    assert (applied.added, applied.removed, applied.listed) == (0, 1, [fingerprint_of(Secret(NEW))])
    assert is_seen(studio)
    listing(OLD, NEW)
    assert not is_seen(studio)


def test_a_key_that_may_be_in_use_is_removed_only_by_force(
    studio: UUID, listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for keys in ((NEW,), (NEW, OLD), (NEW,)):
        listing(*keys)
        if len(keys) == 1:
            with pytest.raises(Conflict, match="20 minutes") as caught:
                apply_tenant_keys()
            assert caught.value.code == "tenant_key_in_use"
        else:
            apply_tenant_keys()
    listing(OLD)
    assert is_seen(studio)
    listing(NEW)
    assert apply_tenant_keys(force=True).removed == 1
    listing(OLD)
    assert not is_seen(studio)


def test_going_back_to_the_old_key_restarts_its_waiting_time(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    for keys in ((NEW, OLD), (OLD, NEW)):
        listing(*keys)
        apply_tenant_keys()
    later(monkeypatch, IN_USE_ELSEWHERE - timedelta(minutes=1))
    listing(OLD)
    with pytest.raises(Conflict):
        apply_tenant_keys()


def test_a_key_unknown_to_the_database_fails_loudly_and_reveals_nothing(
    studio: UUID, listing: Listing, superuser: pg8000.native.Connection
) -> None:
    listing(OTHER)
    for work in (lambda: read(studio, GET_STUDIO), lambda: new_studio("another")):
        with pytest.raises(SettingsError, match="does not accept the proof"):
            work()
    assert superuser.run("SELECT count(*) FROM studio") == [[1]]
    health = check_health()
    assert (health.status, health.database) == ("degraded", "misconfigured")
    status = get_tenant_keys_status()
    assert (status.fits, [key.fingerprint for key in status.accepted]) == (False, [fingerprint_of(Secret(OLD))])
    listing(OLD)
    assert check_health().status == "ok"
    assert is_seen(studio)


def test_a_request_with_a_key_that_does_not_match_is_a_server_error(api: Api, listing: Listing) -> None:
    api.post("/api/connections", {"platform": "website"})
    listing(OTHER)
    for answer in (api.get("/api/connections"), api.get("/api/connections/website")):
        assert (answer.status, answer.json["code"]) == (500, "misconfigured")
    assert api.get("/api/health").status == 503
    listing(OLD)
    assert len(api.get("/api/connections").json["items"]) == 1


def test_only_fingerprints_of_keys_are_shown(listing: Listing, superuser: pg8000.native.Connection) -> None:
    listing(OLD, NEW)
    output = repr(apply_tenant_keys()) + repr(get_tenant_keys_status())
    stored_rows = repr(superuser.run("SELECT fingerprint, inner_pad, outer_pad FROM tenant_key"))
    for key in (OLD, NEW):
        assert fingerprint_of(Secret(key)) in output
        assert key not in output + stored_rows


def test_a_migration_adds_the_configured_keys_and_removes_none(studio: UUID, listing: Listing) -> None:
    listing(OTHER)
    command.upgrade(Config(ROOT / "alembic.ini"), "head")
    assert is_seen(studio)
    listing(OLD)
    assert is_seen(studio)


class KeySecret:
    """The secret that TENANT_PROOF_SECRET_ARN names, in the local Secrets Manager."""

    def __init__(self) -> None:
        self._client = boto3.client("secretsmanager", region_name="eu-central-1")
        self.arn = self._client.create_secret(Name=f"ansel-{uuid4()}", SecretString="{}")["ARN"]

    def put(self, **fields: str) -> None:
        self._client.put_secret_value(SecretId=self.arn, SecretString=json.dumps(fields))


@pytest.fixture
def key_secret(local_aws: Any, listing: Listing, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeySecret]:
    key_secret = KeySecret()
    with monkeypatch.context() as environ:
        environ.delenv("TENANT_PROOF_KEYS")
        environ.setenv("TENANT_PROOF_SECRET_ARN", key_secret.arn)
        forget_secrets()
        get_settings.cache_clear()
        yield key_secret
    forget_secrets()
    get_settings.cache_clear()


def test_a_secret_with_the_keys_is_read_again_when_a_proof_is_rejected(
    studio: UUID, key_secret: KeySecret, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_secret.put(TENANT_PROOF_KEYS=OTHER)
    assert not is_seen(studio)
    key_secret.put(TENANT_PROOF_KEYS=OLD)
    assert not is_seen(studio)  # read a moment ago
    later(monkeypatch, TRUSTED + timedelta(seconds=1))
    assert not is_seen(studio)
    assert is_seen(studio)


@pytest.mark.parametrize("fields", [{}, {"TENANT_PROOF_KEYS": ""}, {"TENANT_PROOF_KEYS": "canary"}], ids=str)
def test_a_secret_without_keys_is_named_and_not_shown(
    studio: UUID, key_secret: KeySecret, fields: dict[str, str]
) -> None:
    key_secret.put(**fields)
    with pytest.raises(SettingsError, match="TENANT_PROOF_KEYS") as caught, transaction(studio):
        pass
    assert "canary" not in str(caught.value)


def test_work_without_a_studio_needs_no_key(key_secret: KeySecret) -> None:
    close_pool()
    assert read(None, GET_STUDIO) is None
