"""The schema, defined once: Alembic compares migrations with these tables, upserts are built from their columns."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

CONNECTION_STATUSES = ("active", "expired", "revoked", "misconfigured", "error", "disabled")
WORKING_STATUSES = ("active", "misconfigured", "error")
"""Those in which a connection is used, or at least tried."""
RUN_STATUSES = ("queued", "running", "deferred", "succeeded", "failed", "cancelled")
ACTIVE_RUN = text("status IN ('queued', 'running', 'deferred')")
LIVE_RUN = text("status IN ('queued', 'running', 'deferred') AND trigger <> 'backfill'")
BACKFILL_RUN = text("status IN ('queued', 'running', 'deferred') AND trigger = 'backfill'")
RUN_TRIGGERS = ("manual", "schedule", "retry", "backfill")
PAUSERS = ("studio", "connection")
CONTENT_KINDS = ("post", "reel", "story", "video", "pin")
CONTENT_STATUSES = ("draft", "scheduled", "published", "archived")
CAMPAIGN_STATUSES = ("draft", "active", "paused", "ended", "archived")
INQUIRY_STATUSES = ("new", "contacted", "qualified", "converted", "lost")
BOOKING_STATUSES = ("tentative", "confirmed", "cancelled")

UuidKey = Annotated[UUID, mapped_column(primary_key=True, server_default=text("uuidv7()"))]
StudioId = Annotated[UUID, mapped_column(ForeignKey("studio.id", ondelete="CASCADE"))]
CreatedAt = Annotated[datetime, mapped_column(server_default=text("now()"))]
UpdatedAt = Annotated[datetime, mapped_column(server_default=text("now()"))]
"""When a sync last changed the row; one that read the same again leaves it."""
Count = Annotated[int, mapped_column(BigInteger, server_default=text("0"))]
Minor = Annotated[int, mapped_column(BigInteger)]
"""Money in minor units; the currency stands beside it."""


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        }
    )
    type_annotation_map = {
        str: Text(),
        datetime: DateTime(timezone=True),
        bytes: LargeBinary(),
        float: Double(),
        list[str]: ARRAY(Text()),
    }


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def same_studio(column: str, table: str, *, on_delete: str = "CASCADE") -> ForeignKeyConstraint:
    """A reference that cannot leave the studio: foreign keys are checked past row-level security."""
    return ForeignKeyConstraint(["studio_id", column], [f"{table}.studio_id", f"{table}.id"], ondelete=on_delete)


class Studio(Base):
    """The tenant."""

    __tablename__ = "studio"

    id: Mapped[UuidKey]
    name: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    created_at: Mapped[CreatedAt]


class ApiKey(Base):
    __tablename__ = "api_key"
    __table_args__ = (Index(None, "studio_id"),)

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    name: Mapped[str]
    secret_hash: Mapped[bytes]
    scopes: Mapped[list[str]]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class DataKey(Base):
    """A studio's data key, wrapped. Deleting it makes every token it sealed unreadable."""

    __tablename__ = "data_key"
    __table_args__ = (
        UniqueConstraint("studio_id", "id"),
        Index("data_key_one_current_idx", "studio_id", unique=True, postgresql_where=text("retired_at IS NULL")),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    wrapped: Mapped[bytes]
    provider: Mapped[str]
    created_at: Mapped[CreatedAt]
    retired_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """A write that a client may repeat: its answer, kept for a day."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("idempotency_key_started_idx", "started_at"),)

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes]
    started_at: Mapped[CreatedAt]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    location: Mapped[str | None]
    body: Mapped[str | None]


class PlatformConnection(Base):
    """A studio's grant on a platform. Disconnecting erases the tokens and keeps the row that data and logs point to."""

    __tablename__ = "platform_connection"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform"),
        UniqueConstraint("studio_id", "id"),
        one_of("status", CONNECTION_STATUSES),
        CheckConstraint("status = 'disabled' OR NOT needs_token OR access_token IS NOT NULL", name="token_present"),
        Index("platform_connection_renew_idx", "renew_at", postgresql_where=text(f"status IN {WORKING_STATUSES}")),
        Index("platform_connection_account_idx", "platform", "external_account_id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="active")
    status_code: Mapped[str | None]
    status_message: Mapped[str | None]
    status_since: Mapped[CreatedAt]
    needs_token: Mapped[bool] = mapped_column(server_default=text("true"))
    """False where one key of ours serves all studios, or none is needed."""
    access_token: Mapped[bytes | None]
    refresh_token: Mapped[bytes | None]
    token_expires_at: Mapped[datetime | None]
    token_generation: Mapped[int] = mapped_column(server_default=text("1"))
    token_issued_at: Mapped[CreatedAt]
    refresh_token_expires_at: Mapped[datetime | None]
    renew_at: Mapped[datetime | None]
    """When the tick has the grant renewed although nobody needs it, so that it does not die of old age."""
    renewals_failed: Mapped[int] = mapped_column(server_default=text("0"))
    scopes: Mapped[list[str] | None]
    external_account_id: Mapped[str | None]
    external_account_name: Mapped[str | None]
    account_unverified: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether its tokens were replaced by hand since the platform last told whose they are."""
    last_sync_at: Mapped[datetime | None]
    last_error_code: Mapped[str | None]
    last_error_message: Mapped[str | None]
    last_error_at: Mapped[datetime | None]
    refresh_owner: Mapped[UUID | None]
    refresh_lease_expires_at: Mapped[datetime | None]
    revocation: Mapped[str | None]
    """What became of the grant upstream at the disconnect: revoked | failed | shared | unsupported"""
    disconnected_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class OauthState(Base):
    """A consent that was asked for: single use, known by the hash of its state, with the PKCE verifier sealed."""

    __tablename__ = "oauth_state"
    __table_args__ = (
        UniqueConstraint("state_hash"),
        Index("oauth_state_studio_idx", "studio_id"),
        Index("oauth_state_expires_idx", "expires_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    state_hash: Mapped[bytes]
    verifier: Mapped[bytes | None]
    streams: Mapped[list[str] | None]
    return_to: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ConnectionEvent(Base):
    """Something that happened to a connection: it was made, renewed by the studio, broke, healed, was given up."""

    __tablename__ = "connection_event"
    __table_args__ = (
        UniqueConstraint("studio_id", "id"),
        same_studio("connection_id", "platform_connection"),
        Index("connection_event_connection_idx", "studio_id", "connection_id", "id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    kind: Mapped[str]
    code: Mapped[str | None]
    message: Mapped[str | None]
    at: Mapped[CreatedAt]


class Webhook(Base):
    """A URL of the studio's that is told when a connection breaks or heals."""

    __tablename__ = "webhook"
    __table_args__ = (UniqueConstraint("studio_id", "id"), UniqueConstraint("studio_id", "url"))

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    url: Mapped[str]
    secret: Mapped[bytes]
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]


class WebhookDelivery(Base):
    """One event on its way to one webhook, until it is delivered or given up."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("studio_id", "webhook_id", "event_id"),
        same_studio("webhook_id", "webhook"),
        same_studio("event_id", "connection_event"),
        Index("webhook_delivery_due_idx", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("webhook_delivery_event_idx", "studio_id", "event_id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    webhook_id: Mapped[UUID]
    event_id: Mapped[UUID]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime | None] = mapped_column(server_default=text("now()"))
    """None once it is delivered or given up."""
    delivered_at: Mapped[datetime | None]
    last_problem: Mapped[str | None]


class DataDeletion(Base):
    """A user's request, made at a platform, to delete what we know of them. Nothing in it tells who it was."""

    __tablename__ = "data_deletion"
    __table_args__ = (UniqueConstraint("code_hash"),)

    id: Mapped[UuidKey]
    platform: Mapped[str]
    code_hash: Mapped[bytes]
    """Of the confirmation code, which finds the request again."""
    requested_at: Mapped[CreatedAt]
    done_at: Mapped[datetime | None]
    connections: Mapped[int] = mapped_column(server_default=text("0"))
    """How many connections knew the account."""


class SyncSchedule(Base):
    """A stream of a connection: when it syncs next, and where its last sync ended."""

    __tablename__ = "sync_schedule"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "stream"),
        same_studio("connection_id", "platform_connection"),
        Index("sync_schedule_connection_idx", "studio_id", "connection_id"),
        Index("sync_schedule_due_idx", "next_run_at", postgresql_where=text("enabled AND paused_at IS NULL")),
        one_of("paused_by", PAUSERS),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    platform: Mapped[str]
    stream: Mapped[str]
    frequency: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    paused_at: Mapped[datetime | None]
    """Set while the tick passes over it."""
    paused_by: Mapped[str | None]
    """The studio, until it resumes the schedule itself; or the connection, until it is renewed."""
    next_run_at: Mapped[datetime | None]
    cursor: Mapped[str | None]
    last_run_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    failures_in_row: Mapped[int] = mapped_column(server_default=text("0"))
    missed_windows: Mapped[Count]
    refused_deletions: Mapped[Count]
    """Rows that the last complete read did not meet and that were kept all the same: too many to believe it."""
    created_at: Mapped[CreatedAt]


