"""Grants: the statements that change a connection's tokens and state. Each also records its event."""

from uuid import UUID

from chalicelib.data.audit import audited
from chalicelib.data.connections import DEAD, WORKING, abandoned
from chalicelib.data.events import Change, changed, noted
from chalicelib.data.postgres.query import Query, array_of, returned, typed
from chalicelib.data.postgres.rows import Row
from chalicelib.data.studios import NewId
from chalicelib.data.throttle import unblocked

LIFETIMES = """
            token_expires_at = coalesce(now() + make_interval(secs => :expires_in), :token_expires_at),
            refresh_at = now() + make_interval(secs => :refresh_in)
"""
RESUMED = """
        UPDATE sync_schedule AS s SET
            paused_at = CASE WHEN s.paused_by = 'studio' THEN s.paused_at END,
            paused_by = CASE WHEN s.paused_by = 'studio' THEN s.paused_by END,
            failures_in_row = CASE
                WHEN s.paused_at IS NULL OR s.paused_by = 'studio' THEN s.failures_in_row ELSE 0
            END,
            accounts_listed_at = CASE WHEN NOT :by_hand THEN s.accounts_listed_at END
        FROM replaced AS x
        WHERE s.studio_id = x.studio_id AND s.connection_id = x.id AND (s.paused_at IS NOT NULL OR :by_hand)
"""
OF_PLATFORM = "jsonb_build_object('platform', x.platform)"
CONNECTED = noted("made", kind="'connected'", code=":status_code::text", message=":status_message::text")
CONNECT_AUDITED = audited("made", action="connection.connect", subject="connection", detail=OF_PLATFORM)

INSERT_CONNECTION: Query[Change | None] = Query(
    f"""
    WITH revived AS (
        UPDATE platform_connection AS c SET
            status = 'active', status_code = :status_code, status_message = :status_message,
            status_since = now(), needs_token = :needs_token,
            access_token = :access_token, refresh_token = :refresh_token,
            token_generation = :token_generation, token_issued_at = now(), {LIFETIMES},
            refresh_token_expires_at = now() + make_interval(secs => :refresh_expires_in),
            refresh_failures = 0, scopes = {array_of("scopes")},
            external_account_id = :account_id, external_account_name = :account_name, account_unverified = false,
            last_error_code = NULL, last_error_message = NULL, last_error_at = NULL,
            revocation = NULL, disconnected_at = NULL, updated_at = now()
        WHERE c.id = :id AND c.status = 'disabled' AND c.token_generation = :token_generation - 1
        RETURNING c.studio_id, c.id, c.platform
    ), inserted AS (
        INSERT INTO platform_connection AS c (
            id, studio_id, platform, needs_token, access_token, refresh_token, token_generation, scopes,
            token_expires_at, refresh_token_expires_at, refresh_at,
            external_account_id, external_account_name, status_code, status_message
        )
        SELECT
            :id, :studio_id, :platform, :needs_token, :access_token, :refresh_token, :token_generation,
            {array_of("scopes")}, coalesce(now() + make_interval(secs => :expires_in), :token_expires_at),
            now() + make_interval(secs => :refresh_expires_in), now() + make_interval(secs => :refresh_in),
            :account_id, :account_name, :status_code, :status_message
        WHERE NOT EXISTS (SELECT FROM revived)
        ON CONFLICT DO NOTHING
        RETURNING c.studio_id, c.id, c.platform
    ), made AS (
        SELECT * FROM revived UNION ALL SELECT * FROM inserted
    ), left_accounts AS (
        UPDATE connected_account AS a SET gone_at = coalesce(a.gone_at, now())
        FROM made AS x WHERE a.studio_id = x.studio_id AND a.connection_id = x.id
    ), {unblocked("made")},
    {CONNECTED}, {CONNECT_AUDITED}
    {changed("made")}
    """,
    Change | None,
)
"""Inserts, or reactivates a disconnected row, whose accounts are gone until the platform lists them again.

Returns nothing if a live connection already exists."""

RECOVERED_OR_RECONNECTED = noted(
    "replaced",
    kind="CASE WHEN x.was <> 'active' THEN 'recovered' WHEN :by_hand THEN 'reconnected' END",
    code="CASE WHEN x.was <> 'active' THEN x.was_code ELSE :status_code END",
    message=":event_message",
    deliver_when="x.was IN ('expired', 'revoked', 'error')",
)
RECONNECT_AUDITED = audited(
    "replaced", action="connection.reconnect", subject="connection", detail=OF_PLATFORM, when=":by_hand"
)

