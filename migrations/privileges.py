"""Privileges: the one list of verbs per table and role. Tests compare it with the database in both directions.

Each Lambda function logs in with a role of its own that may do only what its statements need. The callers of each
cross-tenant function are in the header of its file in chalicelib/data/system.
"""

API = "ansel_api"
TICK = "ansel_tick"
"""It uses no tables, only cross-tenant functions."""
SYNC = "ansel_sync"
MAINTENANCE = "ansel_maintenance"
"""Like the tick."""
ADMIN = "ansel_admin"
LOGINS = (API, TICK, SYNC, MAINTENANCE, ADMIN)
DEFINER = "ansel_definer"
"""Owns the cross-tenant functions; it cannot log in."""
ROLES = (*LOGINS, DEFINER)

CONNECTION_SHARES = {API: 50, SYNC: 25}
"""Per cent of the server's `max_connections` that a role may have open: a function with many containers leaves some to
the others. A share, because the number fits every size of a stage, also after the instance has changed."""
CONNECTION_LIMITS = {TICK: 4, MAINTENANCE: 4, ADMIN: 6}
"""Of functions that run once or three times at once: twice as many, as containers of two releases overlap."""

READ = "SELECT"
ERASE = "SELECT, DELETE"
"""The privileges that erasing a studio needs."""

