"""The handlers one would write first, in Chalice: with a SQLAlchemy session on psycopg 3, and with plain pg8000.

They look up the API key at each request and return the same lists as the product. They know one key for all studios,
no row-level security, no audit entry and no rate limit.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pg8000.native
from chalice.app import Chalice, UnauthorizedError
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.handlers import CONNECTIONS, LOG
from benchmarks.server import Server
from chalicelib.data.models.api_key import ApiKey
from chalicelib.data.models.connection_event import ConnectionEvent
from chalicelib.data.models.platform_connection import PlatformConnection
from chalicelib.data.models.sync_log import SyncLog
from chalicelib.data.models.sync_schedule import SyncSchedule
from chalicelib.security.api_keys import parse

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
Answer = dict[str, Any]
SAVE = f"{CONNECTIONS}/{{platform}}"
PAGE = 50
RECORDS = {
    "seen": "records_seen",
    "created": "records_created",
    "updated": "records_updated",
    "unchanged": "records_unchanged",
    "deleted": "records_deleted",
    "setAside": "records_set_aside",
}


class _Handlers(ABC):
    """The three routes; a subclass queries the database."""

    def __init__(self) -> None:
        self.app = Chalice("obvious", configure_logs=False, env={})
        self._cipher = AESGCM(os.urandom(32))
        self.app.route(CONNECTIONS)(self.list_connections)
        self.app.route(SAVE, methods=["PUT"])(self.save)
        self.app.route(LOG)(self.list_runs)

    @abstractmethod
    def list_connections(self) -> Answer:
        """The studio's connections, each with its health."""

    @abstractmethod
    def save(self, platform: str) -> Answer:
        """Replaces the tokens of the studio's connection to the platform."""

    @abstractmethod
    def list_runs(self) -> Answer:
        """The newest runs of the studio."""

    def _key(self) -> tuple[UUID, bytes]:
        assert self.app.current_request is not None
        key = parse(self.app.current_request.headers["authorization"].removeprefix("Bearer "))
        if key is None:
            raise UnauthorizedError
        return key.id, key.secret_hash

    def _sealed(self, field: str) -> bytes:
        assert self.app.current_request is not None
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, self.app.current_request.json_body[field].encode(), None)


class _SqlalchemyHandlers(_Handlers):
    def __init__(self, session: sessionmaker[Session]) -> None:
        super().__init__()
        self._session = session

    def list_connections(self) -> Answer:
        with self._session() as tx:
            studio_id = self._studio_of(tx)
            schedules = tx.scalars(select(SyncSchedule).where(SyncSchedule.studio_id == studio_id)).all()
            failing = {each.connection_id for each in schedules if each.failures_in_row}
            connected = select(PlatformConnection).where(
                PlatformConnection.studio_id == studio_id, PlatformConnection.disconnected_at.is_(None)
            )
            rows = tx.scalars(connected.order_by(PlatformConnection.id)).all()
            return _page([_connection(row, row.id in failing) for row in rows])

    def save(self, platform: str) -> Answer:
        with self._session() as tx:
            studio_id = self._studio_of(tx)
            of_platform = update(PlatformConnection).where(
                PlatformConnection.studio_id == studio_id, PlatformConnection.platform == platform
            )
            tokens = {"access_token": self._sealed("accessToken"), "refresh_token": self._sealed("refreshToken")}
            saved = tx.scalars(of_platform.values(tokens).returning(PlatformConnection)).one()
            tx.add(ConnectionEvent(studio_id=studio_id, connection_id=saved.id, kind="reconnected"))
            shown = _connection(saved, False)
            tx.commit()
            return shown

    def list_runs(self) -> Answer:
        with self._session() as tx:
            of_studio = select(SyncLog).where(SyncLog.studio_id == self._studio_of(tx))
            return _page([_run(row) for row in tx.scalars(of_studio.order_by(SyncLog.id.desc()).limit(PAGE + 1))])

    def _studio_of(self, tx: Session) -> UUID:
        id, secret_hash = self._key()
        found = tx.get(ApiKey, id)
        if found is None or found.secret_hash != secret_hash or found.revoked_at is not None:
            raise UnauthorizedError
        return found.studio_id


