-- Claims the webhook deliveries that are due. Returns ids.
--
-- They are postponed by no more than the worker ignores when it takes a delivery: chalicelib/data/webhook_endpoints.py.
-- callers: ansel_tick
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.claim_due_deliveries(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH due AS (
        SELECT d.id FROM public.webhook_delivery AS d
        WHERE d.due_at <= now()
        ORDER BY d.due_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE public.webhook_delivery AS d SET due_at = now() + interval '2 minutes'
        FROM due WHERE d.id = due.id
        RETURNING d.id, d.studio_id
    )
    SELECT coalesce(json_agg(json_build_object('deliveryId', id, 'studioId', studio_id)), '[]') FROM claimed
$body$;
