-- Finds the authorization that a platform's redirect names by its state, once: it is used up and its verifier erased.
--
-- A second caller waits for the first and then finds the state used.
-- callers: ansel_api
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.take_oauth_state(hash bytea, wanted text) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH taken AS (
        UPDATE public.oauth_state AS s SET used_at = now(), verifier = NULL
        WHERE s.state_hash = hash AND s.platform = wanted AND s.used_at IS NULL AND s.expires_at > now()
        RETURNING s.id, s.studio_id, s.connection_id, old.verifier, s.streams, s.return_to
    )
    SELECT json_build_object(
        'id', t.id, 'studioId', t.studio_id, 'verifier', translate(encode(t.verifier, 'base64'), chr(10), ''),
        'streams', t.streams, 'returnTo', t.return_to, 'connectionId', t.connection_id,
        'accountId', c.external_account_id
    )
    FROM taken AS t
    LEFT JOIN public.platform_connection AS c ON c.studio_id = t.studio_id AND c.id = t.connection_id
$body$;
