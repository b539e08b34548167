"""Streams by the names that callers use, and the tables that store their records."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chalicelib.data.connections import LIST_CHOICES
from chalicelib.data.postgres.database import read
from chalicelib.data.sync.runs import SpentStream
from chalicelib.errors import (
    AppError,
    Conflict,
    FieldProblem,
    InvalidInput,
    NotFound,
    SeveralConnections,
    TooManyRequests,
)
from chalicelib.platforms.core.contract import Platform, Stream
from chalicelib.platforms.core.records import (
    AdCampaignRecord,
    AdMetricRecord,
    BookingRecord,
    Record,
    ReviewRecord,
    ThreadRecord,
)
from chalicelib.platforms.registry import get_platform

TABLES: dict[type[Record], str] = {
    AdCampaignRecord: "ad_campaign",
    AdMetricRecord: "ad_metric",
    BookingRecord: "booking",
    ReviewRecord: "review",
    ThreadRecord: "inquiry",
}
"""Where records are stored. A thread is stored as an inquiry if it is one, with its messages and its person."""
MAX_MANUAL_RUNS = 200
"""Per stream and day: syncs, retries and backfills that were requested."""


def syncable_platform(name: str) -> Platform:
    """Raises NotFound for an unknown platform, Conflict for one without streams."""
    platform = get_platform(name)
    if not platform.streams:
        tested = "; its connections can be tested" if platform.identify else ""
        raise Conflict(f"Syncing {platform.title} is not supported yet{tested}", code="platform_not_supported")
    return platform


def syncable_stream(platform_name: str, sync_type: str) -> Stream[Any]:
    """Raises InvalidInput naming the streams that exist."""
    platform = syncable_platform(platform_name)
    stream = platform.stream(sync_type)
    if stream is None:
        known = ", ".join(stream.name for stream in platform.streams)
        raise InvalidInput(fields=[FieldProblem("syncType", f"must be one of {known}")])
    return stream


def require_room(spent: Sequence[SpentStream]) -> None:
    """Raises TooManyRequests if a stream had too many manual runs."""
    if spent:
        names = ", ".join(stream.sync_type for stream in spent)
        raise TooManyRequests(
            f"{MAX_MANUAL_RUNS} manual runs of {names} were started within a day",
            code="too_many_runs",
            retry_after_seconds=min(stream.room_seconds for stream in spent),
        )


def not_connected(platform: str) -> NotFound:
    return NotFound(f"{get_platform(platform).title} is not connected", code="connection_not_found")


def not_chosen(studio_id: UUID, platform: str, connection: UUID | None, *, or_ended: bool = False) -> AppError:
    """Why a statement found no connection: the named one does not exist, none is connected, or there are several and
    none was named."""
    if connection is not None:
        return NotFound(f"This connection to {get_platform(platform).title} was not found", code="connection_not_found")
    choices = read(studio_id, LIST_CHOICES, platform=platform, or_ended=or_ended)
    if len(choices) < 2:
        return not_connected(platform)
    title = get_platform(platform).title
    return SeveralConnections(
        f"{len(choices)} accounts of {title} are connected: choose one with ?connection=", connections=choices
    )


def require_choice(studio_id: UUID, platform: str, connection: UUID | None) -> None:
    """For a statement that found nothing in a connection. Raises SeveralConnections if no connection was chosen."""
    refusal = not_chosen(studio_id, platform, connection)
    if isinstance(refusal, SeveralConnections):
        raise refusal
