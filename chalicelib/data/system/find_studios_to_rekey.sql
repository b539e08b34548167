-- Lists the studios whose data key is older than a moment or that have a retired one. Returns ids and a count.
-- callers: ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.find_studios_to_rekey(made_before timestamptz, after uuid, batch integer) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH due AS (
        SELECT DISTINCT k.studio_id FROM public.data_key AS k
        WHERE k.studio_id > after AND (k.retired_at IS NOT NULL OR k.created_at < made_before)
    )
    SELECT json_build_object('left', (SELECT count(*) FROM due), 'studios', (
        SELECT coalesce(json_agg(d.studio_id ORDER BY d.studio_id), '[]')
        FROM (SELECT * FROM due ORDER BY studio_id LIMIT batch) AS d
    ))
$body$;
