-- Lists the accounts that a platform makes wait and until when, and counts the deferred runs by reason. Returns ids of
-- studios and connections, platforms and counts.
-- callers: ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.find_waits(batch integer) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    SELECT json_build_object('accounts', (
        SELECT coalesce(json_agg(json_build_object(
            'studioId', q.studio_id, 'connectionId', q.connection_id, 'platform', q.platform, 'api', q.api,
            'until', q.blocked_until
        ) ORDER BY q.blocked_until DESC, q.studio_id, q.connection_id, q.api), '[]')
        FROM (
            SELECT * FROM (
                SELECT a.studio_id, a.connection_id, c.platform, a.api, a.blocked_until
                FROM public.account_quota AS a
                JOIN public.platform_connection AS c ON c.studio_id = a.studio_id AND c.id = a.connection_id
                WHERE a.blocked_until > now()
            ) AS blocked
            ORDER BY blocked_until DESC, studio_id, connection_id, api LIMIT batch
        ) AS q
    ), 'runs', (
        SELECT coalesce(json_agg(json_build_object(
            'platform', w.platform, 'code', w.code, 'runs', w.runs, 'studios', w.studios, 'until', w.until
        ) ORDER BY w.runs DESC, w.platform, w.code), '[]')
        FROM (
            SELECT r.platform, coalesce(r.error_code, 'unknown') AS code, count(*) AS runs,
                   count(DISTINCT r.studio_id) AS studios, max(r.resume_at) AS until
            FROM public.sync_log AS r WHERE r.status = 'deferred' GROUP BY 1, 2
        ) AS w
    ))
$body$;
