"""A studio's health, for operators: contains no token, and nothing about the studio's customers."""

from uuid import UUID

from chalicelib.data import studio_health as rows
from chalicelib.data.actions import Reason
from chalicelib.data.database import transaction
from chalicelib.data.rows import Moment, Row
from chalicelib.data.stream_status import LIST_STREAM_STATUSES, StreamState, StreamStatus
from chalicelib.data.studio_health import ConnectionHealth, DataKeyHealth, Quarantined, RunsHealth
from chalicelib.data.studios import GET_STUDIO, Studio
from chalicelib.errors import NotFound


class StreamHealth(Row):
    platform: str
    sync_type: str
    state: StreamState
    reason: Reason | None
    until: Moment | None
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
    connections: list[ConnectionHealth]
    streams: list[StreamHealth]
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
            connections=tx.run(rows.LIST_CONNECTION_HEALTH),
            streams=[_stream(status) for status in tx.run(LIST_STREAM_STATUSES)],
            runs=tx.run(rows.GET_RUNS_HEALTH),
            data_keys=tx.run(rows.LIST_DATA_KEY_HEALTH),
            quarantined=tx.run(rows.COUNT_QUARANTINED),
            rows=tx.run(rows.COUNT_ROWS),
        )


def _stream(status: StreamStatus) -> StreamHealth:
    return StreamHealth(
        platform=status.platform,
        sync_type=status.sync_type,
        state=status.state,
        reason=status.reason,
        until=status.until,
        frequency=status.frequency,
        next_run_at=status.next_run_at,
        last_success_at=status.last_success_at,
        lag_ms=status.last_run.schedule_lag_ms if status.last_run else None,
        failures_in_row=status.failures_in_row,
        missed_windows=status.missed_windows,
        refused_deletions=status.refused_deletions,
    )
