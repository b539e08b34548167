"""The tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "studio",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("studio_pkey")),
    )
    op.create_table(
        "ad_campaign",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("objective", sa.Text(), nullable=True),
        sa.Column("budget_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('draft', 'active', 'paused', 'ended', 'archived')", name=op.f("ad_campaign_status_check")
        ),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("ad_campaign_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("ad_campaign_pkey")),
        sa.UniqueConstraint("studio_id", "id", name=op.f("ad_campaign_studio_id_id_key")),
        sa.UniqueConstraint(
            "studio_id", "platform", "external_id", name=op.f("ad_campaign_studio_id_platform_external_id_key")
        ),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name=op.f("api_key_studio_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("api_key_pkey")),
    )
    op.create_index(op.f("api_key_studio_id_idx"), "api_key", ["studio_id"], unique=False)
    op.create_table(
        "content",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("caption", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('post', 'reel', 'story', 'video', 'pin')", name=op.f("content_kind_check")),
        sa.CheckConstraint(
            "status IN ('draft', 'scheduled', 'published', 'archived')", name=op.f("content_status_check")
        ),
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name=op.f("content_studio_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("content_pkey")),
        sa.UniqueConstraint("studio_id", "id", name=op.f("content_studio_id_id_key")),
        sa.UniqueConstraint(
            "studio_id", "platform", "external_id", name=op.f("content_studio_id_platform_external_id_key")
        ),
    )
    op.create_table(
        "data_key",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name=op.f("data_key_studio_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("data_key_pkey")),
        sa.UniqueConstraint("studio_id", "id", name=op.f("data_key_studio_id_id_key")),
    )
    op.create_index(
        "data_key_one_current_idx",
        "data_key",
        ["studio_id"],
        unique=True,
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("idempotency_key_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("studio_id", "key", name=op.f("idempotency_key_pkey")),
    )
    op.create_table(
        "inquiry",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("contact_name", sa.Text(), nullable=True),
        sa.Column("contact_email", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), server_default="new", nullable=False),
        sa.Column("contacted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("qualified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("converted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lost_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('new', 'contacted', 'qualified', 'converted', 'lost')", name=op.f("inquiry_status_check")
        ),
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name=op.f("inquiry_studio_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("inquiry_pkey")),
        sa.UniqueConstraint("studio_id", "id", name=op.f("inquiry_studio_id_id_key")),
        sa.UniqueConstraint(
            "studio_id", "platform", "external_id", name=op.f("inquiry_studio_id_platform_external_id_key")
        ),
    )
    op.create_index("inquiry_received_idx", "inquiry", ["studio_id", "received_at"], unique=False)
    op.create_table(
        "platform_connection",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("access_token", sa.LargeBinary(), nullable=True),
        sa.Column("refresh_token", sa.LargeBinary(), nullable=True),
        sa.Column("token_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("token_generation", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("external_account_id", sa.Text(), nullable=True),
        sa.Column("external_account_name", sa.Text(), nullable=True),
        sa.Column("last_sync_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error_code", sa.Text(), nullable=True),
        sa.Column("last_error_message", sa.Text(), nullable=True),
        sa.Column("last_error_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refresh_owner", sa.Uuid(), nullable=True),
        sa.Column("refresh_lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revocation", sa.Text(), nullable=True),
        sa.Column("disconnected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status = 'disabled' OR access_token IS NOT NULL", name=op.f("platform_connection_token_present_check")
        ),
        sa.CheckConstraint(
            "status IN ('active', 'expired', 'revoked', 'error', 'disabled')",
            name=op.f("platform_connection_status_check"),
        ),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("platform_connection_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("platform_connection_pkey")),
        sa.UniqueConstraint("studio_id", "id", name=op.f("platform_connection_studio_id_id_key")),
        sa.UniqueConstraint("studio_id", "platform", name=op.f("platform_connection_studio_id_platform_key")),
    )
    op.create_table(
        "review",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("rating", sa.SmallInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name=op.f("review_rating_check")),
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name=op.f("review_studio_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("review_pkey")),
        sa.UniqueConstraint(
            "studio_id", "platform", "external_id", name=op.f("review_studio_id_platform_external_id_key")
        ),
    )
    op.create_index("review_reviewed_idx", "review", ["studio_id", "reviewed_at"], unique=False)
    op.create_table(
        "ad_metric",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("spend_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("impressions", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("clicks", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("conversions", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["studio_id", "campaign_id"],
            ["ad_campaign.studio_id", "ad_campaign.id"],
            name=op.f("ad_metric_studio_id_campaign_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("ad_metric_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("ad_metric_pkey")),
        sa.UniqueConstraint("studio_id", "campaign_id", "day", name=op.f("ad_metric_studio_id_campaign_id_day_key")),
    )
    op.create_index("ad_metric_day_idx", "ad_metric", ["studio_id", "day"], unique=False)
    op.create_table(
        "booking",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("series_id", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("event_date", sa.Date(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("all_day", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("value_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("client_name", sa.Text(), nullable=True),
        sa.Column("client_email", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("inquiry_id", sa.Uuid(), nullable=True),
        sa.Column("source_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("booked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('tentative', 'confirmed', 'cancelled')", name=op.f("booking_status_check")),
        sa.CheckConstraint("(value_minor IS NULL) = (currency IS NULL)", name=op.f("booking_value_currency_check")),
        sa.ForeignKeyConstraint(
            ["studio_id", "inquiry_id"],
            ["inquiry.studio_id", "inquiry.id"],
            name=op.f("booking_studio_id_inquiry_id_fkey"),
            ondelete="SET NULL (inquiry_id)",
        ),
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name=op.f("booking_studio_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("booking_pkey")),
        sa.UniqueConstraint("studio_id", "id", name=op.f("booking_studio_id_id_key")),
        sa.UniqueConstraint(
            "studio_id", "platform", "external_id", name=op.f("booking_studio_id_platform_external_id_key")
        ),
    )
    op.create_index("booking_booked_idx", "booking", ["studio_id", "booked_at"], unique=False)
    op.create_index("booking_inquiry_idx", "booking", ["studio_id", "inquiry_id"], unique=False)
    op.create_table(
        "content_metric",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("content_id", sa.Uuid(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("views", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("likes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("comments", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("shares", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("saves", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reach", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("engagement_rate", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["studio_id", "content_id"],
            ["content.studio_id", "content.id"],
            name=op.f("content_metric_studio_id_content_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("content_metric_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("content_metric_pkey")),
        sa.UniqueConstraint(
            "studio_id", "content_id", "measured_at", name=op.f("content_metric_studio_id_content_id_measured_at_key")
        ),
    )
    op.create_index("content_metric_measured_idx", "content_metric", ["studio_id", "measured_at"], unique=False)
    op.create_table(
        "sync_log",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("window_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("schedule_lag_ms", sa.BigInteger(), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts_without_progress", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("pages", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("records_seen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("records_created", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("records_updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("records_unchanged", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("records_deleted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("api_calls", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("full_read", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cursor_before", sa.Text(), nullable=True),
        sa.Column("cursor_after", sa.Text(), nullable=True),
        sa.Column("page_cursor", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.Uuid(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resume_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enqueue_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'deferred', 'succeeded', 'failed', 'cancelled')",
            name=op.f("sync_log_status_check"),
        ),
        sa.CheckConstraint("trigger IN ('manual', 'schedule')", name=op.f("sync_log_trigger_check")),
        sa.ForeignKeyConstraint(
            ["studio_id", "connection_id"],
            ["platform_connection.studio_id", "platform_connection.id"],
            name=op.f("sync_log_studio_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name=op.f("sync_log_studio_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("sync_log_pkey")),
        sa.UniqueConstraint("studio_id", "id", name=op.f("sync_log_studio_id_id_key")),
    )
    op.create_index("sync_log_connection_idx", "sync_log", ["studio_id", "connection_id"], unique=False)
    op.create_index(
        "sync_log_one_active_idx",
        "sync_log",
        ["studio_id", "platform", "stream"],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'running', 'deferred')"),
    )
    op.create_index(
        "sync_log_enqueue_idx",
        "sync_log",
        ["enqueue_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'running', 'deferred')"),
    )
    op.create_index("sync_log_stream_newest_idx", "sync_log", ["studio_id", "platform", "stream", "id"], unique=False)
    op.create_index("sync_log_window_idx", "sync_log", ["studio_id", "platform", "stream", "window_at"], unique=True)
    op.create_table(
        "sync_schedule",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("frequency", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_success_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures_in_row", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("missed_windows", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["studio_id", "connection_id"],
            ["platform_connection.studio_id", "platform_connection.id"],
            name=op.f("sync_schedule_studio_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("sync_schedule_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("sync_schedule_pkey")),
        sa.UniqueConstraint(
            "studio_id", "platform", "stream", name=op.f("sync_schedule_studio_id_platform_stream_key")
        ),
    )
    op.create_index("sync_schedule_connection_idx", "sync_schedule", ["studio_id", "connection_id"], unique=False)
    op.create_index(
        "sync_schedule_due_idx",
        "sync_schedule",
        ["next_run_at"],
        unique=False,
        postgresql_where=sa.text("enabled AND paused_at IS NULL"),
    )
    op.create_table(
        "attribution",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("inquiry_id", sa.Uuid(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["studio_id", "booking_id"],
            ["booking.studio_id", "booking.id"],
            name=op.f("attribution_studio_id_booking_id_fkey"),
            ondelete="SET NULL (booking_id)",
        ),
        sa.ForeignKeyConstraint(
            ["studio_id", "campaign_id"],
            ["ad_campaign.studio_id", "ad_campaign.id"],
            name=op.f("attribution_studio_id_campaign_id_fkey"),
            ondelete="SET NULL (campaign_id)",
        ),
        sa.ForeignKeyConstraint(
            ["studio_id", "inquiry_id"],
            ["inquiry.studio_id", "inquiry.id"],
            name=op.f("attribution_studio_id_inquiry_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("attribution_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("attribution_pkey")),
        sa.UniqueConstraint(
            "studio_id",
            "inquiry_id",
            "channel",
            "touched_at",
            name=op.f("attribution_studio_id_inquiry_id_channel_touched_at_key"),
        ),
    )
    op.create_index("attribution_booking_idx", "attribution", ["studio_id", "booking_id"], unique=False)
    op.create_index("attribution_campaign_idx", "attribution", ["studio_id", "campaign_id"], unique=False)
    op.create_table(
        "sync_seen",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["studio_id", "run_id"],
            ["sync_log.studio_id", "sync_log.id"],
            name=op.f("sync_seen_studio_id_run_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("sync_seen_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "external_id", name=op.f("sync_seen_pkey")),
    )
    op.create_index("sync_seen_studio_idx", "sync_seen", ["studio_id"], unique=False)


def downgrade() -> None:
    op.drop_index("sync_seen_studio_idx", table_name="sync_seen")
    op.drop_table("sync_seen")
    op.drop_index("attribution_campaign_idx", table_name="attribution")
    op.drop_index("attribution_booking_idx", table_name="attribution")
    op.drop_table("attribution")
    op.drop_index(
        "sync_schedule_due_idx", table_name="sync_schedule", postgresql_where=sa.text("enabled AND paused_at IS NULL")
    )
    op.drop_index("sync_schedule_connection_idx", table_name="sync_schedule")
    op.drop_table("sync_schedule")
    op.drop_index("sync_log_window_idx", table_name="sync_log")
    op.drop_index("sync_log_stream_newest_idx", table_name="sync_log")
    op.drop_index(
        "sync_log_enqueue_idx",
        table_name="sync_log",
        postgresql_where=sa.text("status IN ('queued', 'running', 'deferred')"),
    )
    op.drop_index(
        "sync_log_one_active_idx",
        table_name="sync_log",
        postgresql_where=sa.text("status IN ('queued', 'running', 'deferred')"),
    )
    op.drop_index("sync_log_connection_idx", table_name="sync_log")
    op.drop_table("sync_log")
    op.drop_index("content_metric_measured_idx", table_name="content_metric")
    op.drop_table("content_metric")
    op.drop_index("booking_inquiry_idx", table_name="booking")
    op.drop_index("booking_booked_idx", table_name="booking")
    op.drop_table("booking")
    op.drop_index("ad_metric_day_idx", table_name="ad_metric")
    op.drop_table("ad_metric")
    op.drop_index("review_reviewed_idx", table_name="review")
    op.drop_table("review")
    op.drop_table("platform_connection")
    op.drop_index("inquiry_received_idx", table_name="inquiry")
    op.drop_table("inquiry")
    op.drop_table("idempotency_key")
    op.drop_index("data_key_one_current_idx", table_name="data_key", postgresql_where=sa.text("retired_at IS NULL"))
    op.drop_table("data_key")
    op.drop_table("content")
    op.drop_index(op.f("api_key_studio_id_idx"), table_name="api_key")
    op.drop_table("api_key")
    op.drop_table("ad_campaign")
    op.drop_table("studio")
