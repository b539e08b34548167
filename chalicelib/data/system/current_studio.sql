-- Returns the studio of the transaction if it is proved, and NULL otherwise. The policies of all tenant tables call it,
-- which are forced on the owner of the tables as well.
--
-- It computes the HMAC of RFC 2104 from core functions alone: docs/decisions/0008-tenant-proof.md. Both sides are hashed
-- once more before they are compared, so the time that takes reveals nothing. It runs with the caller's search_path,
-- which costs less than a path of its own, so each name in it includes its schema. A warning tells the product what no
-- row can: that the studio it named is not proved.
-- callers: ansel_api, ansel_sync, ansel_admin, owner
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.current_studio() RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER AS $body$
DECLARE
    studio pg_catalog.uuid := nullif(pg_catalog.current_setting('app.studio_id', true), '')::pg_catalog.uuid;
    proof pg_catalog.text := pg_catalog.current_setting('app.studio_proof', true);
BEGIN
    IF studio IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM FROM public.tenant_key AS k
    WHERE pg_catalog.sha256(pg_catalog.convert_to(proof, 'UTF8')) OPERATOR(pg_catalog.=) pg_catalog.sha256(
        pg_catalog.convert_to(pg_catalog.encode(pg_catalog.sha256(k.outer_pad OPERATOR(pg_catalog.||)
            pg_catalog.sha256(k.inner_pad OPERATOR(pg_catalog.||) pg_catalog.uuid_send(studio))
        ), 'hex'), 'UTF8')
    );
    IF FOUND THEN
        RETURN studio;
    END IF;
    RAISE WARNING USING ERRCODE = 'TP001', MESSAGE = 'a studio is named and not proved';
    RETURN NULL;
END
$body$;
