"""An operator's view and control of the reasons why platforms are not called: circuits, quotas, deferred runs."""

from typing import Literal
from uuid import UUID

from chalicelib.data.postgres.query import Query, many
from chalicelib.data.postgres.rows import Moment, Row

Scope = Literal["circuit", "app", "account"]
"""A failing API, the application's quota, or one account's."""


class SharedThrottle(Row):
    """A throttle that makes every studio wait."""

    scope: Scope
    platform: str
    api: str
    until: Moment
    used: float | None
    """The used share of the quota, as last reported by the platform"""
    failures_in_row: int | None


class AccountThrottle(Row):
    studio_id: UUID
    connection_id: UUID
    platform: str
    api: str
    until: Moment


class WaitingRuns(Row):
    """A platform's deferred runs that wait for the same reason, and when the last of them is due."""

    platform: str
    code: str
    runs: int
    studios: int
    until: Moment | None


class Waits(Row):
    accounts: list[AccountThrottle]
    runs: list[WaitingRuns]


class Counted(Row):
    count: int


class ClearedShared(Row):
    circuits: int
    quotas: int


class ClearedAccount(Row):
    quotas: int
    runs: list[UUID]


LIST_SHARED_THROTTLES: Query[list[SharedThrottle]] = Query(
    many(
        """
        SELECT 'circuit' AS scope, c.platform, c.api, c.open_until AS until, NULL::float8 AS used,
               c.failures_in_row AS "failuresInRow"
        FROM platform_circuit AS c WHERE c.open_until > now()
        UNION ALL
        SELECT 'app', q.platform, q.api, q.blocked_until, q.used, NULL FROM app_quota AS q WHERE q.blocked_until > now()
        ORDER BY platform, api, scope
        """
    ),
    list[SharedThrottle],
)
FIND_WAITS: Query[Waits] = Query("SELECT cross_tenant.find_waits(:batch)", Waits)
"""The accounts with the longest waits, and all deferred runs."""

CLEAR_SHARED_THROTTLES: Query[ClearedShared] = Query(
    """
    WITH circuits AS (
        UPDATE platform_circuit AS c SET failures_in_row = 0, open_until = NULL
        WHERE c.platform = :platform AND c.failures_in_row > 0 RETURNING 1
    ), quotas AS (
        UPDATE app_quota AS q SET used = 0, blocked_until = NULL
        WHERE q.platform = :platform AND (q.used > 0 OR q.blocked_until IS NOT NULL) RETURNING 1
    )
    SELECT json_build_object('circuits', (SELECT count(*) FROM circuits), 'quotas', (SELECT count(*) FROM quotas))
    """,
    ClearedShared,
)
RESUME_DEFERRED_RUNS: Query[Counted] = Query("SELECT cross_tenant.resume_deferred_runs(:platform, :batch)", Counted)
"""For all studios, in batches; they resume within five minutes."""

CLEAR_ACCOUNT_THROTTLES: Query[ClearedAccount] = Query(
    """
    WITH quotas AS (
        UPDATE account_quota AS q SET used = 0, blocked_until = NULL
        FROM platform_connection AS c
        WHERE c.studio_id = q.studio_id AND c.id = q.connection_id AND c.platform = :platform
          AND (q.used > 0 OR q.blocked_until IS NOT NULL) RETURNING 1
    ), due AS (
        UPDATE sync_log AS r SET resume_at = now(), enqueue_at = now()
        WHERE r.platform = :platform AND r.status = 'deferred' AND r.resume_at > now() RETURNING r.id
    )
    SELECT json_build_object('quotas', (SELECT count(*) FROM quotas),
                             'runs', (SELECT coalesce(json_agg(due.id), '[]') FROM due))
    """,
    ClearedAccount,
)
"""For one studio."""
