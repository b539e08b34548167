-- Lists the connections, in all studios, of an account that a platform's signed callback names. Returns ids, their
-- studios, and whether each works and since when.
-- callers: ansel_api
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.find_account_connections(wanted text, account text) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    SELECT coalesce(json_agg(json_build_object(
        'connectionId', c.id, 'studioId', c.studio_id, 'live', c.disconnected_at IS NULL,
        'working', c.status IN ('active', 'misconfigured', 'error'), 'since', c.status_since
    )), '[]')
    FROM public.platform_connection AS c WHERE c.platform = wanted AND c.external_account_id = account
$body$;
