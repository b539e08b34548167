"""Schedules: when each stream syncs, and the tick that starts due runs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from chalicelib import clock, logs, telemetry, work_queue
from chalicelib.data.postgres.database import read, transaction, write
from chalicelib.data.sync import schedules as rows
from chalicelib.data.sync.schedules import Claim, Dispatch, DueSchedule, Schedule
from chalicelib.errors import InvalidInput, NotFound
from chalicelib.platforms.core.contract import Stream
from chalicelib.services.scheduling.cron import Cron
from chalicelib.services.scheduling.frequency import Frequency, parse_frequency, phase_of
from chalicelib.services.streams import not_chosen, require_choice, syncable_stream

BATCH = 1000
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No window is older: bounds the count of missed windows for a schedule with an absurd time."""


class NewSchedule(msgspec.Struct, frozen=True):
    stream: str
    account_kind: str | None
    frequency: str
    next_run_at: str


def put_schedule(
    studio_id: UUID, platform: str, sync_type: str, frequency: str, connection: UUID | None = None
) -> Schedule:
    """Schedules a stream of a connected platform, or changes how often it syncs."""
    stream = syncable_stream(platform, sync_type)
    parsed = parse_frequency(frequency)
    place = read(studio_id, rows.FIND_PLACE_OF_SCHEDULE, platform=platform, connection=connection)
    if place is None:
        raise NotFound("Studio not found")
    if place.connection_id is None:
        raise not_chosen(studio_id, platform, connection)
    phase = _phase(place.connection_id, stream.name)
    next_run_at = parsed.next_after(clock.now(), phase=phase, time_zone=place.time_zone)
    schedule = write(
        studio_id,
        rows.PUT_SCHEDULE,
        connection_id=place.connection_id,
        stream=stream.name,
        account_kind=kind_of(stream),
        frequency=frequency.strip().lower(),
        next_run_at=next_run_at,
    )
    if schedule is None:
        raise not_chosen(studio_id, platform, connection)
    return schedule


def remove_schedule(studio_id: UUID, platform: str, sync_type: str, connection: UUID | None = None) -> None:
    """The stream no longer syncs automatically; its cursor stays for manual syncs."""
    stream = syncable_stream(platform, sync_type)
    which = {"platform": platform, "connection": connection, "stream": stream.name}
    if write(studio_id, rows.DISABLE_SCHEDULE, **which) is None:
        raise _not_scheduled(studio_id, platform, stream, connection)


def pause_schedule(studio_id: UUID, platform: str, sync_type: str, connection: UUID | None = None) -> Schedule:
    """The tick skips it until the studio resumes it. A run in progress continues, and manual syncs still work."""
    stream = syncable_stream(platform, sync_type)
    paused = write(studio_id, rows.PAUSE_SCHEDULE, platform=platform, connection=connection, stream=stream.name)
    if paused is None:
        raise _not_scheduled(studio_id, platform, stream, connection)
    logs.event("schedule.paused", platform=platform, stream=stream.name)
    return paused


def resume_schedule(studio_id: UUID, platform: str, sync_type: str, connection: UUID | None = None) -> Schedule:
    """Ends the studio's pause: the next window is computed from now, and windows during the pause are not caught up.

    If the connection has failed, the schedule stays paused, by the connection, until that is reconnected.
    """
    stream = syncable_stream(platform, sync_type)
    with transaction(studio_id) as tx:
        locked = tx.run(rows.LOCK_SCHEDULE, platform=platform, connection=connection, stream=stream.name)
        if locked is None:
            raise _not_scheduled(studio_id, platform, stream, connection)
        next_run_at = parse_frequency(locked.frequency).next_after(
            locked.now, phase=_phase(locked.shown.connection_id, stream.name), time_zone=locked.time_zone
        )
        resumed = tx.run(rows.RESUME_SCHEDULE, id=locked.id, next_run_at=next_run_at)
    if resumed is None:
        return locked.shown
    logs.event("schedule.resumed", platform=platform, stream=stream.name)
    return resumed


def first_schedules(streams: Sequence[Stream[Any]]) -> str:
    """The schedules of a new connection, as JSON for the query: each stream is due immediately."""
    now = clock.now().isoformat()
    return msgspec.json.encode(
        [NewSchedule(stream.name, kind_of(stream), stream.frequency, now) for stream in streams]
    ).decode()


def kind_of(stream: Stream[Any]) -> str | None:
    """The kind of account that a stream reads; None if it reads the connection as a whole."""
    return stream.accounts.name if stream.accounts else None


def start_due_runs() -> int:
    """Starts a run for every due schedule, and re-enqueues runs that no worker picked up. Returns the total."""
    started, lag = 0, 0.0
    while True:
        batch = _start_batch()
        started += len(batch.dispatches)
        lag = max(lag, batch.lag_ms)
        if batch.schedules < BATCH:
            break
    lost = write(None, rows.ENQUEUE_LOST_RUNS, batch=BATCH)
    _enqueue(lost)
    telemetry.measure("ScheduleLag", lag)
    logs.event("tick.done", started=started, re_enqueued=len(lost), lag_ms=lag)
    return started + len(lost)


class _Batch(msgspec.Struct):
    schedules: int
    dispatches: list[Dispatch]
    lag_ms: float
    """How late the most delayed schedule is"""


def _start_batch() -> _Batch:
    with transaction(None) as tx:
        due = tx.run(rows.CLAIM_DUE_SCHEDULES, batch=BATCH)
        claims = msgspec.json.encode([_claim(schedule) for schedule in due]).decode()
        dispatches = tx.run(rows.START_SCHEDULED_RUNS, claims=claims) if due else []
    _enqueue(dispatches)
    lags = (schedule.now - schedule.next_run_at for schedule in due)
    return _Batch(len(due), dispatches, max(lags, default=timedelta()).total_seconds() * 1000)


def _claim(due: DueSchedule) -> Claim:
    """Missed windows are merged into the one that runs now, and counted."""
    frequency = _frequency_of(due)
    phase, time_zone = _phase(due.connection_id, due.stream), due.time_zone or "UTC"
    return Claim(
        schedule_id=due.schedule_id,
        window_at=due.next_run_at,
        missed=frequency.windows_between(max(due.next_run_at, EARLIEST), due.now, phase=phase, time_zone=time_zone),
        next_run_at=frequency.next_after(due.now, phase=phase, time_zone=time_zone),
    )


def _frequency_of(due: DueSchedule) -> Frequency | Cron:
    """As stored, or daily if that is no longer valid: one schedule must not stop all others."""
    try:
        return parse_frequency(due.frequency)
    except InvalidInput:
        logs.event("schedule.frequency_unknown", schedule_id=due.schedule_id, studio_id=due.studio_id)
        return Frequency(days=1)


def _not_scheduled(studio_id: UUID, platform: str, stream: Stream[Any], connection: UUID | None) -> NotFound:
    require_choice(studio_id, platform, connection)
    return NotFound(f"{stream.name} of {platform} is not scheduled", code="schedule_not_found")


def _phase(connection_id: UUID, stream: str) -> float:
    return phase_of(f"{connection_id}/{stream}")


def _enqueue(dispatches: list[Dispatch]) -> None:
    work_queue.enqueue(
        work_queue.RunMessage(id=dispatch.run_id, studio_id=dispatch.studio_id) for dispatch in dispatches
    )
