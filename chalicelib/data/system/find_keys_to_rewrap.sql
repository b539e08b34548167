-- Lists the data keys that are wrapped under other KMS keys than these. Returns ids and a count.
--
-- A key in quarantine is listed, but does not count as one of those left to do.
-- callers: ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.find_keys_to_rewrap(wanted text[], after uuid, batch integer) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH stale AS (
        SELECT k.id, k.studio_id FROM public.data_key AS k
        WHERE k.id > after AND k.wrapped_under IS DISTINCT FROM wanted
    )
    SELECT json_build_object('left', (
        SELECT count(*) FROM stale WHERE NOT EXISTS (
            SELECT FROM public.quarantine AS q
            WHERE q.studio_id = stale.studio_id AND q.table_name = 'data_key' AND q.row_id = stale.id
        )
    ), 'keys', (
        SELECT coalesce(json_agg(json_build_object('id', s.id, 'studioId', s.studio_id) ORDER BY s.id), '[]')
        FROM (SELECT * FROM stale ORDER BY id LIMIT batch) AS s
    ))
$body$;
