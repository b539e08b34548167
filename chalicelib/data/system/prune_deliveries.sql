-- Deletes webhook deliveries 30 days after they were created, once they succeeded or were abandoned. Returns a count.
-- callers: ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.prune_deliveries(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH old AS (
        SELECT d.id FROM public.webhook_delivery AS d
        WHERE d.id < uuidv7(interval '-30 days') AND d.due_at IS NULL ORDER BY d.id LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), pruned AS (
        DELETE FROM public.webhook_delivery WHERE id = ANY (ARRAY(SELECT old.id FROM old)) RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM pruned
$body$;
