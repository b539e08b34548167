-- Deletes ended runs past their retention, except the newest of each stream. Returns a count and the last id.
--
-- Ids are UUIDv7, so the oldest runs are at the start of the primary key, and a batch begins where the last one
-- ended. The last 30 days stay, whatever the caller requests. Rows that another session has locked are skipped, so
-- maintenance never deadlocks and two concurrent calls share the work. DELETE takes an array, so it looks up each id
-- whatever the planner estimates.
-- callers: ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.prune_runs(after uuid, days integer, batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH term AS (
        SELECT make_interval(days => greatest(days, 30)) AS kept
    ), oldest AS MATERIALIZED (
        SELECT r.id FROM public.sync_log AS r WHERE r.id > after ORDER BY r.id LIMIT batch
    ), old AS MATERIALIZED (
        SELECT oldest.id FROM oldest WHERE oldest.id < (SELECT uuidv7(-kept) FROM term)
    ), pruned AS (
        DELETE FROM public.sync_log WHERE id = ANY (ARRAY(
            SELECT r.id FROM public.sync_log AS r
            WHERE r.id = ANY (ARRAY(SELECT old.id FROM old))
              AND r.status NOT IN ('queued', 'running', 'deferred') AND r.finished_at < now() - (SELECT kept FROM term)
              AND (
                  SELECT true FROM public.sync_log AS newer
                  WHERE newer.studio_id = r.studio_id AND newer.connection_id = r.connection_id
                    AND newer.stream = r.stream AND newer.id > r.id AND newer.trigger <> 'backfill'
                  LIMIT 1
              )
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING 1
    )
    SELECT json_build_object(
        'count', (SELECT count(*) FROM pruned), 'last', (SELECT old.id FROM old ORDER BY old.id DESC LIMIT 1)
    )
$body$;
