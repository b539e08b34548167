"""Shared by tests of administration: the product logged in as the administrator, and studios that have secrets."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from threading import active_count
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
import pg8000.native
import pytest

from chalicelib.data.connections import FIND_STORED_CONNECTION, StoredConnection
from chalicelib.data.data_keys import LIST_DATA_KEYS, StoredDataKey
from chalicelib.data.oauth_states import DRAFT_OAUTH_STATE, INSERT_OAUTH_STATE
from chalicelib.data.pending_grants import HOLD_GRANT
from chalicelib.data.postgres.database import close_pool, read, write
from chalicelib.data.sealed import SEALED
from chalicelib.data.sync.set_aside import STORE_SET_ASIDE
from chalicelib.data.sync.skipped import KEEP_ADDRESS_KEY
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.security.vault import AssociatedData, vault
from chalicelib.services.connections import connect as connecting
from chalicelib.services.connections.tokens import Tokens, seal_grant
from chalicelib.services.operations.key_rotation import Rotation, rotate_data_keys
from chalicelib.services.studios import create_studio
from chalicelib.services.sync.left_out import content_data
from chalicelib.services.webhook_endpoints import create_webhook_endpoint
from chalicelib.settings import get_settings
from dev.postgres import JOINT
from migrations.privileges import ADMIN
from tests.conftest import Database, database_time, login_as
from tests.data.rows import key_of

ACCESS, REFRESH = "ya29.access", "1//refresh"
PLENTY_MS = 900_000


def plenty() -> int:
    return PLENTY_MS


def time_for(steps: int) -> Callable[[], int]:
    """A deadline reached after so many steps."""
    remaining: Iterator[int] = iter([plenty()] * steps)
    return lambda: next(remaining, 0)


@pytest.fixture
def as_administrator(clean_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A fresh process; operator commands run under the administrator's login."""
    monkeypatch.setenv("DATABASE_URL", clean_database.url(JOINT))
    forget()
    yield clean_database
    monkeypatch.undo()
    forget()


def forget() -> None:
    """Resets settings, connections and keys to those of a fresh process."""
    close_pool()
    get_settings.cache_clear()
    vault.cache_clear()


class Secrets(NamedTuple):
    """A studio with a sealed value in every sealed column."""

    studio_id: UUID
    webhook_secret: str

    @property
    def stored(self) -> StoredConnection:
        connection = read(self.studio_id, FIND_STORED_CONNECTION, platform="google", connection=None)
        assert connection is not None
        return connection


def new_secrets() -> Secrets:
    studio_id = create_studio("Anna & Jo")
    tokens = Tokens(access=Secret(ACCESS), refresh=Secret(REFRESH), expires_at=None, scopes=None, expires_in=3600)
    assert connecting.create(studio_id, connecting.NewGrant(get_platform("google"), tokens, None, ()))
    _, secret = create_webhook_endpoint(studio_id, "http://127.0.0.1:9/told")
    _hold_grant(studio_id, _new_state(studio_id))
    _new_state(studio_id)
    _set_aside(studio_id)
    _keep_address_key(studio_id)
    return Secrets(studio_id, secret.reveal())


def _new_state(studio_id: UUID) -> UUID:
    draft = read(studio_id, DRAFT_OAUTH_STATE, platform="meta", connection=None)
    place = AssociatedData(studio_id, "oauth_state", "verifier", draft.id, 1)
    sealed = vault().seal(Secret("verifier"), draft.data_keys, place)
    state = {
        "platform": "meta",
        "connection": None,
        "state_hash": draft.id.bytes,
        "streams": None,
        "return_to": None,
        "seconds": 600,
        "most": 20,
    }
    write(studio_id, INSERT_OAUTH_STATE, id=draft.id, studio_id=studio_id, verifier=sealed, **state)
    return draft.id


def _hold_grant(studio_id: UUID, state_id: UUID) -> None:
    sealed = seal_grant(Secret(ACCESS), Secret(REFRESH), keys(studio_id), studio_id=studio_id, grant_id=state_id)
    nothing = dict.fromkeys(("expires_in", "refresh_expires_in", "scopes", "account_id", "account_name"))
    tokens = {"access_token": sealed.access, "refresh_token": sealed.refresh}
    about = {"code_hash": state_id.bytes, "warnings": "[]", "seconds": 600}
    assert write(studio_id, HOLD_GRANT, id=state_id, **tokens, **about, **nothing)


