-- Finds the API key that a request names, before its studio is known.
-- callers: ansel_api
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.find_api_key(key_id uuid) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    SELECT json_build_object(
        'id', k.id, 'studioId', k.studio_id, 'secretHash', encode(k.secret_hash, 'base64'),
        'scopes', k.scopes, 'expiresAt', k.expires_at, 'revokedAt', k.revoked_at
    )
    FROM public.api_key AS k WHERE k.id = key_id
$body$;
