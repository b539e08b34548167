-- Counts the data keys by the KMS keys they are wrapped under, and the retired ones. Returns when the oldest current
-- one was made.
-- callers: ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.find_key_counts() RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    SELECT json_build_object(
        'wrappedUnder', (
            SELECT coalesce(json_agg(json_build_object('keys', w.keys, 'count', w.count) ORDER BY w.count DESC), '[]')
            FROM (
                SELECT k.wrapped_under AS keys, count(*) AS count FROM public.data_key AS k GROUP BY k.wrapped_under
            ) AS w
        ),
        'oldestMadeAt', min(k.created_at) FILTER (WHERE k.retired_at IS NULL),
        'retired', count(*) FILTER (WHERE k.retired_at IS NOT NULL),
        'quarantined', (SELECT count(*) FROM public.quarantine)
    )
    FROM public.data_key AS k
$body$;
