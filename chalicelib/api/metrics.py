"""/api/metrics: what it all adds up to."""

from datetime import date
from uuid import UUID

import msgspec

from chalicelib.api.params import PlatformName
from chalicelib.runtime.declare import Routes
from chalicelib.services import metrics
from chalicelib.services.metrics import Interval, Overview, PlatformMetrics

routes = Routes()

READ = "metrics:read"


class PeriodQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Days in the studio's time zone, both included; by default the last 30."""

    first: date | None = msgspec.field(name="from", default=None)
    last: date | None = msgspec.field(name="to", default=None)
    as_of: date | None = msgspec.field(name="asOf", default=None)
    """Not later than today."""


class SeriesQuery(PeriodQuery, kw_only=True, forbid_unknown_fields=True):
    interval: Interval = "day"


@routes.get("/api/metrics/overview", scope=READ)
def get_overview(studio_id: UUID, query: PeriodQuery) -> Overview:
    """The studio's figures, with the period before beside them; `asOf` a day, as they were known at its end"""
    return metrics.get_overview(studio_id, query.first, query.last, as_of=query.as_of)


@routes.get("/api/metrics/{platform}", scope=READ)
def get_platform_metrics(studio_id: UUID, platform: PlatformName, query: SeriesQuery) -> PlatformMetrics:
    """One platform's figures, in total and by day, week or month; `asOf` a day, as they were known at its end"""
    return metrics.get_platform_metrics(studio_id, platform, query.first, query.last, query.interval, as_of=query.as_of)
