-- Lists studios by page, with their names.
-- callers: ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.find_studios(after uuid, batch integer) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    SELECT coalesce(json_agg(json_build_object(
        'id', s.id, 'name', s.name, 'timeZone', s.time_zone, 'createdAt', s.created_at
    ) ORDER BY s.id), '[]')
    FROM (SELECT id, name, time_zone, created_at FROM public.studio WHERE id > after ORDER BY id LIMIT batch) AS s
$body$;
