"""Connections of the product's own driver, direct or through a proxy, and two studios: victim and attacker."""

from collections.abc import Iterator

import pg8000.native
import pytest

from chalicelib.data.postgres.connect import connect
from chalicelib.data.postgres.driver import PgConnection
from chalicelib.secret import Secret
from chalicelib.settings import DatabaseLogin
from dev.postgres import JOINT
from tests.conftest import Database
from tests.data.attack import INTRUDER, VICTIM
from tests.data.proxy import Proxy
from tests.data.rows import TENANT_TABLES, Rows, fill


@pytest.fixture
def connection(database: Database) -> Iterator[PgConnection]:
    """The driver, logged in as the application."""
    connection = connect(DatabaseLogin(url=Secret(database.url("ansel_joint")), stage="local"))
    yield connection
    connection.close()


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    with Proxy(database.port) as proxy:
        yield proxy


@pytest.fixture
def proxied(database: Database, proxy: Proxy) -> Iterator[PgConnection]:
    """The driver, with a proxy between it and the server."""
    url = database.url("ansel_joint").replace(f":{database.port}/", f":{proxy.port}/")
    connection = connect(DatabaseLogin(url=Secret(url), stage="local"))
    yield connection
    connection.close()


@pytest.fixture
def beside(database: Database) -> Iterator[pg8000.native.Connection]:
    """A superuser's session besides the product's."""
    connection = database.connect()
    yield connection
    connection.close()


@pytest.fixture
def victim(clean_database: Database, superuser: pg8000.native.Connection) -> Rows:
    """A studio with a row in each table, besides another one that attacks them."""
    fill(superuser, INTRUDER, "intruder")
    return fill(superuser, VICTIM, "victim")


@pytest.fixture
def every_privilege(superuser: pg8000.native.Connection) -> Iterator[None]:
    """The joint role has every privilege on every tenant table."""
    privileges = f"ALL ON {', '.join(table.name for table in TENANT_TABLES)}"
    superuser.run(f"GRANT {privileges} TO {JOINT}")
    yield
    superuser.run(f"REVOKE {privileges} FROM {JOINT}")
