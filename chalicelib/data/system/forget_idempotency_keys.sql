-- Deletes idempotency keys that are older than a day, without reading them. Returns a count.
-- callers: ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.forget_idempotency_keys(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH old AS (
        SELECT k.ctid AS place FROM public.idempotency_key AS k
        WHERE k.started_at < now() - interval '1 day'
        ORDER BY k.started_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), forgotten AS (
        DELETE FROM public.idempotency_key AS k WHERE k.ctid = ANY (ARRAY(SELECT old.place FROM old)) RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM forgotten
$body$;