class _Pg8000Handlers(_Handlers):
    CONNECTION = tuple(column.name for column in PlatformConnection.__table__.columns)
    RUN = tuple(column.name for column in SyncLog.__table__.columns)

    def __init__(self, database: pg8000.native.Connection) -> None:
        super().__init__()
        self._run = database.run

    def list_connections(self) -> Answer:
        studio_id = self._studio_id()
        failing = self._run(
            "SELECT connection_id FROM sync_schedule WHERE studio_id = :id AND failures_in_row > 0", id=studio_id
        )
        rows = self._run(
            f"SELECT {', '.join(self.CONNECTION)} FROM platform_connection"
            " WHERE studio_id = :id AND disconnected_at IS NULL ORDER BY id",
            id=studio_id,
        )
        broken = {row[0] for row in failing}
        return _page([_connection(_named(self.CONNECTION, row), row[0] in broken) for row in rows])

    def save(self, platform: str) -> Answer:
        studio_id = self._studio_id()
        self._run("BEGIN")
        (row,) = self._run(
            "UPDATE platform_connection SET access_token = :access, refresh_token = :refresh"
            f" WHERE studio_id = :id AND platform = :platform RETURNING {', '.join(self.CONNECTION)}",
            access=self._sealed("accessToken"),
            refresh=self._sealed("refreshToken"),
            id=studio_id,
            platform=platform,
        )
        self._run(
            "INSERT INTO connection_event (studio_id, connection_id, kind) VALUES (:studio_id, :id, 'reconnected')",
            studio_id=studio_id,
            id=row[0],
        )
        self._run("COMMIT")
        return _connection(_named(self.CONNECTION, row), False)

    def list_runs(self) -> Answer:
        rows = self._run(
            f"SELECT {', '.join(self.RUN)} FROM sync_log WHERE studio_id = :id ORDER BY id DESC LIMIT {PAGE + 1}",
            id=self._studio_id(),
        )
        return _page([_run(_named(self.RUN, row)) for row in rows])

    def _studio_id(self) -> UUID:
        id, secret_hash = self._key()
        found = self._run("SELECT studio_id, secret_hash, revoked_at FROM api_key WHERE id = :id", id=id)
        if not found or found[0][1] != secret_hash or found[0][2] is not None:
            raise UnauthorizedError
        studio_id: UUID = found[0][0]
        return studio_id


@contextmanager
def sqlalchemy_handlers(server: Server) -> Iterator[Handler]:
    engine = create_engine(server.urls.superuser.replace("postgresql://", "postgresql+psycopg://"), pool_size=1)
    try:
        yield _SqlalchemyHandlers(sessionmaker(engine)).app
    finally:
        engine.dispose()


@contextmanager
def pg8000_handlers(server: Server) -> Iterator[Handler]:
    parts = urlsplit(server.urls.superuser)
    database = pg8000.native.Connection(
        parts.username, host=parts.hostname, port=parts.port, database=parts.path[1:], password=parts.password
    )
    with closing(database):
        yield _Pg8000Handlers(database).app


def _named(columns: Sequence[str], values: Sequence[Any]) -> SimpleNamespace:
    return SimpleNamespace(**dict(zip(columns, values, strict=True)))


def _page(items: list[Answer]) -> Answer:
    return {"items": items[:PAGE], "nextCursor": items[PAGE - 1]["id"] if len(items) > PAGE else None}


def _connection(row: Any, fails: bool) -> Answer:
    return {
        "id": str(row.id),
        "platform": row.platform,
        "status": row.status,
        "statusReason": {
            "code": row.status_code,
            "message": row.status_message,
            "since": _time(row.status_since),
            "action": "none",
        },
        "health": "degraded" if fails else "healthy",
        "accountId": row.external_account_id,
        "accountName": row.external_account_name,
        "scopes": row.scopes,
        "hasRefreshToken": row.refresh_token is not None,
        "tokenExpiresAt": _time(row.token_expires_at),
        "lastSyncAt": _time(row.last_sync_at),
        "lastError": row.last_error_code,
        "createdAt": _time(row.created_at),
        "updatedAt": _time(row.updated_at),
    }


def _run(row: Any) -> Answer:
    return {
        "id": str(row.id),
        "connectionId": str(row.connection_id),
        "platform": row.platform,
        "syncType": row.stream,
        "trigger": row.trigger,
        "status": row.status,
        "queuedAt": _time(row.queued_at),
        "startedAt": _time(row.started_at),
        "finishedAt": _time(row.finished_at),
        "resumeAt": _time(row.resume_at),
        "durationMs": row.duration_ms,
        "scheduleLagMs": row.schedule_lag_ms,
        "attempts": row.attempts,
        "pages": row.pages,
        "apiCalls": row.api_calls,
        "fullRead": row.full_read,
        "records": {name: getattr(row, column) for name, column in RECORDS.items()},
        "skipped": row.skipped,
        "accounts": row.accounts,
        "deletionsRefused": row.deletions_refused,
        "backfill": None,
        "error": row.error_code,
    }


def _time(moment: Any) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
