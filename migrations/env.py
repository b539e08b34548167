"""Runs migrations as the owner of the schema, with lock and statement timeouts so that a live system is never held up."""

import os
from urllib.parse import urlsplit, urlunsplit

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from chalicelib.data.models import Base

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"


def owner_url() -> str:
    url = os.environ.get("MIGRATION_DATABASE_URL", "")
    if not url:
        raise SystemExit("MIGRATION_DATABASE_URL is not set: postgresql://owner:password@host:port/database")
    return urlunsplit(urlsplit(url)._replace(scheme="postgresql+pg8000"))


def run() -> None:
    engine = create_engine(owner_url(), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.commit()
        context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


run()