class SyncLog(Base):
    """One run: every attempt to sync a stream, also one that did nothing."""

    __tablename__ = "sync_log"
    __table_args__ = (
        UniqueConstraint("studio_id", "id"),  # also what the newest runs are listed by
        one_of("status", RUN_STATUSES),
        one_of("trigger", RUN_TRIGGERS),
        same_studio("connection_id", "platform_connection"),
        CheckConstraint("(trigger = 'backfill') = (backfill_from IS NOT NULL)", name="backfill_from"),
        CheckConstraint("(trigger = 'backfill') = (backfill_to IS NOT NULL)", name="backfill_to"),
        Index("sync_log_one_live_idx", "studio_id", "platform", "stream", unique=True, postgresql_where=LIVE_RUN),
        Index(
            "sync_log_one_backfill_idx",
            *("studio_id", "platform", "stream"),
            unique=True,
            postgresql_where=BACKFILL_RUN,
        ),
        Index("sync_log_window_idx", "studio_id", "platform", "stream", "window_at", unique=True),
        Index("sync_log_stream_newest_idx", "studio_id", "platform", "stream", "id"),
        Index("sync_log_connection_idx", "studio_id", "connection_id"),
        Index("sync_log_ring_idx", "ring_at", postgresql_where=ACTIVE_RUN),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    platform: Mapped[str]
    stream: Mapped[str]
    trigger: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="queued")
    window_at: Mapped[datetime | None]
    """The schedule window it stands for; one run a window."""
    schedule_lag_ms: Mapped[int | None] = mapped_column(BigInteger)
    queued_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    idle_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    """Attempts since the last stored page; too many end the run."""
    pages: Mapped[Count]
    records_seen: Mapped[Count]
    records_created: Mapped[Count]
    records_updated: Mapped[Count]
    records_unchanged: Mapped[Count]
    records_deleted: Mapped[Count]
    deletions_refused: Mapped[Count]
    deletions_confirmed: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it may delete however much a complete read does not meet."""
    backfill_from: Mapped[date | None]
    backfill_to: Mapped[date | None]
    """The days a backfill reads, both included."""
    api_calls: Mapped[Count]
    full_read: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it reads the stream from its start: no cursor yet, or one the platform no longer knows."""
    read_started_at: Mapped[datetime | None]
    """When it began to read: at its start, or when it began anew."""
    cursor_before: Mapped[str | None]
    cursor_after: Mapped[str | None]
    page_cursor: Mapped[str | None]
    """Where the next page starts while the run is under way."""
    lease_owner: Mapped[UUID | None]
    lease_expires_at: Mapped[datetime | None]
    resume_at: Mapped[datetime | None]
    ring_at: Mapped[CreatedAt]
    """When the tick sends the message again, unless the run has moved on."""
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    error_at: Mapped[datetime | None]


