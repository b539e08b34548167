"""The keys that prove studios, as stored in the database; only the owner of the schema writes them."""

from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import Moment, Row


class TenantKey(Row):
    """A key that the database accepts, by its fingerprint."""

    fingerprint: str
    created_at: Moment
    in_use_since: Moment | None
    """Since when proofs have been made with it, as far as the database knows"""


class KeyPads(Row):
    fingerprint: str
    inner_pad: str
    outer_pad: str
    """In hexadecimal, like the other"""


class AppliedKeys(Row):
    added: int
    removed: int


LIST_TENANT_KEYS: Query[list[TenantKey]] = Query(
    """
    SELECT coalesce(json_agg(json_build_object(
        'fingerprint', k.fingerprint, 'createdAt', k.created_at, 'inUseSince', k.in_use_since
    ) ORDER BY k.created_at, k.fingerprint), '[]')
    FROM public.tenant_key AS k
    """,
    list[TenantKey],
)
APPLY_TENANT_KEYS: Query[AppliedKeys] = Query(
    """
    WITH listed AS (
        SELECT k.*, k.place = 1 AS in_use FROM ROWS FROM (
            json_to_recordset(:keys::json) AS ("fingerprint" text, "innerPad" text, "outerPad" text)
        ) WITH ORDINALITY AS k (fingerprint, inner_pad, outer_pad, place)
    ), removed AS (
        DELETE FROM public.tenant_key AS k
        WHERE :only_these::boolean AND k.fingerprint NOT IN (SELECT l.fingerprint FROM listed AS l)
        RETURNING k.fingerprint
    ), stored AS (
        INSERT INTO public.tenant_key AS k (fingerprint, inner_pad, outer_pad, in_use_since)
        SELECT l.fingerprint, decode(l.inner_pad, 'hex'), decode(l.outer_pad, 'hex'), CASE WHEN l.in_use THEN now() END
        FROM listed AS l
        ON CONFLICT (fingerprint) DO UPDATE SET
            in_use_since = CASE WHEN excluded.in_use_since IS NOT NULL THEN coalesce(k.in_use_since, now()) END
        RETURNING xmax = 0 AS added
    )
    SELECT json_build_object(
        'added', (SELECT count(*) FROM stored WHERE added), 'removed', (SELECT count(*) FROM removed)
    )
    """,
    AppliedKeys,
)
"""Stores the listed keys, the first one as the key in use; `only_these` deletes all others."""
