-- Deletes the ids that ended runs recorded during a full read. Returns a count.
--
-- The runs that have rows are read from the primary key, one step per run, however many rows each has.
-- callers: ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.forget_seen(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH RECURSIVE run AS (
        (SELECT s.run_id FROM public.sync_seen AS s ORDER BY s.run_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT s.run_id FROM public.sync_seen AS s WHERE s.run_id > run.run_id ORDER BY s.run_id LIMIT 1
        )
        FROM run WHERE run.run_id IS NOT NULL
    ), ended AS (
        SELECT run.run_id FROM run LEFT JOIN public.sync_log AS r ON r.id = run.run_id
        WHERE run.run_id IS NOT NULL AND (r.id IS NULL OR r.status NOT IN ('queued', 'running', 'deferred'))
    ), idle AS (
        SELECT seen.place FROM ended CROSS JOIN LATERAL (
            SELECT s.ctid AS place FROM public.sync_seen AS s
            WHERE s.run_id = ended.run_id LIMIT batch
            FOR UPDATE SKIP LOCKED
        ) AS seen
        LIMIT batch
    ), forgotten AS (
        DELETE FROM public.sync_seen AS s WHERE s.ctid = ANY (ARRAY(SELECT idle.place FROM idle)) RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM forgotten
$body$;
