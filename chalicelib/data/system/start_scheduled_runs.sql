-- Starts a run for each claimed schedule and stores when that is due next.
-- callers: ansel_tick
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.start_scheduled_runs(claims json) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH claim AS (
        SELECT * FROM json_to_recordset(claims)
            AS c ("scheduleId" uuid, "windowAt" timestamptz, missed bigint, "nextRunAt" timestamptz)
    ), moved AS (
        UPDATE public.sync_schedule AS s SET
            next_run_at = c."nextRunAt", missed_windows = s.missed_windows + c.missed
        FROM claim AS c WHERE s.id = c."scheduleId"
        RETURNING s.studio_id, s.connection_id, s.platform, s.stream, c."windowAt" AS window_at
    ), started AS (
        INSERT INTO public.sync_log
            (studio_id, connection_id, platform, stream, trigger, window_at, schedule_lag_ms, enqueue_at)
        SELECT m.studio_id, m.connection_id, m.platform, m.stream, 'schedule', m.window_at,
               extract(epoch FROM now() - m.window_at) * 1000, now() + interval '2 minutes'
        FROM moved AS m
        ON CONFLICT DO NOTHING
        RETURNING id, studio_id
    )
    SELECT coalesce(json_agg(json_build_object('runId', id, 'studioId', studio_id)), '[]') FROM started
$body$;
