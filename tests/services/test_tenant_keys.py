"""The keys that studios are proved with: two while one is replaced, and never one that fits nothing in silence."""

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
    """Lists these keys; afterwards the database accepts those of the tests again."""

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
    now = clock.now()  # today: what the clock tells moves on from where it is
    monkeypatch.setattr(clock, "now", lambda: now + time)


def test_a_key_is_replaced_without_a_gap_and_the_old_one_ends(
    studio: UUID, listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing(OLD, NEW)
    applied = apply_tenant_keys()
    assert (applied.added, applied.removed, applied.fits) == (1, 0, True)
    for keys in ((OLD, NEW), (NEW, OLD), (OLD,), (NEW,)):  # as containers are, some sooner and some later
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


def test_a_key_that_may_be_in_use_is_taken_away_by_force_alone(
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


def test_going_back_to_the_old_key_begins_its_time_again(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    for keys in ((NEW, OLD), (OLD, NEW)):
        listing(*keys)
        apply_tenant_keys()
    later(monkeypatch, IN_USE_ELSEWHERE - timedelta(minutes=1))
    listing(OLD)
    with pytest.raises(Conflict):
        apply_tenant_keys()


def test_a_key_that_the_database_does_not_know_fails_loudly_and_shows_nothing(
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


def test_a_request_under_a_key_that_does_not_fit_is_our_failure_and_no_empty_answer(api: Api, listing: Listing) -> None:
    api.post("/api/connections", {"platform": "website"})
    listing(OTHER)
    for answer in (api.get("/api/connections"), api.get("/api/connections/website")):
        assert (answer.status, answer.json["code"]) == (500, "misconfigured")
    assert api.get("/api/health").status == 503
    listing(OLD)
    assert len(api.get("/api/connections").json["items"]) == 1


def test_what_is_shown_of_keys_are_fingerprints(listing: Listing, superuser: pg8000.native.Connection) -> None:
    listing(OLD, NEW)
    shown = repr(apply_tenant_keys()) + repr(get_tenant_keys_status())
    kept = repr(superuser.run("SELECT fingerprint, inner_pad, outer_pad FROM tenant_key"))
    for key in (OLD, NEW):
        assert fingerprint_of(Secret(key)) in shown
        assert key not in shown + kept


def test_whoever_migrates_makes_the_listed_keys_known_and_takes_none_away(studio: UUID, listing: Listing) -> None:
    listing(OTHER)
    command.upgrade(Config(ROOT / "alembic.ini"), "head")
    assert is_seen(studio)
    listing(OLD)
    assert is_seen(studio)


class Kept:
    """The secret that TENANT_PROOF_SECRET_ARN names, in the local Secrets Manager."""

    def __init__(self) -> None:
        self._client = boto3.client("secretsmanager", region_name="eu-central-1")
        self.arn = self._client.create_secret(Name=f"ansel-{uuid4()}", SecretString="{}")["ARN"]

    def put(self, **fields: str) -> None:
        self._client.put_secret_value(SecretId=self.arn, SecretString=json.dumps(fields))


@pytest.fixture
def kept(local_aws: Any, listing: Listing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    kept = Kept()
    with monkeypatch.context() as environ:
        environ.delenv("TENANT_PROOF_KEYS")
        environ.setenv("TENANT_PROOF_SECRET_ARN", kept.arn)
        forget_secrets()
        get_settings.cache_clear()
        yield kept
    forget_secrets()
    get_settings.cache_clear()


def test_the_keys_may_be_in_a_secret_which_is_read_again_when_a_proof_is_refused(
    studio: UUID, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.put(TENANT_PROOF_KEYS=OTHER)
    assert not is_seen(studio)
    kept.put(TENANT_PROOF_KEYS=OLD)
    assert not is_seen(studio)  # read a moment ago
    later(monkeypatch, TRUSTED + timedelta(seconds=1))
    assert not is_seen(studio)
    assert is_seen(studio)


@pytest.mark.parametrize("fields", [{}, {"TENANT_PROOF_KEYS": ""}, {"TENANT_PROOF_KEYS": "canary"}], ids=str)
def test_a_secret_without_keys_is_named_and_not_shown(studio: UUID, kept: Kept, fields: dict[str, str]) -> None:
    kept.put(**fields)
    with pytest.raises(SettingsError, match="TENANT_PROOF_KEYS") as caught, transaction(studio):
        pass
    assert "canary" not in str(caught.value)


def test_what_concerns_no_studio_needs_no_key(kept: Kept) -> None:
    close_pool()
    assert read(None, GET_STUDIO) is None
