"""What maintenance deletes and looks for in every studio: cross-tenant functions, each a batch at a time."""

from uuid import UUID

from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import Row


class Deleted(Row):
    count: int


class Pruned(Row):
    """A batch of old runs: how many of them went, and where the next one begins; None at the end."""

    count: int
    last: UUID | None


class StuckRun(Row):
    run_id: UUID
    studio_id: UUID


class StuckRuns(Row):
    count: int
    """Runs that have been active for more than a day."""
    abandoned: int
    """Runs whose lease ran out more than an hour ago, and that nobody has taken up since."""
    oldest: list[StuckRun]


PRUNE_RUNS: Query[Pruned] = Query("SELECT cross_tenant.prune_runs(:after, :days, :batch)", Pruned)
"""Looks at a batch of runs and deletes those that ended so many days ago, but for the newest of each stream."""

FORGET_SEEN_OF_ENDED_RUNS: Query[Deleted] = Query("SELECT cross_tenant.forget_seen(:batch)", Deleted)
"""What ended runs had met: each ends without it, unless its worker died between the two."""

FORGET_IDEMPOTENCY_KEYS: Query[Deleted] = Query("SELECT cross_tenant.forget_idempotency_keys(:batch)", Deleted)
"""Keys that are free again: a day has passed since their request."""

PRUNE_DELIVERIES: Query[Deleted] = Query("SELECT cross_tenant.prune_deliveries(:batch)", Deleted)
"""Deliveries to webhooks that were made or given up, 30 days after they were noted."""

PRUNE_EVENTS: Query[Deleted] = Query("SELECT cross_tenant.prune_events(:batch)", Deleted)
"""What happened to connections more than 400 days ago."""

FORGET_DATA_DELETIONS: Query[Deleted] = Query("SELECT cross_tenant.forget_data_deletions(:batch)", Deleted)
"""Those that were done more than 400 days ago."""

FORGET_PENDING_GRANTS: Query[Deleted] = Query("SELECT cross_tenant.forget_pending_grants(:batch)", Deleted)
"""Those that nobody completed and, for a day, no worker could revoke."""

PRUNE_SET_ASIDE: Query[Deleted] = Query("SELECT cross_tenant.prune_set_aside(:batch)", Deleted)
"""Records that could not be read, and that no sync has met for 30 days."""

PRUNE_AUDIT: Query[Deleted] = Query("SELECT cross_tenant.prune_audit(:days, :batch)", Deleted)
"""Audit entries that were made so many days ago."""

FIND_STUCK_RUNS: Query[StuckRuns] = Query("SELECT cross_tenant.find_stuck_runs(:shown)", StuckRuns)
