"""The doors of consent and keep-alive: an OAuth state by its hash, grants and deliveries that are due, shared grants."""

from migrations.steps import close_doors, open_doors

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

GRANTS: dict[str, str] = {
    "webhook_delivery": "SELECT (id, studio_id, due_at), UPDATE (due_at)",
    "platform_connection": (
        "SELECT (id, studio_id, platform, status, status_since, external_account_id, disconnected_at, refresh_at),"
        " UPDATE (refresh_at)"
    ),
    "oauth_state": (
        "SELECT (id, studio_id, platform, state_hash, verifier, streams, return_to, expires_at, used_at),"
        " UPDATE (verifier, used_at)"
    ),
}
"""What the door role needs beyond its grants so far, by table."""
NEWLY_SEEN: tuple[str, ...] = (
    "webhook_delivery",
    "platform_connection",
    "oauth_state",
)
"""Tables that no door has looked at before."""
DOORS: dict[str, str] = {
    # Moved on by no more than a worker passes over when it takes the delivery: data/webhook_endpoints.py.
    "claim_due_deliveries(batch integer)": """
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
    """,
    # A platform's notice names an account of its own; whose studios that is connected to, nobody else may ask.
    "find_account_connections(wanted text, account text)": """
        SELECT coalesce(json_agg(json_build_object(
            'connectionId', c.id, 'studioId', c.studio_id, 'live', c.disconnected_at IS NULL,
            'working', c.status IN ('active', 'misconfigured', 'error'), 'since', c.status_since
        )), '[]')
        FROM public.platform_connection AS c WHERE c.platform = wanted AND c.external_account_id = account
    """,
    # The message may be lost, or its worker: then the grant is due again in a quarter of an hour.
    "claim_due_refreshes(batch integer)": """
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
    """,
    # Platforms revoke what a user gave an application, whichever of the tokens is handed in.
    "grant_is_shared(wanted text, account text, connection uuid)": """
        SELECT to_json(EXISTS (
            SELECT FROM public.platform_connection AS c
            WHERE c.platform = wanted AND c.external_account_id = account AND c.id <> connection
              AND c.status IN ('active', 'misconfigured', 'error')
        ))
    """,
    # The verifier is handed out and erased at once; a second caller waits for the first and then finds the state used.
    "take_oauth_state(hash bytea, wanted text)": """
        WITH taken AS (
            UPDATE public.oauth_state AS s SET used_at = now(), verifier = NULL
            WHERE s.state_hash = hash AND s.platform = wanted AND s.used_at IS NULL AND s.expires_at > now()
            RETURNING s.id, s.studio_id, old.verifier, s.streams, s.return_to
        )
        SELECT json_build_object(
            'id', t.id, 'studioId', t.studio_id, 'verifier', translate(encode(t.verifier, 'base64'), chr(10), ''),
            'streams', t.streams, 'returnTo', t.return_to
        )
        FROM taken AS t
    """,
}


def upgrade() -> None:
    open_doors(DOORS, GRANTS, NEWLY_SEEN)


def downgrade() -> None:
    close_doors(DOORS, GRANTS, NEWLY_SEEN)
