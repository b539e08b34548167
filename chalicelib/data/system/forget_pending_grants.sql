-- Deletes grants that no worker could revoke within a day after they expired. Returns a count.
-- callers: ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.forget_pending_grants(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH old AS (
        SELECT p.id FROM public.pending_grant AS p
        WHERE p.expires_at < now() - interval '1 day' ORDER BY p.expires_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), forgotten AS (
        DELETE FROM public.pending_grant WHERE id = ANY (ARRAY(SELECT old.id FROM old)) RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM forgotten
$body$;
