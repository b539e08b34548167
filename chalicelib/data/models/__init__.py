"""The schema, defined once: Alembic compares migrations with these tables, upserts are built from their columns."""

from chalicelib.data.models.base import Base
from chalicelib.data.models.clients import Attribution, Booking, Inquiry
from chalicelib.data.models.connections import (
    ConnectedAccount,
    ConnectionEvent,
    DataDeletion,
    OauthState,
    PendingGrant,
    PlatformConnection,
    WebhookDelivery,
    WebhookEndpoint,
)
from chalicelib.data.models.left_out import SetAside, SkippedRecord
from chalicelib.data.models.limits import RateLimit
from chalicelib.data.models.marketing import (
    AdCampaign,
    AdMetric,
    AdMetricRestatement,
    Content,
    ContentMetric,
    Review,
    ReviewRestatement,
)
from chalicelib.data.models.studios import (
    ApiKey,
    AuditEntry,
    DataKey,
    IdempotencyKey,
    Quarantine,
    Studio,
    StudioErasure,
    TenantKey,
)
from chalicelib.data.models.sync import (
    AccountPosition,
    AccountQuota,
    AppQuota,
    PlatformCircuit,
    SyncLog,
    SyncSchedule,
    SyncSeen,
)

__all__ = [
    "AccountPosition",
    "AccountQuota",
    "AdCampaign",
    "AdMetric",
    "AdMetricRestatement",
    "ApiKey",
    "AppQuota",
    "Attribution",
    "AuditEntry",
    "Base",
    "Booking",
    "ConnectedAccount",
    "ConnectionEvent",
    "Content",
    "ContentMetric",
    "DataDeletion",
    "DataKey",
    "IdempotencyKey",
    "Inquiry",
    "OauthState",
    "PendingGrant",
    "PlatformCircuit",
    "PlatformConnection",
    "Quarantine",
    "RateLimit",
    "Review",
    "ReviewRestatement",
    "SetAside",
    "SkippedRecord",
    "Studio",
    "StudioErasure",
    "SyncLog",
    "SyncSchedule",
    "SyncSeen",
    "TenantKey",
    "WebhookDelivery",
    "WebhookEndpoint",
]
