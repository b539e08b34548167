"""What maintenance deletes and checks in every studio: cross-tenant functions that work in batches."""

from uuid import UUID

from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import Deleted, Row


class Pruned(Row):
    """A batch of old runs: how many were deleted, and where the next batch starts; None at the end."""

    count: int
    last: UUID | None


class StuckRun(Row):
    run_id: UUID
    studio_id: UUID


class StuckRuns(Row):
    count: int
    """Runs that have been active for more than a day"""
    abandoned: int
    """Runs whose lease expired more than an hour ago and that no worker has picked up since"""
    oldest: list[StuckRun]


PRUNE_RUNS: Query[Pruned] = Query("SELECT cross_tenant.prune_runs(:after, :days, :batch)", Pruned)
"""Checks a batch of runs and deletes those that ended this many days ago, except the newest of each stream."""

FORGET_SEEN_OF_ENDED_RUNS: Query[Deleted] = Query("SELECT cross_tenant.forget_seen(:batch)", Deleted)
"""The ids that ended runs encountered: a run deletes its own, unless its worker died before doing so."""

FORGET_IDEMPOTENCY_KEYS: Query[Deleted] = Query("SELECT cross_tenant.forget_idempotency_keys(:batch)", Deleted)
"""Keys that may be reused: a day has passed since their request."""

PRUNE_DELIVERIES: Query[Deleted] = Query("SELECT cross_tenant.prune_deliveries(:batch)", Deleted)
"""Webhook deliveries that succeeded or were abandoned, 30 days after they were recorded."""

PRUNE_EVENTS: Query[Deleted] = Query("SELECT cross_tenant.prune_events(:batch)", Deleted)
"""Connection events older than 400 days."""

FORGET_DATA_DELETIONS: Query[Deleted] = Query("SELECT cross_tenant.forget_data_deletions(:batch)", Deleted)
"""Deletions completed more than 400 days ago."""

FORGET_PENDING_GRANTS: Query[Deleted] = Query("SELECT cross_tenant.forget_pending_grants(:batch)", Deleted)
"""Grants that no studio completed and that no worker could revoke for a day."""

PRUNE_SET_ASIDE: Query[Deleted] = Query("SELECT cross_tenant.prune_set_aside(:batch)", Deleted)
"""Unreadable records that no sync has encountered for 30 days."""

PRUNE_AUDIT: Query[Deleted] = Query("SELECT cross_tenant.prune_audit(:days, :batch)", Deleted)
"""Audit entries older than this many days."""

FIND_STUCK_RUNS: Query[StuckRuns] = Query("SELECT cross_tenant.find_stuck_runs(:shown)", StuckRuns)
