-- Claims the active runs that no worker picked up in time. Returns ids.
-- callers: ansel_tick
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.enqueue_lost_runs(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH lost AS (
        SELECT r.id FROM public.sync_log AS r
        WHERE r.status IN ('queued', 'running', 'deferred') AND r.enqueue_at <= now()
        ORDER BY r.enqueue_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), enqueued AS (
        UPDATE public.sync_log AS r SET
            enqueue_at = now() + greatest(interval '2 minutes', (now() - r.queued_at) / 2)
        FROM lost WHERE r.id = lost.id
        RETURNING r.id, r.studio_id
    )
    SELECT coalesce(json_agg(json_build_object('runId', id, 'studioId', studio_id)), '[]') FROM enqueued
$body$;
