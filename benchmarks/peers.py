"""The obvious handlers beside ours, in this process and on the same rows: Chalice with a SQLAlchemy session on
psycopg 3, and Chalice with plain pg8000.

The peers know one key for all studios, no row-level security, no audit entry and no rate limit. Each looks up the API
key, as ours does when it has not seen it for a while, and returns the same rows.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from statistics import median
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pg8000.native
from chalice.app import Chalice, Request, UnauthorizedError
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import Session, sessionmaker

from app import app
from benchmarks import handlers, timing
from benchmarks.handlers import CONNECTIONS, LOG, TOKENS, bearer_of, context, event
from benchmarks.server import Server
from benchmarks.table import Row, Table
from chalicelib.data.connections import LIST_CONNECTIONS
from chalicelib.data.models.api_key import ApiKey
from chalicelib.data.models.connection_event import ConnectionEvent
from chalicelib.data.models.platform_connection import PlatformConnection
from chalicelib.data.models.sync_log import SyncLog
from chalicelib.data.models.sync_schedule import SyncSchedule
from chalicelib.data.postgres.database import read
from chalicelib.security.api_keys import parse
from chalicelib.services.authentication import forget_callers

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
SAVED = f"{CONNECTIONS}/meta"
SAVE = f"{CONNECTIONS}/{{platform}}"
PAGE = 50


def measure(quick: bool, server: Server) -> list[Table]:
    rounds, samples, runs = (2, 10, 500) if quick else (10, 100, 100_000)
    with ExitStack() as stack:
        stack.enter_context(handlers.quiet())
        studio_id, bearer = _filled(server, runs)
        peers: dict[str, Handler] = {
            "ours": app,
            "SQLAlchemy session, psycopg 3": stack.enter_context(sqlalchemy_peer(server)),
            "plain pg8000": stack.enter_context(pg8000_peer(server)),
        }
        requests = {
            "list": event("GET", CONNECTIONS, bearer),
            "save": event("PUT", SAVED, bearer, TOKENS, route=SAVE),
            "sync log": event("GET", LOG, bearer),
        }
        taken = {
            work: timing.interleaved(
                {name: partial(_called, peer, request) for name, peer in peers.items()},
                rounds=rounds,
                samples=samples,
                prepare={"ours": forget_callers, **dict.fromkeys([*peers][1:], _nothing)},
            )
            for work, request in requests.items()
        }
        floor = timing.interleaved(
            {"list": lambda: read(studio_id, LIST_CONNECTIONS, connection=None)}, rounds=rounds, samples=samples
        )
    return [_table(taken, floor, rounds * samples, runs)]


def _filled(server: Server, runs: int) -> tuple[UUID, str]:
    """A studio with four connections and a log, among twenty others."""
    with closing(server.connect(server.urls.superuser)) as superuser:
        for _ in range(21):
            studio_id = server.new_studio()
            bearer = bearer_of(studio_id)
            for platform, tokens in handlers.CONNECTED.items():
                created = app(event("POST", CONNECTIONS, bearer, {"platform": platform, **tokens}), context())
                assert created["statusCode"] == 201, created
        superuser.run(handlers.INSERT_RUNS, studio_id=studio_id, count=runs)
        superuser.run("VACUUM ANALYZE")
    return studio_id, bearer


def _called(handler: Handler, request: dict[str, Any]) -> None:
    response = handler(request, context())
    assert response["statusCode"] == 200, response


def _nothing() -> None:
    pass


@contextmanager
def sqlalchemy_peer(server: Server) -> Iterator[Handler]:
    engine = create_engine(server.urls.superuser.replace("postgresql://", "postgresql+psycopg://"), pool_size=1)
    session, peer, seal = sessionmaker(engine), Chalice("peer", configure_logs=False, env={}), _sealer()

    def studio_of(tx: Session) -> UUID:
        key = parse(_request(peer).headers["authorization"].removeprefix("Bearer "))
        if key is None:
            raise UnauthorizedError
        found = tx.get(ApiKey, key.id)
        if found is None or found.secret_hash != key.secret_hash or found.revoked_at is not None:
            raise UnauthorizedError
        return found.studio_id

    @peer.route(CONNECTIONS)
    def list_connections() -> dict[str, Any]:
        with session() as tx:
            studio_id = studio_of(tx)
            of_studio = select(PlatformConnection).where(
                PlatformConnection.studio_id == studio_id, PlatformConnection.disconnected_at.is_(None)
            )
            schedules = tx.scalars(select(SyncSchedule).where(SyncSchedule.studio_id == studio_id)).all()
            failing = {each.connection_id for each in schedules if each.failures_in_row}
            rows = tx.scalars(of_studio.order_by(PlatformConnection.id)).all()
            return {"items": [_shown(row, row.id in failing) for row in rows]}

    @peer.route(SAVE, methods=["PUT"])
    def save(platform: str) -> dict[str, Any]:
        body = _request(peer).json_body
        with session() as tx:
            studio_id = studio_of(tx)
            saved = tx.scalars(
                update(PlatformConnection)
                .where(PlatformConnection.studio_id == studio_id, PlatformConnection.platform == platform)
                .values(access_token=seal(body["accessToken"]), refresh_token=seal(body["refreshToken"]))
                .returning(PlatformConnection)
            ).one()
            tx.add(ConnectionEvent(studio_id=studio_id, connection_id=saved.id, kind="reconnected"))
            shown = _shown(saved, False)
            tx.commit()
            return shown

    @peer.route(LOG)
    def list_runs() -> dict[str, Any]:
        with session() as tx:
            of_studio = select(SyncLog).where(SyncLog.studio_id == studio_of(tx))
            return {"items": [_run(row) for row in tx.scalars(of_studio.order_by(SyncLog.id.desc()).limit(PAGE))]}

    try:
        yield peer
    finally:
        engine.dispose()


CONNECTION_COLUMNS = [column.name for column in PlatformConnection.__table__.columns]
RUN_COLUMNS = [column.name for column in SyncLog.__table__.columns]


@contextmanager
def pg8000_peer(server: Server) -> Iterator[Handler]:
    parts = urlsplit(server.urls.superuser)
    database = pg8000.native.Connection(
        parts.username, host=parts.hostname, port=parts.port, database=parts.path[1:], password=parts.password
    )
    peer, seal = Chalice("plain", configure_logs=False, env={}), _sealer()

    def studio_of() -> UUID:
        key = parse(_request(peer).headers["authorization"].removeprefix("Bearer "))
        found = database.run("SELECT studio_id, secret_hash FROM api_key WHERE id = :id", id=key.id if key else None)
        if key is None or not found or found[0][1] != key.secret_hash:
            raise UnauthorizedError
        studio_id: UUID = found[0][0]
        return studio_id

    @peer.route(CONNECTIONS)
    def list_connections() -> dict[str, Any]:
        studio_id = studio_of()
        failing = database.run(
            "SELECT connection_id FROM sync_schedule WHERE studio_id = :id AND failures_in_row > 0", id=studio_id
        )
        rows = database.run(
            f"SELECT {', '.join(CONNECTION_COLUMNS)} FROM platform_connection"
            " WHERE studio_id = :id AND disconnected_at IS NULL ORDER BY id",
            id=studio_id,
        )
        broken = {row[0] for row in failing}
        return {"items": [_shown(_row(CONNECTION_COLUMNS, row), row[0] in broken) for row in rows]}

    @peer.route(SAVE, methods=["PUT"])
    def save(platform: str) -> dict[str, Any]:
        body, studio_id = _request(peer).json_body, studio_of()
        database.run("BEGIN")
        (row,) = database.run(
            "UPDATE platform_connection SET access_token = :access, refresh_token = :refresh"
            f" WHERE studio_id = :id AND platform = :platform RETURNING {', '.join(CONNECTION_COLUMNS)}",
            access=seal(body["accessToken"]),
            refresh=seal(body["refreshToken"]),
            id=studio_id,
            platform=platform,
        )
        database.run(
            "INSERT INTO connection_event (studio_id, connection_id, kind) VALUES (:studio_id, :id, 'reconnected')",
            studio_id=studio_id,
            id=row[0],
        )
        database.run("COMMIT")
        return _shown(_row(CONNECTION_COLUMNS, row), False)

    @peer.route(LOG)
    def list_runs() -> dict[str, Any]:
        rows = database.run(
            f"SELECT {', '.join(RUN_COLUMNS)} FROM sync_log WHERE studio_id = :id ORDER BY id DESC LIMIT {PAGE}",
            id=studio_of(),
        )
        return {"items": [_run(_row(RUN_COLUMNS, row)) for row in rows]}

    with closing(database):
        yield peer


def _request(peer: Chalice) -> Request:
    assert peer.current_request is not None
    return peer.current_request


def _row(columns: list[str], values: list[Any]) -> SimpleNamespace:
    return SimpleNamespace(**dict(zip(columns, values, strict=True)))


def _shown(row: Any, fails: bool) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "platform": row.platform,
        "status": row.status,
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


def _run(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "platform": row.platform,
        "syncType": row.stream,
        "status": row.status,
        "trigger": row.trigger,
        "queuedAt": _time(row.queued_at),
        "startedAt": _time(row.started_at),
        "finishedAt": _time(row.finished_at),
        "durationMs": row.duration_ms,
        "pages": row.pages,
        "records": {"seen": row.records_seen, "created": row.records_created, "updated": row.records_updated},
        "error": row.error_code,
    }


def _time(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()


def _sealer() -> Callable[[str], bytes]:
    cipher = AESGCM(os.urandom(32))

    def seal(token: str) -> bytes:
        nonce = os.urandom(12)
        return nonce + cipher.encrypt(nonce, token.encode(), None)

    return seal


def _table(taken: dict[str, dict[str, list[float]]], floor: dict[str, list[float]], samples: int, runs: int) -> Table:
    rows: list[Row] = []
    for work, by_peer in taken.items():
        base = median(by_peer["SQLAlchemy session, psycopg 3"])
        rows += [(work, name, median(times) * 1000, median(times) / base) for name, times in by_peer.items()]
    rows.append(("list", "our statement alone", median(floor["list"]) * 1000, None))
    title = f"The obvious handlers beside ours ({samples:,} requests each, a log of {runs:,} runs)"
    note = "Each request looks the API key up in the database. The peers' role bypasses row-level security."
    return Table(title, ("work", "handler", "p50 ms", "times SQLAlchemy"), rows, [note])