class SyncSeen(Base):
    """The external ids a full read has met so far, so that what it did not meet can be told at its end.

    Without foreign keys, which took more than half of the time of noting an id; maintenance forgets what outlives its
    run.
    """

    __tablename__ = "sync_seen"

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    studio_id: Mapped[UUID]


class PlatformCircuit(Base):
    """Whether a platform answers at all, whoever asks. Shared by all studios, and holds nothing of any."""

    __tablename__ = "platform_circuit"

    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    """The one of the platform's interfaces that a stream reads; empty where the platform counts all as one."""
    failures_in_row: Mapped[int] = mapped_column(server_default=text("0"))
    open_until: Mapped[datetime | None]
    """Until then nobody asks; after it one run at a time tries."""


class AppQuota(Base):
    """How much of a platform's quota for this application is used. Shared by all studios, and holds nothing of any."""

    __tablename__ = "app_quota"

    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[float] = mapped_column(server_default=text("0"))
    """A share as the platform last told it; 1.0 is all."""
    calls: Mapped[Count]
    """Ours, by all studios, since `window_at`."""
    studios: Mapped[int] = mapped_column(server_default=text("0"))
    """How many of them had a part in `calls`."""
    window_at: Mapped[CreatedAt]
    blocked_until: Mapped[datetime | None]


