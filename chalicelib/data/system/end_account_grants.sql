-- Deletes the pending grants of an account that a platform's signed callback names, without reading their tokens.
-- Returns a count.
--
-- A callback from before the authorization does not affect its grant.
-- callers: ansel_api
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.end_account_grants(wanted text, account text, noticed_at timestamptz) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH ended AS (
        DELETE FROM public.pending_grant AS p
        WHERE p.platform = wanted AND p.external_account_id = account
          AND p.created_at <= noticed_at + interval '1 minute'
        RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM ended
$body$;
