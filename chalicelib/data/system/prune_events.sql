-- Deletes connection events that are more than 400 days old, without reading them. Returns a count.
--
-- The retention is fixed here, so no caller can shorten it.
-- callers: ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.prune_events(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH old AS (
        SELECT e.id FROM public.connection_event AS e
        WHERE e.id < uuidv7(interval '-400 days') ORDER BY e.id LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), pruned AS (
        DELETE FROM public.connection_event WHERE id = ANY (ARRAY(SELECT old.id FROM old)) RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM pruned
$body$;