REPLACE_TOKENS: Query[Change | None] = Query(
    typed(
        f"""
    WITH replaced AS (
        UPDATE platform_connection AS c SET
            status = 'active',
            status_code = CASE WHEN :by_hand THEN :status_code WHEN c.status = 'active' THEN c.status_code END,
            status_message = CASE WHEN :by_hand THEN :status_message WHEN c.status = 'active' THEN c.status_message END,
            status_since = CASE WHEN c.status = 'active' THEN c.status_since ELSE now() END,
            access_token = :access_token, refresh_token = :refresh_token,
            token_generation = c.token_generation + 1, token_issued_at = now(), {LIFETIMES},
            refresh_token_expires_at = CASE
                WHEN :same_refresh_token THEN c.refresh_token_expires_at
                ELSE now() + make_interval(secs => :refresh_expires_in)
            END,
            refresh_failures = 0, scopes = {array_of("scopes")},
            account_unverified = c.account_unverified OR :by_hand,
            last_error_code = NULL, last_error_message = NULL, last_error_at = NULL,
            refresh_owner = NULL, refresh_lease_expires_at = NULL, updated_at = now()
        WHERE c.id = :id AND c.token_generation = :token_generation AND c.disconnected_at IS NULL
        RETURNING c.studio_id, c.id, c.platform, old.status AS was, old.status_code AS was_code
    ), {unblocked("replaced", when=":by_hand")}, waited AS (
        UPDATE sync_log AS r SET resume_at = now(), enqueue_at = now()
        FROM replaced AS x
        WHERE :by_hand AND r.studio_id = x.studio_id AND r.connection_id = x.id
          AND r.status = 'deferred' AND r.resume_at > now()
    ), due AS (
        UPDATE account_position AS p SET
            resume_at = NULL,
            code = CASE WHEN x.was = 'active' THEN p.code END,
            failures_in_row = CASE WHEN x.was = 'active' THEN p.failures_in_row ELSE 0 END
        FROM replaced AS x
        WHERE (:by_hand OR x.was <> 'active') AND p.studio_id = x.studio_id AND p.connection_id = x.id
          AND (p.resume_at > now() OR p.code IS NOT NULL)
    ), resumed AS ({RESUMED}), interrupted AS (
        UPDATE sync_log AS r SET lease_owner = NULL, lease_expires_at = now(), enqueue_at = now()
        FROM replaced AS x
        WHERE :by_hand AND r.studio_id = x.studio_id AND r.connection_id = x.id
          AND r.status = 'running' AND r.lease_owner IS NOT NULL
    ), {RECOVERED_OR_RECONNECTED}, {RECONNECT_AUDITED}
    {changed("replaced")}
    """,
        by_hand="boolean",
        same_refresh_token="boolean",  # noqa: S106  SQL
        status_code="text",
        status_message="text",
        event_message="text",
    ),
    Change | None,
)
"""Compare-and-swap on the generation that the new tokens replace; a failed connection syncs again.

A pause by the studio stays. Paused schedules are updated all the same: a concurrent resume may have turned the pause
into the connection's, which the statement's snapshot does not show. With `by_hand`, the tokens may belong to another
account, so workers on runs with the old tokens lose their leases and store nothing more, and limits that the platform
imposed on the old tokens are no longer waited for.
"""

LEASE_REFRESH: Query[NewId | None] = Query(
    returned(
        f"""
        UPDATE platform_connection AS c SET
            refresh_owner = :owner, refresh_lease_expires_at = now() + make_interval(secs => :lease_seconds)
        WHERE c.id = :id AND c.token_generation = :token_generation AND {WORKING}
          AND (c.refresh_lease_expires_at IS NULL OR c.refresh_lease_expires_at < now())
        RETURNING c.id
        """
    ),
    NewId | None,
)

REFRESH_WARNING = noted(
    "failed",
    kind="CASE WHEN x.refresh_failures = :warn_after THEN 'warning' END",
    code="'refresh_failing'",
    message=":message::text",
)

FAIL_REFRESH: Query[Change | None] = Query(
    typed(
        f"""
    WITH failed AS (
        UPDATE platform_connection AS c SET
            refresh_owner = NULL, refresh_lease_expires_at = NULL,
            refresh_failures = least(c.refresh_failures, {2**31 - 2}) + 1,
            refresh_at = CASE
                WHEN c.refresh_at <= now() + interval '1 hour' THEN now() + make_interval(secs => :delay_seconds)
                ELSE c.refresh_at
            END
        WHERE c.id = :id AND c.refresh_owner = :owner
        RETURNING c.studio_id, c.id, c.refresh_failures
    ), {REFRESH_WARNING}
    {changed("failed")}
    """,
        warn_after="integer",
    ),
    Change | None,
)
"""Releases the lease. If the tick requested the refresh, it tries again after the delay."""

FAILED_OR_MISCONFIGURED = noted(
    "broken",
    kind="CASE WHEN :status = 'misconfigured' THEN 'misconfigured' ELSE 'failed' END",
    code=":code",
    message=":message",
    deliver_when=":status <> 'misconfigured'",
)