class AccountQuota(Base):
    """How much a studio has had of a platform's quotas: of the account's own, and in calls of the application's."""

    __tablename__ = "account_quota"

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[float] = mapped_column(server_default=text("0"))
    calls: Mapped[Count]
    window_at: Mapped[CreatedAt]
    """The application's window that `calls` were made in."""
    blocked_until: Mapped[datetime | None]


class Content(Base):
    """A post, reel, story, video or pin."""

    __tablename__ = "content"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "external_id"),
        UniqueConstraint("studio_id", "id"),
        one_of("kind", CONTENT_KINDS),
        one_of("status", CONTENT_STATUSES),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    external_id: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    caption: Mapped[str | None]
    url: Mapped[str | None]
    published_at: Mapped[datetime | None]
    scheduled_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ContentMetric(Base):
    """What a content's life-time totals were at one moment. Growth over a period is the difference of two such rows."""

    __tablename__ = "content_metric"
    __table_args__ = (
        UniqueConstraint("studio_id", "content_id", "measured_at"),
        same_studio("content_id", "content"),
        Index("content_metric_measured_idx", "studio_id", "measured_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    content_id: Mapped[UUID]
    measured_at: Mapped[datetime]
    views: Mapped[Count]
    likes: Mapped[Count]
    comments: Mapped[Count]
    shares: Mapped[Count]
    saves: Mapped[Count]
    reach: Mapped[Count]
    engagement_rate: Mapped[float | None]


class AdCampaign(Base):
    __tablename__ = "ad_campaign"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "external_id"),
        UniqueConstraint("studio_id", "id"),
        one_of("status", CAMPAIGN_STATUSES),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    external_id: Mapped[str]
    name: Mapped[str]
    status: Mapped[str]
    objective: Mapped[str | None]
    budget_minor: Mapped[Minor | None]
    currency: Mapped[str | None]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class AdMetric(Base):
    """A campaign's numbers of one day, in the ad account's time zone."""

    __tablename__ = "ad_metric"
    __table_args__ = (
        UniqueConstraint("studio_id", "campaign_id", "day"),
        UniqueConstraint("studio_id", "id"),
        same_studio("campaign_id", "ad_campaign"),
        Index("ad_metric_day_idx", "studio_id", "day"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    campaign_id: Mapped[UUID]
    day: Mapped[date]
    spend_minor: Mapped[Minor]
    currency: Mapped[str]
    impressions: Mapped[Count]
    clicks: Mapped[Count]
    conversions: Mapped[float] = mapped_column(server_default=text("0"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class AdMetricRestatement(Base):
    """What a day's numbers were until the platform restated them."""

    __tablename__ = "ad_metric_restatement"
    __table_args__ = (same_studio("ad_metric_id", "ad_metric"),)

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    ad_metric_id: Mapped[UUID] = mapped_column(primary_key=True)
    valid_until: Mapped[datetime] = mapped_column(primary_key=True)
    spend_minor: Mapped[Minor]
    currency: Mapped[str]
    impressions: Mapped[int] = mapped_column(BigInteger)
    clicks: Mapped[int] = mapped_column(BigInteger)
    conversions: Mapped[float]


class Review(Base):
    __tablename__ = "review"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "external_id"),
        UniqueConstraint("studio_id", "id"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        Index("review_reviewed_idx", "studio_id", "reviewed_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    external_id: Mapped[str]
    rating: Mapped[int] = mapped_column(SmallInteger)
    text: Mapped[str | None]
    author: Mapped[str | None]
    url: Mapped[str | None]
    reviewed_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ReviewRestatement(Base):
    """What a review said until its author edited it."""

    __tablename__ = "review_restatement"
    __table_args__ = (same_studio("review_id", "review"),)

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    review_id: Mapped[UUID] = mapped_column(primary_key=True)
    valid_until: Mapped[datetime] = mapped_column(primary_key=True)
    rating: Mapped[int] = mapped_column(SmallInteger)
    text: Mapped[str | None]


class Inquiry(Base):
    """A lead, and when it moved on."""

    __tablename__ = "inquiry"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "external_id"),
        UniqueConstraint("studio_id", "id"),
        one_of("status", INQUIRY_STATUSES),
        Index("inquiry_received_idx", "studio_id", "received_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    external_id: Mapped[str]
    channel: Mapped[str]
    contact_name: Mapped[str | None]
    contact_email: Mapped[str | None]
    subject: Mapped[str | None]
    message: Mapped[str | None]
    url: Mapped[str | None]
    received_at: Mapped[datetime]
    replied_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(server_default="new")
    contacted_at: Mapped[datetime | None]
    qualified_at: Mapped[datetime | None]
    converted_at: Mapped[datetime | None]
    lost_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Booking(Base):
    __tablename__ = "booking"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "external_id"),
        UniqueConstraint("studio_id", "id"),
        same_studio("inquiry_id", "inquiry", on_delete="SET NULL (inquiry_id)"),
        one_of("status", BOOKING_STATUSES),
        CheckConstraint("(value_minor IS NULL) = (currency IS NULL)", name="value_currency"),
        Index("booking_booked_idx", "studio_id", "booked_at"),
        Index("booking_inquiry_idx", "studio_id", "inquiry_id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    external_id: Mapped[str]
    series_id: Mapped[str | None]
    title: Mapped[str | None]
    event_type: Mapped[str]
    event_date: Mapped[date]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    all_day: Mapped[bool] = mapped_column(server_default=text("false"))
    status: Mapped[str]
    value_minor: Mapped[Minor | None]
    currency: Mapped[str | None]
    client_name: Mapped[str | None]
    client_email: Mapped[str | None]
    location: Mapped[str | None]
    notes: Mapped[str | None]
    url: Mapped[str | None]
    inquiry_id: Mapped[UUID | None]
    source_updated_at: Mapped[datetime | None]
    booked_at: Mapped[CreatedAt]
    """When it entered the books; metrics count bookings by it."""
    updated_at: Mapped[UpdatedAt]


class Attribution(Base):
    """A touch point on the way to an inquiry and, perhaps, a booking."""

    __tablename__ = "attribution"
    __table_args__ = (
        UniqueConstraint("studio_id", "inquiry_id", "channel", "touched_at"),
        same_studio("inquiry_id", "inquiry"),
        same_studio("booking_id", "booking", on_delete="SET NULL (booking_id)"),
        same_studio("campaign_id", "ad_campaign", on_delete="SET NULL (campaign_id)"),
        Index("attribution_booking_idx", "studio_id", "booking_id"),
        Index("attribution_campaign_idx", "studio_id", "campaign_id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    inquiry_id: Mapped[UUID]
    booking_id: Mapped[UUID | None]
    channel: Mapped[str]
    platform: Mapped[str]
    campaign_id: Mapped[UUID | None]
    touched_at: Mapped[datetime]
