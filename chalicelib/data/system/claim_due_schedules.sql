-- Lists the schedules that are due, locked until the caller's transaction ends.
--
-- They are read in the order of their index and no further than the batch, and not by a bitmap and a sort: that would
-- read all that are due, and visit again, at each tick, the entries that earlier ticks left in the index, which an index
-- scan marks as dead. Only a frequency that counts days needs the studio's time zone: studios are looked up for those
-- alone, since each is a page of its own in a large database.
-- callers: ansel_tick
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.claim_due_schedules(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_bitmapscan = off SET enable_sort = off AS $body$
    WITH due AS (
        SELECT s.* FROM public.sync_schedule AS s
        WHERE s.enabled AND s.paused_at IS NULL AND s.next_run_at <= now()
        ORDER BY s.next_run_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    )
    SELECT coalesce(json_agg(json_build_object(
        'scheduleId', due.id, 'studioId', due.studio_id, 'connectionId', due.connection_id,
        'stream', due.stream, 'frequency', due.frequency, 'nextRunAt', due.next_run_at,
        'timeZone', CASE WHEN due.frequency !~ '^(hourly|every [0-9]+ (minutes|hours))$' THEN (
            SELECT studio.time_zone FROM public.studio WHERE studio.id = due.studio_id
        ) END,
        'now', now()
    )), '[]')
    FROM due
$body$;
