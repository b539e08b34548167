"""The PostgreSQL that everything is measured on: embedded, migrated, created for this run and deleted afterwards."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pg8000.native
from alembic import command
from alembic.config import Config

from chalicelib.data.postgres.database import close_pool
from chalicelib.services.studios import create_studio
from chalicelib.settings import get_settings
from dev.postgres import Postgres, Urls, bootstrap

ROOT = Path(__file__).parent.parent
UNLIMITED = dict.fromkeys(
    ("KEY_REQUESTS_PER_SECOND", "KEY_REQUEST_BURST", "STUDIO_REQUESTS_PER_SECOND", "STUDIO_REQUEST_BURST"), "100000"
)
"""Subjects send as fast as they can; the subject `limits` measures what limits do."""


@dataclass(frozen=True)
class Server:
    urls: Urls
    postgres: Postgres

    @property
    def port(self) -> int:
        return self.postgres.port

    def connect(self, url: str) -> pg8000.native.Connection:
        """Plain pg8000, as `url` says."""
        parts = urlsplit(url)
        return pg8000.native.Connection(
            parts.username,
            host=parts.hostname,
            port=parts.port,
            database=parts.path.lstrip("/"),
            password=parts.password,
        )

    def new_studio(self) -> UUID:
        return create_studio("Benchmark")

    def new_database(self, name: str) -> Urls:
        """A second database, migrated."""
        urls = bootstrap(self.postgres, name, joint=True)
        migrate(urls)
        return urls


@contextmanager
def running() -> Iterator[Server]:
    """Without fsync: this machine's disk is not what is measured."""
    folder = Path(tempfile.mkdtemp(prefix="ansel-bench-"))
    folder.chmod(0o755)
    try:
        with Postgres(folder / "data", durable=False) as postgres:
            urls = bootstrap(postgres, joint=True)
            os.environ.update(ANSEL_STAGE="local", ENCRYPTION_KEY="5e" * 32, TENANT_PROOF_KEYS="7e" * 32, **UNLIMITED)
            migrate(urls)
            lead_product_to(urls.joint)
            yield Server(urls, postgres)
            close_pool()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def migrate(urls: Urls) -> None:
    os.environ["MIGRATION_DATABASE_URL"] = urls.owner
    command.upgrade(Config(ROOT / "alembic.ini"), "head")


def lead_product_to(url: str) -> None:
    """Makes the product connect to this database from here on."""
    configure(DATABASE_URL=url)


def configure(**environ: str) -> None:
    """Sets these variables in the product's environment from here on."""
    os.environ.update(environ)
    get_settings.cache_clear()
    close_pool()
