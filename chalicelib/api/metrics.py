"""/api/metrics: figures of a period from everything that was synced."""

from datetime import date
from uuid import UUID

import msgspec

from chalicelib.api.params import OnlyOfConnection, PlatformName
from chalicelib.runtime.declare import Routes
from chalicelib.services import metrics
from chalicelib.services.metrics import Interval, Overview, PlatformMetrics

routes = Routes()

READ = "metrics:read"


class PeriodQuery(OnlyOfConnection, kw_only=True, forbid_unknown_fields=True):
    """Days in the studio's time zone."""

    first: date | None = msgspec.field(name="from", default=None)
    """The first day, in the studio's time zone. By default 29 days before `to`."""
    last: date | None = msgspec.field(name="to", default=None)
    """The last day, included; at most 731 days from `from`. By default today, or the day of `asOf`."""
    as_of: date | None = msgspec.field(name="asOf", default=None)
    """Show the figures as they were known at the end of this day, not later than today."""


class SeriesQuery(PeriodQuery, kw_only=True, forbid_unknown_fields=True):
    interval: Interval = "day"
    """The length of an entry of the series; a period has at most 400 entries."""


@routes.get("/api/metrics/overview", scope=READ)
def get_overview(studio_id: UUID, query: PeriodQuery) -> Overview:
    """Get the studio's figures of a period, compared with the previous period

    Everything that was synced, over all platforms. By default the last 30 days."""
    return metrics.get_overview(studio_id, query.first, query.last, connection=query.connection, as_of=query.as_of)


@routes.get("/api/metrics/{platform}", scope=READ)
def get_platform_metrics(studio_id: UUID, platform: PlatformName, query: SeriesQuery) -> PlatformMetrics:
    """Get one platform's figures of a period, in total and per day, week or month"""
    return metrics.get_platform_metrics(
        studio_id,
        platform,
        query.first,
        query.last,
        query.interval,
        connection=query.connection,
        as_of=query.as_of,
    )
