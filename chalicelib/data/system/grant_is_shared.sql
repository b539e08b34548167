-- Says whether another connection, of any studio, shares the grant of an account, or a pending grant may still be
-- completed with it.
--
-- Platforms revoke what a user granted an application, whichever of the tokens is passed: also what is still pending.
-- callers: ansel_api, ansel_sync, ansel_admin
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.grant_is_shared(wanted text, account text, connection uuid) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    SELECT to_json(EXISTS (
        SELECT FROM public.platform_connection AS c
        WHERE c.platform = wanted AND c.external_account_id = account AND c.id <> connection
          AND c.status IN ('active', 'misconfigured', 'error')
    ) OR EXISTS (
        SELECT FROM public.pending_grant AS p
        WHERE p.platform = wanted AND p.external_account_id = account AND p.id <> connection
          AND p.code_hash IS NOT NULL AND p.expires_at > now()
    ))
$body$;
