-- Claims the connections whose tokens are due for a refresh. Returns ids.
--
-- The message may be lost, or its worker may die: then the connection is due again in a quarter of an hour.
-- callers: ansel_tick
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.claim_due_refreshes(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH due AS (
        SELECT c.id FROM public.platform_connection AS c
        WHERE c.status IN ('active', 'misconfigured', 'error') AND c.refresh_at <= now()
        ORDER BY c.refresh_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE public.platform_connection AS c SET refresh_at = now() + interval '15 minutes'
        FROM due WHERE c.id = due.id
        RETURNING c.id, c.studio_id
    )
    SELECT coalesce(json_agg(json_build_object('connectionId', id, 'studioId', studio_id)), '[]') FROM claimed
$body$;
