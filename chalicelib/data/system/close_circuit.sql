-- Closes the circuit of a platform's API, which responds again. Returns a count.
-- callers: ansel_api, ansel_sync, ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.close_circuit(wanted text, wanted_api text) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH closed AS (
        UPDATE public.platform_circuit AS c SET failures_in_row = 0, open_until = NULL
        WHERE c.platform = wanted AND c.api = wanted_api AND c.failures_in_row > 0
        RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM closed
$body$;
