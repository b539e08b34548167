-- Allows one caller at a time to try a platform whose circuit was open. Returns how many failures there were in a
-- row, or nothing.
--
-- The next caller may try after the given number of seconds, an hour at most.
-- callers: ansel_api, ansel_sync, ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.probe_circuit(
    wanted text, wanted_api text, threshold integer, seconds double precision
) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH probed AS (
        UPDATE public.platform_circuit AS c SET open_until = now() + make_interval(secs => least(seconds, 3600))
        WHERE c.platform = wanted AND c.api = wanted_api AND c.failures_in_row >= threshold AND c.open_until <= now()
        RETURNING c.failures_in_row
    )
    SELECT json_build_object('failuresInRow', p.failures_in_row) FROM probed AS p
$body$;
