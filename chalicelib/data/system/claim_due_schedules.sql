-- Lists the schedules that are due, locked until the caller's transaction ends.
-- callers: ansel_tick
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.claim_due_schedules(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH due AS (
        SELECT s.* FROM public.sync_schedule AS s
        WHERE s.enabled AND s.paused_at IS NULL AND s.next_run_at <= now()
        ORDER BY s.next_run_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    )
    SELECT coalesce(json_agg(json_build_object(
        'scheduleId', due.id, 'studioId', due.studio_id, 'connectionId', due.connection_id,
        'stream', due.stream, 'frequency', due.frequency, 'nextRunAt', due.next_run_at,
        'timeZone', studio.time_zone, 'now', now()
    )), '[]')
    FROM due JOIN public.studio ON studio.id = due.studio_id
$body$;