FAIL_CONNECTION: Query[Change | None] = Query(
    typed(
        f"""
    WITH broken AS (
        UPDATE platform_connection AS c SET
            status = :status, status_code = :code, status_message = :message, status_since = now(),
            refresh_at = CASE
                WHEN :status = 'misconfigured' THEN least(c.refresh_at, now() + interval '1 hour') ELSE c.refresh_at
            END,
            last_error_code = :code, last_error_message = :message, last_error_at = now(), updated_at = now()
        WHERE c.id = :id AND c.token_generation = :token_generation AND {WORKING} AND c.status <> :status
        RETURNING c.studio_id, c.id
    ), paused AS (
        UPDATE sync_schedule AS s SET
            paused_at = coalesce(s.paused_at, now()),
            paused_by = CASE WHEN s.paused_at IS NULL THEN 'connection' ELSE s.paused_by END
        FROM broken AS x
        WHERE :status IN {DEAD} AND s.studio_id = x.studio_id AND s.connection_id = x.id
    ), {FAILED_OR_MISCONFIGURED}
    {changed("broken")}
    """,
        status="text",
        code="text",
        message="text",
    ),
    Change | None,
)
"""Marks a connection that no longer works, unless its tokens were replaced meanwhile; a dead grant pauses its
schedules.

Paused schedules are updated too, and stay as they are unless a concurrent resume came first that the snapshot does not
show.
"""

RECOVERED = noted(
    "recovered", kind="'recovered'", code="x.was_code", message=":event_message::text", deliver_when="x.was = 'error'"
)

RECOVER_CONNECTION: Query[Change | None] = Query(
    f"""
    WITH recovered AS (
        UPDATE platform_connection AS c SET
            status = 'active', status_code = NULL, status_message = NULL, status_since = now(), updated_at = now()
        WHERE c.id = :id AND c.token_generation = :token_generation AND {WORKING} AND c.status <> 'active'
        RETURNING c.studio_id, c.id, old.status AS was, old.status_code AS was_code
    ), {RECOVERED}
    {changed("recovered")}
    """,
    Change | None,
)

DISCONNECTED = noted("gone", kind="'disconnected'", code=":revocation", message="NULL")
DISCONNECT_AUDITED = audited("gone", action="connection.disconnect", subject="connection", detail=OF_PLATFORM)

DISCONNECT: Query[Change | None] = Query(
    typed(
        f"""
    WITH gone AS (
        UPDATE platform_connection AS c SET
            status = 'disabled', status_code = NULL, status_message = NULL, status_since = now(),
            access_token = NULL, refresh_token = NULL, token_expires_at = NULL, refresh_token_expires_at = NULL,
            refresh_at = NULL, token_generation = least(c.token_generation, {2**31 - 2}) + 1,
            refresh_owner = NULL, refresh_lease_expires_at = NULL,
            revocation = :revocation, disconnected_at = now(), updated_at = now()
        WHERE c.id = :id AND c.disconnected_at IS NULL
          AND (:account_id IS NULL OR c.external_account_id = :account_id)
        RETURNING c.studio_id, c.id, c.platform
    ), stopped AS (
        UPDATE sync_log AS r SET
            status = 'cancelled', finished_at = now(), lease_owner = NULL, lease_expires_at = NULL,
            error_code = 'disconnected', error_message = :run_message, error_at = now()
        FROM gone
        WHERE r.studio_id = gone.studio_id AND r.connection_id = gone.id
          AND r.status IN ('queued', 'running', 'deferred')
        RETURNING r.id
    ), forgotten AS (
        DELETE FROM sync_seen AS seen USING stopped WHERE seen.run_id = stopped.id
    ), unscheduled AS (
        DELETE FROM sync_schedule AS s USING gone
        WHERE s.studio_id = gone.studio_id AND s.connection_id = gone.id
    ), {abandoned("gone", accounts="a.external_id IS NULL")},
    {DISCONNECTED}, {DISCONNECT_AUDITED}
    {changed("gone")}
    """,
        account_id="text",
        revocation="text",
        run_message="text",
    ),
    Change | None,
)
"""`run_message` is for the runs that it cancels. With an `account_id`, only while the connection is that account's."""


class RefreshClaim(Row):
    """A grant that is due for a refresh; the claim postpones it long enough for a worker to do it."""

    connection_id: UUID
    studio_id: UUID


CLAIM_DUE_REFRESHES: Query[list[RefreshClaim]] = Query(
    "SELECT cross_tenant.claim_due_refreshes(:batch)", list[RefreshClaim]
)
GRANT_IS_SHARED: Query[bool] = Query("SELECT cross_tenant.grant_is_shared(:platform, :account_id, :id)", bool)
