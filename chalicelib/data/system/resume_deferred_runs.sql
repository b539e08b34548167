-- Makes the deferred runs of a platform due within five minutes. Returns a count.
--
-- They are spread over those minutes, so that runs that waited together do not all resume at once. Runs that are due
-- by then anyway stay as they are, which is how a repeated call knows what is left.
-- callers: ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.resume_deferred_runs(wanted text, batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH waiting AS (
        SELECT r.id, now() + random() * interval '5 minutes' AS due FROM public.sync_log AS r
        WHERE r.platform = wanted AND r.status = 'deferred' AND r.resume_at > now() + interval '5 minutes'
        ORDER BY r.id LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), resumed AS (
        UPDATE public.sync_log AS r SET resume_at = w.due, enqueue_at = w.due
        FROM waiting AS w WHERE r.id = w.id
        RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM resumed
$body$;
