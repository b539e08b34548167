"""The schema of the first release: roles, tables, row-level security and cross-tenant functions."""

from pathlib import Path

from alembic import op

from migrations.steps import apply_function, isolate, show_to_definer

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FILES = Path(__file__).parents[1] / "baseline"
TABLES = ("studios", "connections", "sync", "marketing", "clients", "left_out", "limits")
"""The files that create the tables, in the order of their references; one per module of `chalicelib/data/models`."""
SHARED = {
    "app_quota": {"ansel_app": "SELECT, INSERT, UPDATE"},
    "data_deletion": {"ansel_app": "SELECT, INSERT, UPDATE (done_at, connections)"},
    "platform_circuit": {"ansel_app": "SELECT, INSERT, UPDATE"},
    "studio_erasure": {"ansel_admin": "SELECT, INSERT, UPDATE"},
    "tenant_key": {},
}
"""Tables that hold nothing of any studio."""
SEEN_BY_DEFINER = {
    "account_quota": "SELECT (studio_id, platform, api, blocked_until)",
    "api_key": "SELECT (id, studio_id, secret_hash, scopes, expires_at, revoked_at)",
    "connection_event": "SELECT (id), UPDATE (id), DELETE",
    "data_deletion": "SELECT (id, done_at), DELETE",
    "data_key": "SELECT (id, studio_id, created_at, retired_at, wrapped_under)",
    "idempotency_key": "SELECT (ctid, started_at), UPDATE (started_at), DELETE",
    "oauth_state": (
        "SELECT (id, studio_id, platform, state_hash, verifier, streams, return_to, expires_at, used_at),"
        " UPDATE (verifier, used_at)"
    ),
    "pending_grant": (
        "SELECT (id, studio_id, platform, code_hash, external_account_id, created_at, expires_at, due_at, attempts),"
        " UPDATE (code_hash, due_at, attempts), DELETE"
    ),
    "platform_connection": (
        "SELECT (id, studio_id, platform, status, status_since, external_account_id, disconnected_at, refresh_at),"
        " UPDATE (refresh_at)"
    ),
    "quarantine": "SELECT",
    "rate_limit": "SELECT, INSERT, UPDATE",
    "set_aside": "SELECT (id, last_seen_at), UPDATE (id), DELETE",
    "studio": "SELECT (id, name, time_zone, created_at)",
    "sync_log": "SELECT, INSERT, UPDATE (resume_at, enqueue_at), DELETE",
    "sync_schedule": "SELECT, UPDATE (missed_windows, next_run_at)",
    "sync_seen": "SELECT (ctid, run_id), UPDATE (run_id), DELETE",
    "tenant_key": "SELECT",
    "webhook_delivery": "SELECT (id, studio_id, due_at), UPDATE (due_at), DELETE",
}
TENANT_TABLES = (
    *("studio", "api_key", "data_key", "idempotency_key", "quarantine"),
    *("oauth_state", "pending_grant", "platform_connection", "connected_account", "connection_event"),
    *("webhook_endpoint", "webhook_delivery"),
    *("account_quota", "sync_log", "sync_schedule", "sync_seen"),
    *("ad_campaign", "ad_metric", "ad_metric_restatement", "content", "content_metric", "review", "review_restatement"),
    *("inquiry", "booking", "attribution"),
    *("set_aside", "skipped_record", "rate_limit"),
)
FUNCTIONS = dict.fromkeys(
    (
        *("find_api_key", "charge_api_key", "take_oauth_state"),
        *("claim_due_schedules", "start_scheduled_runs", "enqueue_lost_runs"),
        *("claim_due_refreshes", "claim_expired_grants", "claim_due_deliveries"),
        *("find_account_connections", "end_account_grants", "grant_is_shared"),
        *("prune_runs", "prune_deliveries", "prune_events", "prune_set_aside"),
        *("forget_seen", "forget_idempotency_keys", "forget_pending_grants", "forget_data_deletions"),
        *("find_stuck_runs", "find_studios", "find_waits", "resume_deferred_runs"),
        *("find_keys_to_rewrap", "find_studios_to_rekey", "find_quarantined", "find_key_counts"),
    ),
    1,
)
"""Versions by name, besides the one that the policies call."""

# A managed server has no roles of ours. Where it has IAM authentication, as RDS does, they log in with it.
MAKE_ROLES = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ansel_definer') THEN
            CREATE ROLE ansel_definer NOLOGIN NOCREATEROLE NOCREATEDB;
            GRANT ansel_definer TO CURRENT_USER WITH INHERIT FALSE, SET TRUE;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ansel_app') THEN
            CREATE ROLE ansel_app LOGIN NOCREATEROLE NOCREATEDB;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ansel_admin') THEN
            CREATE ROLE ansel_admin LOGIN NOCREATEROLE NOCREATEDB;
        END IF;
        IF NOT pg_has_role('ansel_admin', 'ansel_app', 'MEMBER') THEN
            GRANT ansel_app TO ansel_admin WITH INHERIT TRUE, SET FALSE;
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
            GRANT rds_iam TO ansel_app, ansel_admin;
        END IF;
    END $$
"""


def upgrade() -> None:
    op.execute(MAKE_ROLES)
    op.execute("CREATE SCHEMA cross_tenant")
    op.execute("GRANT USAGE ON SCHEMA public TO ansel_app, ansel_definer")
    op.execute("GRANT USAGE ON SCHEMA cross_tenant TO ansel_app, ansel_admin, ansel_definer")
    op.execute("GRANT SELECT ON alembic_version TO ansel_app")
    for name in TABLES:
        op.execute((FILES / f"{name}.sql").read_text(encoding="utf-8"))
    apply_function("current_studio", 1)
    for table in TENANT_TABLES:
        isolate(table, key="id" if table == "studio" else "studio_id")
    for table, grants in SHARED.items():
        for role, grant in grants.items():
            op.execute(f"GRANT {grant} ON {table} TO {role}")
    for table, grant in SEEN_BY_DEFINER.items():
        show_to_definer(table, grant, has_policies=table not in SHARED)
    for name, version in FUNCTIONS.items():
        apply_function(name, version)


def downgrade() -> None:
    op.execute("DROP SCHEMA cross_tenant CASCADE")
    op.execute(f"DROP TABLE {', '.join((*TENANT_TABLES, *SHARED))}")
    op.execute("DROP FUNCTION charged_bucket")
    op.execute("REVOKE SELECT ON alembic_version FROM ansel_app")
    op.execute("REVOKE USAGE ON SCHEMA public FROM ansel_app, ansel_definer")
