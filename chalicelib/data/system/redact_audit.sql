-- Empties the details of a studio's audit entries about a person who was erased, known by an id or a hash. Returns a
-- count.
--
-- What was done stays on record, with by whom and when. An entry is about a person as its subject, or by the field
-- `person` of its details.
-- callers: ansel_admin, ansel_maintenance
-- version: 1
CREATE OR REPLACE FUNCTION cross_tenant.redact_audit(studio uuid, person text) RETURNS json
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH redacted AS (
        UPDATE public.audit_entry AS e SET detail = '{}'
        WHERE e.studio_id = studio AND (e.subject_id::text = person OR e.detail ->> 'person' = person)
          AND e.detail <> '{}'
        RETURNING 1
    )
    SELECT json_build_object('count', count(*)) FROM redacted
$body$;
