"""The schema, defined once: Alembic compares migrations with these tables, upserts are built from their columns."""

from chalicelib.data.models.account_position import AccountPosition
from chalicelib.data.models.account_quota import AccountQuota
from chalicelib.data.models.ad_campaign import AdCampaign
from chalicelib.data.models.ad_metric import AdMetric
from chalicelib.data.models.ad_metric_restatement import AdMetricRestatement
from chalicelib.data.models.api_key import ApiKey
from chalicelib.data.models.app_quota import AppQuota
from chalicelib.data.models.attribution import Attribution
from chalicelib.data.models.audit_entry import AuditEntry
from chalicelib.data.models.base import Base
from chalicelib.data.models.booking import Booking
from chalicelib.data.models.connected_account import ConnectedAccount
from chalicelib.data.models.connection_event import ConnectionEvent
from chalicelib.data.models.content import Content
from chalicelib.data.models.content_metric import ContentMetric
from chalicelib.data.models.data_deletion import DataDeletion
from chalicelib.data.models.data_key import DataKey
from chalicelib.data.models.idempotency_key import IdempotencyKey
from chalicelib.data.models.inquiry import Inquiry
from chalicelib.data.models.oauth_state import OauthState
from chalicelib.data.models.pending_grant import PendingGrant
from chalicelib.data.models.platform_circuit import PlatformCircuit
from chalicelib.data.models.platform_connection import PlatformConnection
from chalicelib.data.models.quarantine import Quarantine
from chalicelib.data.models.rate_limit import RateLimit
from chalicelib.data.models.review import Review
from chalicelib.data.models.review_restatement import ReviewRestatement
from chalicelib.data.models.set_aside import SetAside
from chalicelib.data.models.skipped_record import SkippedRecord
from chalicelib.data.models.studio import Studio
from chalicelib.data.models.studio_erasure import StudioErasure
from chalicelib.data.models.sync_log import SyncLog
from chalicelib.data.models.sync_schedule import SyncSchedule
from chalicelib.data.models.sync_seen import SyncSeen
from chalicelib.data.models.tenant_key import TenantKey
from chalicelib.data.models.webhook_delivery import WebhookDelivery
from chalicelib.data.models.webhook_endpoint import WebhookEndpoint

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
