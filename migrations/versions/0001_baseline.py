"""The schema of the first release: roles, tables, row-level security and cross-tenant functions."""

from pathlib import Path

from alembic import op

from migrations.privileges import ADMIN, API, DEFINER, LOGINS, ROLES, SYNC
from migrations.steps import apply_function, grant_listed, isolate

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FILES = Path(__file__).parents[1] / "baseline"
TABLES = ("studios", "connections", "sync", "marketing", "leads", "clients", "left_out", "limits")
"""The files that create the tables, one per subject, referenced tables first."""
SHARED = ("app_quota", "data_deletion", "platform_circuit", "studio_erasure", "tenant_key")
"""Tables without data of any studio."""
TENANT_TABLES = (
    *("studio", "api_key", "data_key", "idempotency_key", "quarantine", "audit_entry"),
    *("platform_connection", "oauth_state", "pending_grant", "connected_account", "connection_event"),
    *("webhook_endpoint", "webhook_delivery"),
    *("studio_quota", "account_quota", "sync_log", "sync_schedule", "sync_seen", "account_position"),
    *("ad_campaign", "ad_metric", "ad_metric_restatement", "content", "content_metric", "review", "review_restatement"),
    *("person", "person_identity", "conversation", "thread", "message", "inquiry", "lead_rule"),
    *("booking", "attribution"),
    *("set_aside", "skipped_record", "rate_limit"),
)
FUNCTIONS = dict.fromkeys(
    (
        *("find_api_key", "charge_api_key", "take_oauth_state"),
        *("claim_due_schedules", "start_scheduled_runs", "enqueue_lost_runs"),
        *("claim_due_refreshes", "claim_expired_grants", "claim_due_deliveries"),
        *("find_account_connections", "end_account_grants", "grant_is_shared"),
        *("prune_runs", "prune_deliveries", "prune_events", "prune_set_aside", "prune_audit", "redact_audit"),
        *("forget_seen", "forget_idempotency_keys", "forget_pending_grants", "forget_data_deletions"),
        *("find_stuck_runs", "find_studios", "find_waits", "resume_deferred_runs"),
        *("trip_circuit", "probe_circuit", "close_circuit", "block_app", "spend_app_quota"),
        *("find_keys_to_rewrap", "find_studios_to_rekey", "find_quarantined", "find_key_counts"),
    ),
    1,
)
"""Versions by name, except for `current_studio`, which the policies call."""

# A managed server does not have our roles yet. If it has IAM authentication, as RDS does, they log in with it.
MAKE_LOGIN = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
            CREATE ROLE {role} LOGIN NOCREATEROLE NOCREATEDB;
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
            GRANT rds_iam TO {role};
        END IF;
    END $$
"""
MAKE_DEFINER = f"""
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{DEFINER}') THEN
            CREATE ROLE {DEFINER} NOLOGIN NOCREATEROLE NOCREATEDB;
            GRANT {DEFINER} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE;
        END IF;
    END $$
"""
IN_TABLES = f"{API}, {SYNC}, {ADMIN}, {DEFINER}"
"""The roles that use tables; the others only call functions."""


def upgrade() -> None:
    for role in LOGINS:
        op.execute(MAKE_LOGIN.format(role=role))
    op.execute(MAKE_DEFINER)
    op.execute("CREATE SCHEMA cross_tenant")
    op.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    # Foreign keys are checked as the tables' owner, who may not own the database, as after a restore.
    op.execute(f"GRANT USAGE ON SCHEMA public TO {IN_TABLES}, CURRENT_USER")
    op.execute(f"GRANT USAGE ON SCHEMA cross_tenant TO {', '.join(ROLES)}")
    for name in TABLES:
        op.execute((FILES / f"{name}.sql").read_text(encoding="utf-8"))
    op.execute(f"GRANT EXECUTE ON FUNCTION charged_bucket TO {IN_TABLES}")
    apply_function("current_studio", 1)
    for table in TENANT_TABLES:
        isolate(table, key="id" if table == "studio" else "studio_id")
    grant_listed(*TENANT_TABLES, *SHARED, "alembic_version")
    for name, version in FUNCTIONS.items():
        apply_function(name, version)


def downgrade() -> None:
    op.execute("DROP SCHEMA cross_tenant CASCADE")
    op.execute(f"DROP TABLE {', '.join((*TENANT_TABLES, *SHARED))}")
    op.execute("DROP FUNCTION charged_bucket")
    op.execute(f"REVOKE SELECT ON alembic_version FROM {API}")
    op.execute(f"REVOKE USAGE ON SCHEMA public FROM {IN_TABLES}, CURRENT_USER")
    op.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
