"""The throttle: whether a platform may be called now. One row for its circuit and each quota's remainder.

`platform_circuit` and `app_quota` are shared by all studios, so only cross-tenant functions change them, which
enforce bounds. `studio_quota` is a studio's part of the application's quota, `account_quota` a connected account's own.
"""

from chalicelib.data.postgres.query import Query, typed
from chalicelib.data.postgres.rows import Row


class ThrottleState(Row):
    """For one API of a platform. Seconds from now; None if there is nothing to wait for."""

    api: str
    failures_in_row: int = 0
    open_seconds: float | None = None
    quota_seconds: float | None = None


class CallState(ThrottleState):
    """Whether a studio's request may call a platform now."""

    reserve_seconds: float | None = None
    """Until then, the rest of the application's quota is reserved for syncs"""
    share_seconds: float | None = None
    """Until then, the rest is for studios that have used less of it"""
    bucket_seconds: float | None = None
    """Until then, the studio has used up the calls that its requests may make"""


class Wait(Row):
    seconds: float | None


class Circuit(Row):
    failures_in_row: int


FULL = 0.95
"""Above this share of a quota, all calls stop."""
BUSY = 0.75
"""Above this share of the application's quota, only studios continue that have used less than an equal part of it,
where one part is reserved for a studio that has not called yet. Meta throttles at 1.0 and advises slowing down from
here."""
RESERVE = 0.75
"""Above this share of the application's quota, requests may not call: the rest is for syncs."""
SHARED = 0.25
"""Above this share, only requests of studios continue that have used less than an equal part, as with BUSY."""
CALLS_WINDOW = "interval '1 hour'"
"""How long calls are counted together, to know how many each studio made."""

SLIDING_SECONDS = 300
"""A platform whose window slides names no time; after five minutes a good part of it is free again."""
APP_RESET = f"now() + make_interval(secs => coalesce(:app_seconds::float8, {SLIDING_SECONDS}))"
ACCOUNT_RESET = f"now() + make_interval(secs => coalesce(:account_seconds::float8, {SLIDING_SECONDS}))"


def throttle_states_of(run: str) -> str:
    """SQL for the ThrottleStates of the platform of a run, whose alias is `run`: those of its APIs that have one."""
    return f"""(SELECT coalesce(json_agg(throttle), '[]') FROM (
        SELECT api, max(failures_in_row) AS "failuresInRow",
               extract(epoch FROM max(open_until) - now()) AS "openSeconds",
               extract(epoch FROM max(blocked_until) - now()) AS "quotaSeconds"
        FROM (
            SELECT api, failures_in_row, CASE WHEN open_until > now() THEN open_until END, NULL::timestamptz
            FROM platform_circuit WHERE platform = {run}.platform
            UNION ALL
            SELECT api, 0, NULL, blocked_until
            FROM app_quota WHERE platform = {run}.platform AND blocked_until > now()
            UNION ALL
            SELECT api, 0, NULL, blocked_until
            FROM account_quota
            WHERE studio_id = {run}.studio_id AND connection_id = {run}.connection_id AND blocked_until > now()
        ) AS states (api, failures_in_row, open_until, blocked_until)
        GROUP BY api
    ) AS throttle)"""


def unblocked(of: str, *, connection: str = "x.id", when: str = "true") -> str:
    """A CTE that forgets that an account reached a limit: that of the `connection` of each `x` in the CTE `of`."""
    return f"""
    unblocked AS (
        UPDATE account_quota AS q SET used = 0, blocked_until = NULL
        FROM {of} AS x
        WHERE {when} AND q.studio_id = x.studio_id AND q.connection_id = {connection} AND q.blocked_until > now()
    )
    """


SPEND_QUOTA: Query[Wait] = Query(
    f"""
    WITH mine AS (
        SELECT window_at FROM studio_quota WHERE studio_id = :studio_id AND platform = :platform AND api = :api
    ), app AS (
        SELECT q.used, q.calls, q.studios, q."windowAt" AS window_at, q."blockedUntil" AS blocked_until
        FROM json_to_record(cross_tenant.spend_app_quota(
            :platform, :api, :app_used, :app_used::float8 > {FULL},
            coalesce(:app_seconds::float8, {SLIDING_SECONDS}), :calls, (SELECT mine.window_at FROM mine)
        )) AS q (used float8, calls bigint, studios integer, "windowAt" timestamptz, "blockedUntil" timestamptz)
    ), own AS (
        INSERT INTO studio_quota AS q (studio_id, platform, api, calls, window_at)
        SELECT :studio_id, :platform, :api, :calls, app.window_at FROM app
        ON CONFLICT (studio_id, platform, api) DO UPDATE SET
            calls = excluded.calls + CASE WHEN q.window_at = excluded.window_at THEN q.calls ELSE 0 END,
            window_at = excluded.window_at
        RETURNING q.*
    ), account AS (
        INSERT INTO account_quota AS q (studio_id, connection_id, api, used, blocked_until)
        SELECT :studio_id, :connection_id, :api, coalesce(:account_used::float8, 0),
               CASE WHEN :account_used::float8 > {FULL} THEN {ACCOUNT_RESET} END
        WHERE :connection_id::uuid IS NOT NULL
        ON CONFLICT (studio_id, connection_id, api) DO UPDATE SET
            used = coalesce(:account_used, q.used),
            blocked_until = CASE WHEN :account_used IS NULL THEN q.blocked_until ELSE excluded.blocked_until END
        RETURNING q.*
    ), waits AS (
        SELECT blocked_until AS until FROM app
        UNION ALL
        SELECT blocked_until FROM account
        UNION ALL
        SELECT {APP_RESET} FROM app, own
        WHERE app.used > {BUSY} AND own.calls * (app.studios + 1) > app.calls
    )
    SELECT json_build_object('seconds', extract(epoch FROM max(until) - now())) FROM waits WHERE until > now()
    """,
    Wait,
)
"""Counts calls, stores the quotas reported in their responses, and returns how long the connection's runs must wait.

Without a connection, such as before one is made, what was reported about its account is not stored."""

