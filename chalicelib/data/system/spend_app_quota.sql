-- Counts calls to a platform's API, and records what its responses reported about the application's quota. Returns what
-- is now known about it.
--
-- Calls are counted together for an hour. `counted_at` is the beginning of the hour in which the caller's studio was
-- counted last. A reading holds for a day at most, whatever the caller says.
-- callers: ansel_api, ansel_sync, ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.spend_app_quota(
    wanted text, wanted_api text, used_share double precision, is_full boolean, seconds double precision,
    made_calls bigint, counted_at timestamptz
) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH reading AS (
        SELECT now() + make_interval(secs => least(seconds, 86400)) AS resets_at, greatest(made_calls, 0) AS calls
    ), spent AS (
        INSERT INTO public.app_quota AS q (platform, api, used, used_until, calls, studios, blocked_until)
        SELECT wanted, wanted_api, coalesce(used_share, 0), r.resets_at, r.calls, 1,
               CASE WHEN is_full THEN r.resets_at END
        FROM reading AS r
        ON CONFLICT (platform, api) DO UPDATE SET
            used = coalesce(used_share, q.used),
            used_until = CASE WHEN used_share IS NULL THEN q.used_until ELSE excluded.used_until END,
            calls = excluded.calls + CASE WHEN q.window_at > now() - interval '1 hour' THEN q.calls ELSE 0 END,
            studios = CASE
                WHEN q.window_at <= now() - interval '1 hour' THEN 1
                WHEN q.window_at = counted_at THEN q.studios
                ELSE q.studios + 1
            END,
            window_at = CASE WHEN q.window_at > now() - interval '1 hour' THEN q.window_at ELSE now() END,
            blocked_until = CASE WHEN used_share IS NULL THEN q.blocked_until ELSE excluded.blocked_until END
        RETURNING q.used, q.calls, q.studios, q.window_at, q.blocked_until
    )
    SELECT json_build_object(
        'used', s.used, 'calls', s.calls, 'studios', s.studios, 'windowAt', s.window_at, 'blockedUntil', s.blocked_until
    )
    FROM spent AS s
$body$;
