"""Pages of records as platforms supply them, and queries on the rows they became."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from time import sleep
from typing import Any
from uuid import UUID

import msgspec
import pg8000.native

from chalicelib.data.postgres.database import transaction
from chalicelib.data.sync import store as sync_store
from chalicelib.data.sync.store import Upserted
from chalicelib.platforms.core.records import (
    AdCampaignRecord,
    AdMetricRecord,
    BookingRecord,
    Record,
    ReviewRecord,
)
from chalicelib.services.streams import TABLES
from tests.data.rows import connection_of

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DAY = date(2026, 3, 1)


class ContentRecord(Record, frozen=True, kw_only=True):
    """What a stream of posts would store; no platform has one yet."""

    kind: str = "post"
    status: str = "published"
    caption: str | None = None


class ContentMetricRecord(Record, frozen=True, kw_only=True):
    """A post's totals at one moment."""

    content_external_id: str
    content_kind: str = "post"
    measured_at: datetime
    views: int


TABLE_OF: dict[type[Record], str] = {**TABLES, ContentRecord: "content", ContentMetricRecord: "content_metric"}
"""For every table that records are stored in"""
ACCOUNT = UUID(int=1)
"""The account of the pages, unless a test has several"""


def booking(external_id: str, **changes: Any) -> BookingRecord:
    record = BookingRecord(
        external_id=external_id,
        title="Wedding",
        event_type="wedding",
        event_date=date(2026, 6, 20),
        starts_at=NOON,
        ends_at=NOON + timedelta(hours=8),
        all_day=False,
        status="confirmed",
        booked_at=NOON,
    )
    return msgspec.structs.replace(record, **changes)


def ad(campaign: str, day: int = 0, **changes: Any) -> AdMetricRecord:
    on = DAY + timedelta(days=day)
    record = AdMetricRecord(
        external_id=f"{campaign}/{on}",
        campaign_external_id=campaign,
        campaign_name="Spring",
        day=on,
        spend_minor=100,
        currency="EUR",
        impressions=10,
        clicks=1,
        conversions=0.5,
    )
    return msgspec.structs.replace(record, **changes)


def review(external_id: str = "one", **changes: Any) -> ReviewRecord:
    record = ReviewRecord(external_id=external_id, rating=5, text="Lovely", reviewed_at=NOON)
    return msgspec.structs.replace(record, **changes)


def campaign(external_id: str = "one", **changes: Any) -> AdCampaignRecord:
    made = AdCampaignRecord(external_id=external_id, name="Spring", status="paused")
    return msgspec.structs.replace(made, **changes)


def content(external_id: str = "one", **changes: Any) -> ContentRecord:
    return ContentRecord(external_id=external_id, **changes)


def metric(content_id: str = "one", views: int = 10, measured_at: datetime = NOON) -> ContentMetricRecord:
    external_id = f"{content_id}/{measured_at}"
    return ContentMetricRecord(
        external_id=external_id, content_external_id=content_id, measured_at=measured_at, views=views
    )


def store(
    studio_id: UUID,
    page: Sequence[Record],
    platform: str = "google",
    fetched_at: datetime | None = None,
    account_id: UUID = ACCOUNT,
    connection_id: UUID | None = None,
) -> Upserted:
    table = TABLE_OF[type(page[0])]
    source = {"connection_id": connection_id or connection_of(studio_id, platform), "account_id": account_id}
    with transaction(studio_id) as tx:
        return sync_store.upsert(tx, table, studio_id, platform, page, fetched_at=fetched_at, **source)


def column(superuser: pg8000.native.Connection, table: str, name: str) -> dict[str, Any]:
    """A column's values by external id."""
    return dict(superuser.run(f"SELECT external_id, {name} FROM {table}") or ())


def age(superuser: pg8000.native.Connection, table: str = "booking") -> None:
    """Makes every row look as if it changed long ago."""
    superuser.run(f"UPDATE {table} SET updated_at = :then", then=LONG_AGO)


def now(superuser: pg8000.native.Connection) -> datetime:
    """By the database's clock."""
    rows: list[list[datetime]] = superuser.run("SELECT clock_timestamp()") or []
    return rows[0][0]


def wait_until_blocked(superuser: pg8000.native.Connection) -> None:
    """Waits until a statement of the application waits for another transaction."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'ansel%' AND wait_event_type = 'Lock'"
    for _ in range(800):
        if superuser.run(waiting) != [[0]]:
            return
        sleep(0.005)
    raise AssertionError("nothing waits")
