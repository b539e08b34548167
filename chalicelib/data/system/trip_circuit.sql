-- Counts one more failure of a platform's API, and from the threshold on opens its circuit for all studios, longer each
-- time. Returns how many there were in a row.
--
-- It is never open for more than an hour at once, whatever the caller asks for.
-- callers: ansel_api, ansel_sync, ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.trip_circuit(
    wanted text, wanted_api text, threshold integer, first_seconds double precision, longest_seconds double precision
) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH tripped AS (
        INSERT INTO public.platform_circuit AS c (platform, api, failures_in_row) VALUES (wanted, wanted_api, 1)
        ON CONFLICT (platform, api) DO UPDATE SET
            failures_in_row = c.failures_in_row + 1,
            open_until = CASE WHEN c.failures_in_row + 1 >= threshold THEN
                now() + make_interval(secs => least(
                    first_seconds * 2 ^ (c.failures_in_row + 1 - threshold), longest_seconds, 3600
                ))
            END
        RETURNING c.failures_in_row
    )
    SELECT json_build_object('failuresInRow', t.failures_in_row) FROM tripped AS t
$body$;
