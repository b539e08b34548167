-- Lists what could not be decrypted when keys were rotated, by page. Returns places, reasons and a count.
-- callers: ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.find_quarantined(after uuid, batch integer) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    SELECT json_build_object('count', (SELECT count(*) FROM public.quarantine), 'items', coalesce((
        SELECT json_agg(json_build_object(
            'id', q.id, 'studioId', q.studio_id, 'tableName', q.table_name, 'columnName', q.column_name,
            'rowId', q.row_id, 'dataKeyId', q.data_key_id, 'reason', q.reason, 'foundAt', q.found_at
        ) ORDER BY q.id)
        FROM (SELECT * FROM public.quarantine WHERE id > after ORDER BY id LIMIT batch) AS q
    ), '[]'))
$body$;
