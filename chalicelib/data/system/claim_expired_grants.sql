-- Claims the grants that no studio completed in time. Returns ids.
--
-- Without its hash a grant can no longer be completed. The message may be lost, or its worker may die: then the grant
-- is due again.
-- callers: ansel_tick
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.claim_expired_grants(batch integer) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH due AS (
        SELECT p.id FROM public.pending_grant AS p
        WHERE p.due_at <= now()
        ORDER BY p.due_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE public.pending_grant AS p SET
            code_hash = NULL, due_at = now() + interval '15 minutes', attempts = p.attempts + 1
        FROM due WHERE p.id = due.id
        RETURNING p.id, p.studio_id
    )
    SELECT coalesce(json_agg(json_build_object('grantId', id, 'studioId', studio_id)), '[]') FROM claimed
$body$;
