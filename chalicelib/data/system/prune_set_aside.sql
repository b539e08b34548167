-- Deletes unreadable records 30 days after a sync last encountered them, without reading their content. Returns a
-- count.
-- callers: ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.prune_set_aside(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH old AS (
        SELECT s.id FROM public.set_aside AS s
        WHERE s.last_seen_at < now() - interval '30 days' ORDER BY s.last_seen_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), pruned AS (
        DELETE FROM public.set_aside WHERE id = ANY (ARRAY(SELECT old.id FROM old)) RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM pruned
$body$;