TABLES: dict[str, dict[str, str]] = {
    "studio": {
        API: READ,
        SYNC: "SELECT, UPDATE (address_key)",
        ADMIN: "SELECT, INSERT, UPDATE (address_key), DELETE",
        DEFINER: "SELECT (id, name, time_zone, created_at)",
    },
    "api_key": {
        ADMIN: "SELECT, INSERT, UPDATE, DELETE",
        DEFINER: "SELECT (id, studio_id, secret_hash, scopes, expires_at, revoked_at)",
    },
    "data_key": {
        API: READ,
        SYNC: READ,
        ADMIN: "SELECT, INSERT, UPDATE, DELETE",
        DEFINER: "SELECT (id, studio_id, created_at, retired_at, wrapped_under)",
    },
    "idempotency_key": {
        API: "SELECT, INSERT, UPDATE, DELETE",
        ADMIN: ERASE,
        DEFINER: "SELECT (ctid, started_at), UPDATE (started_at), DELETE",
    },
    "quarantine": {ADMIN: "SELECT, INSERT, UPDATE, DELETE", DEFINER: READ},
    "audit_entry": {
        API: "SELECT, INSERT",
        SYNC: "INSERT",
        ADMIN: "INSERT",
        DEFINER: "SELECT (id, studio_id, subject_id, detail), UPDATE (detail), DELETE",
    },
    "oauth_state": {
        API: "SELECT, INSERT, DELETE",
        ADMIN: "SELECT, UPDATE, DELETE",
        DEFINER: (
            "SELECT (id, studio_id, platform, connection_id, state_hash, verifier, streams, return_to, expires_at, used_at), "
            "UPDATE (verifier, used_at)"
        ),
    },
    "pending_grant": {
        API: "SELECT, INSERT, DELETE",
        SYNC: ERASE,
        ADMIN: "SELECT, UPDATE, DELETE",
        DEFINER: (
            "SELECT (id, studio_id, platform, code_hash, external_account_id, created_at, expires_at, due_at, "
            "attempts), UPDATE (code_hash, due_at, attempts), DELETE"
        ),
    },
    "platform_connection": {
        API: "SELECT, INSERT, UPDATE",
        SYNC: "SELECT, UPDATE",
        ADMIN: "SELECT, UPDATE, DELETE",
        DEFINER: (
            "SELECT (id, studio_id, platform, status, status_since, external_account_id, disconnected_at, "
            "refresh_at), UPDATE (refresh_at)"
        ),
    },
    "connected_account": {
        API: "SELECT, UPDATE",
        SYNC: "SELECT, INSERT, UPDATE, DELETE",
        ADMIN: "SELECT, UPDATE, DELETE",
    },
    "connection_event": {
        API: "SELECT, INSERT",
        SYNC: "SELECT, INSERT",
        ADMIN: "SELECT, INSERT, DELETE",
        DEFINER: "SELECT (id), UPDATE (id), DELETE",
    },
    "webhook_endpoint": {API: "SELECT, INSERT, DELETE", SYNC: "SELECT, UPDATE", ADMIN: "SELECT, UPDATE, DELETE"},
    "webhook_delivery": {
        API: "SELECT, INSERT, UPDATE, DELETE",
        SYNC: "SELECT, INSERT, UPDATE",
        ADMIN: "SELECT, INSERT, UPDATE, DELETE",
        DEFINER: "SELECT (id, studio_id, due_at), UPDATE (due_at), DELETE",
    },
    "account_quota": {
        API: "SELECT, INSERT, UPDATE",
        SYNC: "SELECT, INSERT, UPDATE",
        ADMIN: "SELECT, INSERT, UPDATE, DELETE",
        DEFINER: "SELECT (studio_id, connection_id, api, blocked_until)",
    },
    "studio_quota": {
        API: "SELECT, INSERT, UPDATE",
        SYNC: "SELECT, INSERT, UPDATE",
        ADMIN: "SELECT, INSERT, UPDATE, DELETE",
    },
    "sync_log": {
        API: "SELECT, INSERT, UPDATE",
        SYNC: "SELECT, UPDATE",
        ADMIN: "SELECT, UPDATE, DELETE",
        DEFINER: "SELECT, INSERT, UPDATE (resume_at, enqueue_at), DELETE",
    },
    "sync_schedule": {
        API: "SELECT, INSERT, UPDATE, DELETE",
        SYNC: "SELECT, UPDATE",
        ADMIN: "SELECT, UPDATE, DELETE",
        DEFINER: "SELECT, UPDATE (missed_windows, next_run_at)",
    },
    "account_position": {
        API: "SELECT, INSERT, UPDATE",
        SYNC: "SELECT, INSERT, UPDATE, DELETE",
        ADMIN: "SELECT, UPDATE, DELETE",
    },
    "sync_seen": {
        API: ERASE,
        SYNC: "SELECT, INSERT, DELETE",
        ADMIN: ERASE,
        DEFINER: "SELECT (ctid, run_id), UPDATE (run_id), DELETE",
    },
    "ad_campaign": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "ad_metric": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "ad_metric_restatement": {API: "SELECT, INSERT", SYNC: "INSERT", ADMIN: ERASE},
    "content": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "content_metric": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "review": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "review_restatement": {API: "SELECT, INSERT", SYNC: "INSERT", ADMIN: ERASE},
    "person": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "person_identity": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "conversation": {API: "SELECT, INSERT", SYNC: "SELECT, INSERT", ADMIN: ERASE},
    "thread": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "message": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "inquiry": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "lead_rule": {API: READ, SYNC: READ, ADMIN: ERASE},
    "booking": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE", ADMIN: ERASE},
    "attribution": {ADMIN: ERASE},
    "set_aside": {
        API: "SELECT, UPDATE, DELETE",
        SYNC: "SELECT, INSERT, UPDATE, DELETE",
        ADMIN: "SELECT, UPDATE, DELETE",
        DEFINER: "SELECT (id, last_seen_at), UPDATE (id), DELETE",
    },
    "skipped_record": {API: "SELECT, INSERT, UPDATE", SYNC: "SELECT, INSERT, UPDATE, DELETE", ADMIN: ERASE},
    "rate_limit": {
        API: "SELECT, INSERT, UPDATE",
        SYNC: "SELECT, INSERT, UPDATE",
        ADMIN: "SELECT, INSERT, UPDATE, DELETE",
        DEFINER: "SELECT, INSERT, UPDATE",
    },
    "platform_circuit": {API: READ, SYNC: READ, ADMIN: "SELECT, UPDATE", DEFINER: "SELECT, INSERT, UPDATE"},
    "app_quota": {API: READ, SYNC: READ, ADMIN: "SELECT, UPDATE", DEFINER: "SELECT, INSERT, UPDATE"},
    "data_deletion": {API: "SELECT, INSERT, UPDATE (connections, done_at)", DEFINER: "SELECT (id, done_at), DELETE"},
    "studio_erasure": {ADMIN: "SELECT, INSERT, UPDATE"},
    "tenant_key": {DEFINER: READ},
    "alembic_version": {API: READ},
}
"""Verbs by role and table, as GRANT takes them. Locking rows requires UPDATE on any one of their columns."""
