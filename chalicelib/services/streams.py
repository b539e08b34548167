"""Streams by the names a caller uses, and the tables their records belong in."""

from collections.abc import Sequence
from typing import Any

from chalicelib.data.sync.runs import SpentStream
from chalicelib.errors import Conflict, FieldProblem, InvalidInput, NotFound, TooManyRequests
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
