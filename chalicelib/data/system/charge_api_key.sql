-- Finds the API key that a request names, as find_api_key does, and charges the request to the rate limits of the key
-- and its studio, if the hash is the key's.
--
-- A bucket is charged by postponing the time at which it is full again. A key's id is not secret, and knowing it must
-- not be enough to use up the key's limit: a wrong hash charges nothing. The key's bucket is charged first, and a
-- request that it rejects costs the studio's bucket nothing.
-- callers: ansel_api
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.charge_api_key(
    key_id uuid, hash bytea, calls double precision, key_rate double precision, key_burst double precision,
    studio_rate double precision, studio_burst double precision
) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH found AS (
        SELECT k.id, k.studio_id, k.secret_hash, k.scopes, k.expires_at, k.revoked_at FROM public.api_key AS k
        WHERE k.id = key_id
    ), of_key AS (
        INSERT INTO public.rate_limit AS b (studio_id, name, full_at)
        SELECT f.studio_id, f.id::text, public.charged_bucket(NULL, calls, 1, key_rate, key_burst)
        FROM found AS f WHERE f.secret_hash = hash AND f.revoked_at IS NULL
        ON CONFLICT ON CONSTRAINT rate_limit_pkey DO UPDATE SET
            full_at = public.charged_bucket(b.full_at, calls, 1, key_rate, key_burst)
        RETURNING
            b.studio_id, new.full_at,
            new.full_at > public.charged_bucket(old.full_at, calls, 0, key_rate, key_burst) AS admitted
    ), of_studio AS (
        INSERT INTO public.rate_limit AS b (studio_id, name, full_at)
        SELECT k.studio_id, 'studio',
               public.charged_bucket(NULL, calls, k.admitted::integer, studio_rate, studio_burst)
        FROM of_key AS k
        ON CONFLICT ON CONSTRAINT rate_limit_pkey DO UPDATE SET
            full_at = public.charged_bucket(
                b.full_at, calls, (SELECT k.admitted::integer FROM of_key AS k), studio_rate, studio_burst
            )
        RETURNING
            new.full_at,
            new.full_at > public.charged_bucket(old.full_at, calls, 0, studio_rate, studio_burst) AS admitted
    )
    SELECT json_build_object(
        'id', f.id, 'studioId', f.studio_id, 'secretHash', encode(f.secret_hash, 'base64'),
        'scopes', f.scopes, 'expiresAt', f.expires_at, 'revokedAt', f.revoked_at,
        'key', (SELECT json_build_object(
            'admitted', k.admitted, 'left',
            round((key_burst - key_rate * extract(epoch FROM k.full_at - now()))::numeric, 2)
        ) FROM of_key AS k),
        'studio', (SELECT json_build_object(
            'admitted', s.admitted, 'left',
            round((studio_burst - studio_rate * extract(epoch FROM s.full_at - now()))::numeric, 2)
        ) FROM of_studio AS s)
    )
    FROM found AS f
$body$;