def _keep_address_key(studio_id: UUID) -> None:
    place = AssociatedData(studio_id, "studio", "address_key", studio_id, 1)
    key = vault().seal(Secret("address key"), keys(studio_id), place)
    write(studio_id, KEEP_ADDRESS_KEY, studio_id=studio_id, address_key=key, lost=None)


def _set_aside(studio_id: UUID) -> None:
    """Stores a sealed record that could not be decoded."""
    connection = read(studio_id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert connection is not None
    row_id = uuid4()
    content = b64encode(vault().seal(Secret("content"), keys(studio_id), content_data(studio_id, row_id))).decode()
    record = {"table_name": "booking", "external_id": "one", "field": "start", "reason": "is missing"}
    row = {"id": row_id, **record, "content": content}
    stream = {"platform": "google", "stream": "bookings", "connection_id": connection.id}
    rows = msgspec.json.encode([row]).decode()
    write(studio_id, STORE_SET_ASIDE, studio_id=studio_id, account_id=studio_id, rows=rows, **stream)


def rest(superuser: pg8000.native.Connection) -> None:
    """Lets an hour pass for retired keys."""
    superuser.run("UPDATE data_key SET retired_at = retired_at - interval '1 hour'")


def damage(superuser: pg8000.native.Connection, secrets: Secrets, column: str = "access_token") -> None:
    """Changes the last byte."""
    superuser.run(
        f"UPDATE platform_connection SET {column} = set_byte({column}, length({column}) - 1,"
        f" 255 - get_byte({column}, length({column}) - 1)) WHERE studio_id = :id",
        id=secrets.studio_id,
    )


def wait_for_a_lock(superuser: pg8000.native.Connection, work: Future[Any]) -> None:
    """Waits until a statement of `work` waits for a lock."""
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    while superuser.run(blocked) == [[0]] and not work.done():
        superuser.run("SELECT pg_sleep(0.01)")


def as_admin_function() -> AbstractContextManager[None]:
    """The administrator's login; if other threads are at work in this process, the login that they all share."""
    return login_as(ADMIN) if active_count() == 1 else nullcontext()


def rotate(
    made_before: datetime | None = None, *, dry_run: bool = False, remaining_ms: Callable[[], int] = plenty
) -> Rotation:
    """Without `made_before`, every existing key gets a successor."""
    before = made_before or database_time()
    with as_admin_function():
        return rotate_data_keys(before, dry_run=dry_run, remaining_ms=remaining_ms)


def keys(studio_id: UUID) -> list[StoredDataKey]:
    return read(studio_id, LIST_DATA_KEYS)


def sealed_values(superuser: pg8000.native.Connection, studio_id: UUID) -> dict[tuple[str, str], tuple[UUID, bytes]]:
    values = {}
    for place in SEALED:
        ((row_id, value),) = superuser.run(
            f"SELECT id, {place.column} FROM {place.table} WHERE {key_of(place.table)} = :id", id=studio_id
        )
        values[place.table, place.column] = row_id, bytes(value)
    return values


def decrypted(superuser: pg8000.native.Connection, secrets: Secrets) -> dict[str, str]:
    """Every sealed value of the studio, decrypted with its current key."""
    generation = {"platform_connection": secrets.stored.token_generation}
    clear = {}
    for (table, column), (row_id, value) in sealed_values(superuser, secrets.studio_id).items():
        place = AssociatedData(secrets.studio_id, table, column, row_id, generation.get(table, 1))
        clear[f"{table}.{column}"] = vault().open(value, keys(secrets.studio_id), place).reveal()
    return clear


def everything_opens(superuser: pg8000.native.Connection, secrets: Secrets) -> bool:
    return decrypted(superuser, secrets) == {
        "oauth_state.verifier": "verifier",
        "pending_grant.access_token": ACCESS,
        "pending_grant.refresh_token": REFRESH,
        "platform_connection.access_token": ACCESS,
        "platform_connection.refresh_token": REFRESH,
        "set_aside.content": "content",
        "studio.address_key": "address key",
        "webhook_endpoint.secret": secrets.webhook_secret,
    }
