-- Counts the runs that have been active for too long. Returns the ids of the oldest and their studios.
-- callers: ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.find_stuck_runs(shown integer) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH stuck AS (
        SELECT r.id, r.studio_id, r.queued_at <= now() - interval '1 day' AS for_long,
               r.lease_expires_at <= now() - interval '1 hour' IS TRUE AS abandoned
        FROM public.sync_log AS r
        WHERE r.status IN ('queued', 'running', 'deferred')
          AND (r.queued_at <= now() - interval '1 day' OR r.lease_expires_at <= now() - interval '1 hour')
    )
    SELECT json_build_object(
        'count', count(*) FILTER (WHERE for_long),
        'abandoned', count(*) FILTER (WHERE abandoned),
        'oldest', coalesce((
            SELECT json_agg(json_build_object('runId', o.id, 'studioId', o.studio_id)) FROM (
                SELECT s.id, s.studio_id FROM stuck AS s WHERE s.for_long ORDER BY s.id LIMIT shown
            ) AS o
        ), '[]')
    )
    FROM stuck
$body$;
