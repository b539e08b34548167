"""Connecting to the server: settings that are rejected beforehand, and the errors of an unreachable server."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from traceback import format_exception

import pg8000.native
import pytest

from chalicelib.data.postgres import connect as connect_module
from chalicelib.data.postgres.connect import connect
from chalicelib.data.postgres.database import close_pool, read
from chalicelib.data.studios import NEW_ID
from chalicelib.errors import SettingsError, Unavailable
from chalicelib.secret import Secret
from chalicelib.settings import DatabaseLogin, get_settings
from tests.conftest import Database

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def fresh_pool(clean_database: Database) -> Iterator[None]:
    """Each test starts without pooled connections and settings, and leaves none behind."""
    close_pool()
    yield
    close_pool()
    get_settings.cache_clear()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ansel_joint:x@127.0.0.1:1/ansel",
        "{good}_missing",
        "postgresql://ansel_joint:wrong@127.0.0.1:{port}/{name}",
    ],
    ids=["nobody listens", "no such database", "wrong password"],
)
def test_an_unreachable_database_is_unavailable(
    url: str, clean_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = clean_database.url("ansel_joint")
    monkeypatch.setenv("DATABASE_URL", url.format(good=good, port=clean_database.port, name=clean_database.name))
    get_settings.cache_clear()
    with pytest.raises(Unavailable) as caught:
        read(None, NEW_ID)
    assert "127.0.0.1" not in caught.value.message


def test_a_server_with_no_free_connections_is_unavailable(
    superuser: pg8000.native.Connection, clean_database: Database
) -> None:
    superuser.run(f"ALTER DATABASE {clean_database.name} CONNECTION LIMIT 0")
    try:
        with pytest.raises(Unavailable, match="53300"):
            read(None, NEW_ID)
    finally:
        superuser.run(f"ALTER DATABASE {clean_database.name} CONNECTION LIMIT -1")
    assert read(None, NEW_ID).id.version == 7


@pytest.mark.parametrize("url", ["mysql://a:b@h/d", "postgresql://127.0.0.1/d", "ansel", ""])
def test_an_invalid_url_is_rejected_by_the_variables_name(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        connect(local(url))


@pytest.mark.parametrize("rest", ["\u2100@h/d", "[@h/d", "@h:99999/d", "/@h/d", "#@h/d"])
@pytest.mark.parametrize("auth", ["password", "secret", "iam"])
def test_an_unreadable_url_is_reported_without_its_content(rest: str, auth: str) -> None:
    url, arn = f"postgresql://u:1canary{rest}", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:none"
    with pytest.raises(SettingsError) as caught:
        connect(DatabaseLogin(url=Secret(url), stage="local", auth=auth, secret_arn=arn))
    assert "canary" not in "".join(format_exception(caught.value))


def test_a_password_may_contain_any_character(superuser: pg8000.native.Connection, clean_database: Database) -> None:
    role = f"odd_{clean_database.name}"
    superuser.run(f"CREATE ROLE {role} LOGIN PASSWORD 'p@ss/w:rd%?#\u00e4'")
    try:
        password = "p%40ss%2Fw%3Ard%25%3F%23%C3%A4"
        connect(local(f"postgresql://{role}:{password}@127.0.0.1:{clean_database.port}/postgres")).close()
    finally:
        superuser.run(f"DROP ROLE {role}")


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", ""])
def test_outside_the_local_stages_only_verified_tls_is_accepted(stage: str, mode: str) -> None:
    with pytest.raises(SettingsError, match="sslmode"):
        connect(DatabaseLogin(url=Secret(f"postgresql://u:p@127.0.0.1:1/d?sslmode={mode or 'none'}"), stage=stage))


@pytest.mark.parametrize("mode", ["allow", "prefer", "require", "verify-ca"])
def test_unverified_tls_is_rejected_in_the_local_stages_too(mode: str) -> None:
    with pytest.raises(SettingsError, match="sslmode"):
        connect(local(f"postgresql://u:p@127.0.0.1:1/d?sslmode={mode}"))


@pytest.mark.parametrize("query", ["", "?sslmode=verify-full"])
def test_deployed_functions_verify_host_and_certificate(query: str) -> None:
    context = connect_module._tls({"sslmode": "verify-full"} if query else {}, may_be_clear=False)
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_server_without_tls_is_unavailable(clean_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", clean_database.url("ansel_joint") + "?sslmode=verify-full")
    get_settings.cache_clear()
    with pytest.raises(Unavailable, match="SSL"):
        read(None, NEW_ID)


def local(url: str) -> DatabaseLogin:
    return DatabaseLogin(url=Secret(url), stage="local")


def test_a_statement_times_out_before_the_request_does() -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    assert int(connect_module.SESSION["statement_timeout"]) + 3_000 < config["lambda_timeout"] * 1000


@pytest.mark.parametrize("silence", [connect_module.SILENCE_SECONDS, None])
def test_a_connection_waits_longer_for_statements_than_for_connecting(
    silence: float | None, clean_database: Database
) -> None:
    connection = connect(local(clean_database.url("ansel_joint")), silence=silence)
    assert connection._usock.gettimeout() == silence
    connection.close()