CHECK_CALL: Query[CallState] = Query(
    typed(
        f"""
    WITH circuit AS (
        SELECT failures_in_row, open_until FROM platform_circuit WHERE platform = :platform AND api = :api
    ), app AS (
        SELECT q.*, q.used_until > now() AS is_known, q.window_at > now() - {CALLS_WINDOW} AS is_counted
        FROM app_quota AS q WHERE platform = :platform AND api = :api
    ), own AS (
        SELECT * FROM studio_quota WHERE studio_id = :studio_id AND platform = :platform AND api = :api
    ), account AS (
        SELECT * FROM account_quota WHERE studio_id = :studio_id AND connection_id = :connection_id AND api = :api
    ), waits AS (
        SELECT
            (SELECT open_until FROM circuit WHERE open_until > now()) AS circuit,
            (SELECT max(until) FROM (
                SELECT blocked_until FROM app UNION ALL SELECT blocked_until FROM account
            ) AS blocks (until) WHERE until > now()) AS quota,
            (SELECT used_until FROM app WHERE is_known AND used > {RESERVE}) AS reserve,
            (SELECT least(app.used_until, app.window_at + {CALLS_WINDOW}) FROM app JOIN own USING (window_at)
             WHERE is_known AND is_counted AND app.used > {SHARED} AND own.calls * (app.studios + 1) > app.calls
            ) AS share
    ), bucket AS (
        INSERT INTO rate_limit AS b (studio_id, name, full_at)
        SELECT :studio_id, 'platform_calls', charged_bucket(NULL, 0, 1, :per_minute / 60, :per_minute)
        FROM waits WHERE :charged AND coalesce(circuit, quota, reserve, share) IS NULL
        ON CONFLICT (studio_id, name) DO UPDATE SET
            full_at = charged_bucket(b.full_at, 0, 1, :per_minute / 60, :per_minute)
        RETURNING
            new.full_at + make_interval(secs => 60 / :per_minute - 60) AS room_at,
            new.full_at > charged_bucket(old.full_at, 0, 0, :per_minute / 60, :per_minute) AS admitted
    )
    SELECT json_build_object(
        'api', :api, 'failuresInRow', coalesce((SELECT failures_in_row FROM circuit), 0),
        'openSeconds', extract(epoch FROM circuit - now()),
        'quotaSeconds', extract(epoch FROM quota - now()),
        'reserveSeconds', extract(epoch FROM reserve - now()),
        'shareSeconds', extract(epoch FROM share - now()),
        'bucketSeconds', (SELECT extract(epoch FROM room_at - now()) FROM bucket WHERE NOT admitted)
    )
    FROM waits
    """,
        studio_id="uuid",
        connection_id="uuid",
        platform="text",
        api="text",
        charged="boolean",
        per_minute="float8",
    ),
    CallState,
)
"""Whether a request may call the platform; if it may, and `charged`, the call counts as one of the studio's."""

BLOCK_APP: Query[None] = Query("SELECT cross_tenant.block_app(:platform, :api, :seconds)")
BLOCK_ACCOUNT: Query[None] = Query(
    """
    INSERT INTO account_quota AS q (studio_id, connection_id, api, blocked_until)
    VALUES (:studio_id, :connection_id, :api, now() + make_interval(secs => :seconds))
    ON CONFLICT (studio_id, connection_id, api) DO UPDATE SET
        blocked_until = greatest(q.blocked_until, excluded.blocked_until)
    """
)
"""The platform rejected a request: the account's other runs wait as well, as all studios' do after BLOCK_APP."""

TRIP_CIRCUIT: Query[Circuit] = Query(
    "SELECT cross_tenant.trip_circuit(:platform, :api, :threshold, :first_seconds, :longest_seconds)", Circuit
)
"""One more failure without a success in between; from the threshold on the circuit opens, longer each time."""

PROBE_CIRCUIT: Query[Circuit | None] = Query(
    "SELECT cross_tenant.probe_circuit(:platform, :api, :threshold, :seconds)", Circuit | None
)
"""The circuit is half-open: one run at a time may try."""

CLOSE_CIRCUIT: Query[None] = Query("SELECT cross_tenant.close_circuit(:platform, :api)")
