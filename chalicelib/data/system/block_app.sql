-- Records that a platform rejected the application, so that all studios wait. Returns until when.
--
-- They wait for a day at most, whatever the caller requests.
-- callers: ansel_api, ansel_sync, ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.block_app(wanted text, wanted_api text, seconds double precision) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH blocked AS (
        INSERT INTO public.app_quota AS q (platform, api, blocked_until)
        VALUES (wanted, wanted_api, now() + make_interval(secs => least(seconds, 86400)))
        ON CONFLICT (platform, api) DO UPDATE SET blocked_until = greatest(q.blocked_until, excluded.blocked_until)
        RETURNING q.blocked_until
    )
    SELECT json_build_object('until', b.blocked_until) FROM blocked AS b
$body$;
