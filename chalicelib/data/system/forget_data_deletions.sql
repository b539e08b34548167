-- Deletes requests for data deletion that were completed more than 400 days ago. Returns a count.
-- callers: ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.forget_data_deletions(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH forgotten AS (
        DELETE FROM public.data_deletion WHERE id = ANY (ARRAY(
            SELECT d.id FROM public.data_deletion AS d
            WHERE d.done_at < now() - interval '400 days' ORDER BY d.id LIMIT batch
        ))
        RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM forgotten
$body$;
