"""Streams by the names a caller uses, and the tables their records belong in."""

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
    InquiryRecord,
    Record,
    ReviewRecord,
)
from chalicelib.platforms.registry import get_platform

TABLES: dict[type[Record], str] = {
    AdCampaignRecord: "ad_campaign",
    AdMetricRecord: "ad_metric",
    BookingRecord: "booking",
    InquiryRecord: "inquiry",
    ReviewRecord: "review",
}
MAX_RUNS_BY_HAND = 200
"""Of a stream within a day: syncs, retries and backfills that somebody asked for."""


def syncable_platform(name: str) -> Platform:
    """Raises NotFound for an unknown platform, Conflict for one that nothing can be synced from yet."""
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
    """Raises TooManyRequests if there are streams of which too many runs were started by hand."""
    if spent:
        names = ", ".join(stream.sync_type for stream in spent)
        raise TooManyRequests(
            f"{MAX_RUNS_BY_HAND} runs of {names} were started by hand within a day",
            code="too_many_runs",
            retry_after_seconds=min(stream.room_seconds for stream in spent),
        )


def not_connected(platform: str) -> NotFound:
    return NotFound(f"{get_platform(platform).title} is not connected", code="connection_not_found")


def not_chosen(studio_id: UUID, platform: str, connection: UUID | None, *, or_ended: bool = False) -> AppError:
    """Why a statement found no connection: none of the platform is the one that was named, none is connected, or there
    are several and none was named."""
    if connection is not None:
        return NotFound(f"This connection of {get_platform(platform).title} was not found", code="connection_not_found")
    choices = read(studio_id, LIST_CHOICES, platform=platform, or_ended=or_ended)
    if len(choices) < 2:
        return not_connected(platform)
    title = get_platform(platform).title
    return SeveralConnections(
        f"{len(choices)} accounts of {title} are connected: say which one by ?connection=", connections=choices
    )


def require_choice(studio_id: UUID, platform: str, connection: UUID | None) -> None:
    """For a statement that found nothing in a connection. Raises SeveralConnections where it had none to look in."""
    refusal = not_chosen(studio_id, platform, connection)
    if isinstance(refusal, SeveralConnections):
        raise refusal
