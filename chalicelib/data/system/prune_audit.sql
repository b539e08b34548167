-- Deletes audit entries past their retention, without reading them. Returns a count.
--
-- The last year stays, whatever the caller asks for. Ids are UUIDv7, so the oldest entries are at the start of the
-- primary key.
-- callers: ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.prune_audit(days integer, batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH old AS (
        SELECT e.id FROM public.audit_entry AS e
        WHERE e.id < uuidv7(-make_interval(days => greatest(days, 365))) ORDER BY e.id LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), pruned AS (
        DELETE FROM public.audit_entry WHERE id = ANY (ARRAY(SELECT old.id FROM old)) RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM pruned
$body$;
