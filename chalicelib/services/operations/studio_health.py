"""A studio's health, for operators: contains no token, and nothing about the studio's customers."""

from uuid import UUID

from chalicelib.data import studio_health as rows
from chalicelib.data.connections import LIST_CONNECTIONS, ConnectionHealth, ConnectionStatus, RecordedError
from chalicelib.data.postgres.database import transaction
from chalicelib.data.postgres.rows import Moment, Row, reshape
from chalicelib.data.studio_health import DataKeyHealth, Quarantined, RunsHealth
from chalicelib.data.studios import GET_STUDIO, Studio
from chalicelib.data.sync.stream_status import LIST_STREAM_STATUSES, StreamState
from chalicelib.errors import NotFound
from chalicelib.services.explain import (
    Reason,
    StatusReason,
    StreamStatus,
    explain_connection,
    explain_stream,
)


class ConnectionReport(Row):
    """A connection without its account, which is private to the studio."""

    id: UUID
    platform: str
    status: ConnectionStatus
    status_reason: StatusReason
    health: ConnectionHealth
    token_expires_at: Moment | None
    last_sync_at: Moment | None
    last_error: RecordedError | None
    created_at: Moment


class StreamReport(Row):
    connection_id: UUID
    platform: str
    sync_type: str
    state: StreamState
    reason: Reason | None
    resumes_at: Moment | None
    frequency: str | None
    next_run_at: Moment | None
    last_success_at: Moment | None
    lag_ms: int | None
    """How late the last run was queued"""
    failures_in_row: int
    missed_windows: int
    refused_deletions: int


class StudioHealth(Row):
    studio: Studio
    connections: list[ConnectionReport]
    streams: list[StreamReport]
    runs: RunsHealth
    data_keys: list[DataKeyHealth]
    quarantined: list[Quarantined]
    rows: dict[str, int]


def get_studio_health(studio_id: UUID) -> StudioHealth:
    with transaction(studio_id) as tx:
        studio = tx.run(GET_STUDIO)
        if studio is None:
            raise NotFound("Studio not found", code="studio_not_found")
        return StudioHealth(
            studio=studio,
            connections=[
                reshape(ConnectionReport, explain_connection(facts))
                for facts in tx.run(LIST_CONNECTIONS, connection=None)
            ],
            streams=[_stream(explain_stream(status)) for status in tx.run(LIST_STREAM_STATUSES, connection=None)],
            runs=tx.run(rows.GET_RUNS_HEALTH),
            data_keys=tx.run(rows.LIST_DATA_KEY_HEALTH),
            quarantined=tx.run(rows.COUNT_QUARANTINED),
            rows=tx.run(rows.COUNT_ROWS),
        )


def _stream(status: StreamStatus) -> StreamReport:
    return reshape(StreamReport, status, lag_ms=status.last_run.schedule_lag_ms if status.last_run else None)
