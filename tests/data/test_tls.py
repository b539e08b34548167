"""Verified TLS: which servers the product connects to, and which it rejects."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.data.postgres import connect as connect_module
from chalicelib.data.postgres.connect import connect
from chalicelib.data.postgres.database import close_pool, read
from chalicelib.data.postgres.driver import sqlstate
from chalicelib.data.studios import NEW_ID
from chalicelib.errors import SettingsError, Unavailable
from chalicelib.secret import Secret
from chalicelib.settings import DatabaseLogin, get_settings
from tests.conftest import Database
from tests.data.relay import HOST, Relay
from tests.data.tls import Authority


@pytest.fixture(autouse=True)
def fresh_contexts() -> Iterator[None]:
    connect_module._tls_context.cache_clear()
    yield
    connect_module._tls_context.cache_clear()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def login(database: Database, port: int, authorities: Path, host: str = HOST) -> DatabaseLogin:
    user = f"ansel_joint:{database.passwords['ansel_joint']}"
    url = f"postgresql://{user}@{host}:{port}/{database.name}?sslmode=verify-full&sslrootcert={authorities}"
    return DatabaseLogin(url=Secret(url), stage="prod")


def test_a_trusted_server_is_reached_over_tls(database: Database, authority: Authority) -> None:
    with Relay(database.port, authority.server(HOST)) as relay:
        connection = connect(login(database, relay.port, authority.file))
        assert connection.pipeline("SELECT 1") == [[1]]
        assert connection._usock.version() in ("TLSv1.2", "TLSv1.3")
        assert not connection.closed_by_server
        connection.close()


@pytest.mark.parametrize(
    ("host", "days", "reason"),
    [
        ("localhost", 30, "IP address mismatch"),
        (HOST, -1, "certificate has expired"),
    ],
    ids=["another host's", "expired"],
)
def test_an_invalid_certificate_is_rejected_with_the_reason(
    database: Database, authority: Authority, host: str, days: int, reason: str
) -> None:
    with Relay(database.port, authority.server(host, days=days)) as relay:
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            connect(login(database, relay.port, authority.file))


def test_an_untrusted_server_is_unavailable_and_gets_no_password(
    clean_database: Database, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority(tmp_path, "Another authority")
    with Relay(clean_database.port, authority.server(HOST)) as relay:
        monkeypatch.setenv("DATABASE_URL", login(clean_database, relay.port, other.file).url.reveal())
        get_settings.cache_clear()
        close_pool()
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED") as caught:
            read(None, NEW_ID)
        assert clean_database.passwords["ansel_joint"] not in str(caught.value)
        monkeypatch.undo()
        get_settings.cache_clear()
        close_pool()


def test_a_tls_only_server_rejects_plain_connections(database: Database, authority: Authority) -> None:
    with Relay(database.port, authority.server(HOST)) as relay:
        clear = database.url("ansel_joint").replace(f":{database.port}/", f":{relay.port}/")
        with pytest.raises(Exception, match="no encryption") as caught:
            connect(DatabaseLogin(url=Secret(clear), stage="local"))
        assert sqlstate(caught.value) == "28000"


@pytest.mark.parametrize("content", [None, "nothing of a certificate"], ids=["missing", "empty"])
def test_an_unreadable_file_of_authorities_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "authorities.pem"
    if content:
        file.write_text(content)
    with pytest.raises(SettingsError, match=r"sslrootcert.*authorities\.pem"):
        connect(DatabaseLogin(url=Secret(f"postgresql://u:p@{HOST}:1/d?sslrootcert={file}"), stage="prod"))


def test_the_certificate_authorities_are_read_once(database: Database, authority: Authority) -> None:
    with Relay(database.port, authority.server(HOST)) as relay:
        wanted = login(database, relay.port, authority.file)
        connect(wanted).close()
        authority.file.unlink()
        connect(wanted).close()
        assert relay.taken == 2


def test_a_wrong_password_differs_from_a_wrong_certificate(database: Database, authority: Authority) -> None:
    with Relay(database.port, authority.server(HOST)) as relay:
        wrong = login(database, relay.port, authority.file).url.reveal()
        url = wrong.replace(database.passwords["ansel_joint"], "wrong-canary")
        with pytest.raises(DatabaseError) as caught:
            connect(DatabaseLogin(url=Secret(url), stage="prod"))
    assert sqlstate(caught.value) == "28P01"
    assert "canary" not in str(caught.value)
