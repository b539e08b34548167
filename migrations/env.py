"""Runs migrations as the schema's owner, with lock and statement timeouts so that a live system is never blocked."""

import os
from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.pool import NullPool

from chalicelib.data.models import Base
from chalicelib.data.postgres.connect import connect
from chalicelib.data.postgres.driver import PgConnection
from chalicelib.errors import Conflict
from chalicelib.services.operations.tenant_keys import apply_keys
from chalicelib.settings import DatabaseLogin
from migrations.privileges import CONNECTION_LIMITS, CONNECTION_SHARES

TIMEOUTS = {"lock_timeout": "5s", "statement_timeout": "10min"}
"""To override one: `alembic -x lock_timeout=1s upgrade head`."""


def connect_as_owner() -> PgConnection:
    """Connects as the product does (docs/database.md), so over verified TLS unless ANSEL_STAGE is local or test. The
    socket has no timeout."""
    if not os.environ.get("MIGRATION_DATABASE_URL"):
        raise SystemExit("MIGRATION_DATABASE_URL is not set: postgresql://owner:password@host:port/database")
    stage = os.environ.get("ANSEL_STAGE", "prod")
    return connect(DatabaseLogin.from_environ(os.environ, stage, prefix="MIGRATION_"), silence=None)


def end_transaction(connection: Connection, options: dict[str, Any]) -> None:
    """Before autocommit: Alembic has queried the isolation level, and with pg8000 that opened a transaction."""
    if options.get("isolation_level") == "AUTOCOMMIT":
        connection.connection.commit()


def take_turn(connection: Connection) -> None:
    """One migration at a time; the lock ends with the session. A second one fails instead of waiting: an index that is
    built CONCURRENTLY would in turn wait for it.
    """
    if not connection.execute(text("SELECT pg_try_advisory_lock(hashtext('ansel.migration'))")).scalar():
        raise Conflict("Another migration is in progress", code="locked")
    connection.commit()


def make_keys_known(connection: Connection) -> None:
    """Registers the current keys for tenant proofs: a restored database may only have others."""
    if connection.execute(text("SELECT to_regclass('public.tenant_key')")).scalar():
        apply_keys(connection.connection.dbapi_connection, only_these=False)  # type: ignore[arg-type]
        connection.commit()


LIMIT_CONNECTIONS = """
    DO $$ BEGIN
        IF EXISTS (
            SELECT FROM pg_roles
            WHERE rolname = '{role}' AND rolconnlimit <> ({limit}) AND pg_has_role(oid, 'MEMBER WITH ADMIN OPTION')
        ) THEN
            EXECUTE format('ALTER ROLE {role} CONNECTION LIMIT %s', {limit});
        END IF;
    END $$
"""
"""Changes nothing if it is right already, or if somebody else created the role and may alone change it."""


def limit_connections(connection: Connection) -> None:
    """Roles belong to the server and its size to the stage, so this is no revision but done after each migration."""
    shares = {
        role: f"current_setting('max_connections')::int * {share} / 100" for role, share in CONNECTION_SHARES.items()
    }
    for role, limit in (shares | {role: str(number) for role, number in CONNECTION_LIMITS.items()}).items():
        connection.execute(text(LIMIT_CONNECTIONS.format(role=role, limit=limit)))
    connection.commit()


def run() -> None:
    engine = create_engine("postgresql+pg8000://", creator=connect_as_owner, poolclass=NullPool)
    event.listen(engine, "set_connection_execution_options", end_transaction)
    with engine.connect() as connection:
        for name, value in {**TIMEOUTS, **context.get_x_argument(as_dictionary=True)}.items():
            connection.execute(text("SELECT set_config(:name, :value, false)"), {"name": name, "value": value})
        connection.commit()
        context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
        if not context.get_context().opts.get("dont_mutate"):
            take_turn(connection)
        with context.begin_transaction():
            context.run_migrations()
        if not context.get_context().opts.get("dont_mutate"):
            make_keys_known(connection)
            limit_connections(connection)


run()
