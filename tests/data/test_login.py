"""Logging in: with IAM tokens, and with a user and password from Secrets Manager that rotate meanwhile."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pg8000.native
import pytest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib import clock, logs
from chalicelib.data.postgres import connect as connect_module
from chalicelib.data.postgres.connect import connect
from chalicelib.data.postgres.database import close_pool, read
from chalicelib.data.postgres.driver import sqlstate
from chalicelib.data.postgres.iam_auth import make_token
from chalicelib.data.postgres.query import Query
from chalicelib.errors import SettingsError, Unavailable
from chalicelib.secret import Secret
from chalicelib.secret_store import forget_secrets
from chalicelib.settings import AwsIdentity, DatabaseLogin, get_settings
from tests.conftest import NOON, Database
from tests.data.relay import HOST, Relay
from tests.data.tls import Authority

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
IDENTITY = AwsIdentity(
    region="eu-central-1",
    access_key_id="ASIAEXAMPLE",
    secret_access_key=Secret("key-canary"),
    session_token=Secret("token-canary=/"),
)
CURRENT_USER: Query[str] = Query("SELECT to_json(current_user::text)", str)


@cache
def botocores() -> Any:
    return boto3.client("rds", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")


@given(
    host=st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){1,4}", fullmatch=True),
    port=st.integers(1, 65535).filter(lambda port: port != 443),  # botocore leaves HTTPS's own port unsigned
    user=NAMES,
    key_id=st.from_regex(r"[A-Z0-9]{16,20}", fullmatch=True),
    key=NAMES,
    session_token=st.none() | NAMES,
    at=st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001  hypothesis wants them without a zone
)
def test_a_token_equals_botocores(
    host: str, port: int, user: str, key_id: str, key: str, session_token: str | None, at: datetime
) -> None:
    client = botocores()
    client._request_signer._credentials = Credentials(key_id, key, session_token)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: at)
        expected = client.generate_db_auth_token(host, port, user)
    identity = AwsIdentity(
        region="eu-west-1",
        access_key_id=key_id,
        secret_access_key=Secret(key),
        session_token=Secret(session_token) if session_token else None,
    )
    ours = make_token(identity, host=host, port=port, user=user, at=at.replace(tzinfo=UTC)).reveal()
    assert sorted(re.split("[?&]", ours)) == sorted(re.split("[?&]", expected))  # the order is not signed


class Role:
    """The test's own role, so that its password can be changed."""

    def __init__(self, name: str, superuser: pg8000.native.Connection) -> None:
        self.name = name
        self._superuser = superuser

    def take(self, password: str) -> None:
        self._superuser.run(f"ALTER ROLE {self.name} LOGIN PASSWORD {pg8000.native.literal(password)}")


@pytest.fixture
def role(superuser: pg8000.native.Connection, database: Database) -> Iterator[Role]:
    name = f"visitor_{database.name}"
    superuser.run(f"CREATE ROLE {name}; GRANT CONNECT ON DATABASE {database.name} TO {name}")
    yield Role(name, superuser)
    superuser.run(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_role_logs_in_with_a_token(role: Role, database: Database, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    connect_module._tls_context.cache_clear()
    with Relay(database.port, authority.server(HOST)) as relay:
        url = f"postgresql://{role.name}@{HOST}:{relay.port}/{database.name}?sslrootcert={authority.file}"
        login = DatabaseLogin(url=Secret(url), stage="prod", auth="iam", identity=IDENTITY)
        role.take(make_token(IDENTITY, host=HOST, port=relay.port, user=role.name, at=NOON).reveal())
        with clock.at(NOON):
            connection = connect(login)
        assert connection.pipeline("SELECT current_user::text") == [[role.name]]
        connection.close()
        role.take("another")
        with pytest.raises(DatabaseError) as caught:
            connect(login)
    assert sqlstate(caught.value) == "28P01"
    assert "canary" not in str(caught.value)
    connect_module._tls_context.cache_clear()


@pytest.mark.parametrize("stage", ["local", "test", "prod"])
def test_a_token_is_only_sent_over_verified_tls(stage: str) -> None:
    login = DatabaseLogin(url=Secret("postgresql://u@127.0.0.1:1/d?sslmode=disable"), stage=stage, auth="iam")
    with pytest.raises(SettingsError, match="sslmode"):
        connect(login)


def test_credentials_outside_the_environment_are_found_by_botocore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    profile = tmp_path / "credentials"
    profile.write_text("[default]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = of-the-profile\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    identity = connect_module._find_identity()
    assert (identity.region, identity.access_key_id, identity.secret_access_key.reveal()) == (
        "eu-north-1",
        "AKIAPROFILE",
        "of-the-profile",
    )


class StoredSecret:
    """This test's own secret in the local Secrets Manager."""

    def __init__(self, **fields: object) -> None:
        self._client = boto3.client("secretsmanager", region_name="eu-central-1")
        secret = self._client.create_secret(Name=f"ansel-{uuid4()}", SecretString=json.dumps(fields))
        self.arn = secret["ARN"]

    def put(self, **fields: object) -> None:
        self._client.put_secret_value(SecretId=self.arn, SecretString=json.dumps(fields))


@pytest.fixture
def stored(local_aws: Any, role: Role) -> Iterator[StoredSecret]:
    """A secret with the role's login, in the format of RDS."""
    forget_secrets()
    role.take("first-canary")
    yield StoredSecret(username=role.name, password="first-canary", engine="postgres", port=5432)
    forget_secrets()


@pytest.fixture
def by_secret(stored: StoredSecret, database: Database) -> DatabaseLogin:
    url = f"postgresql://{HOST}:{database.port}/{database.name}"
    return DatabaseLogin(url=Secret(url), stage="local", auth="secret", secret_arn=stored.arn)


def who(login: DatabaseLogin) -> str:
    connection = connect(login)
    try:
        return str(connection.pipeline("SELECT current_user::text")[0][0])
    finally:
        connection.close()


def test_a_failed_login_notices_a_rotated_password(by_secret: DatabaseLogin, stored: StoredSecret, role: Role) -> None:
    assert who(by_secret) == role.name
    role.take("second-canary")
    stored.put(username=role.name, password="second-canary")
    assert who(by_secret) == role.name


def test_a_password_that_stays_wrong_is_not_retried(by_secret: DatabaseLogin, role: Role, database: Database) -> None:
    role.take("another")
    with Relay(database.port) as relay:
        url = by_secret.url.reveal().replace(f":{database.port}/", f":{relay.port}/")
        login = DatabaseLogin(url=Secret(url), stage="local", auth="secret", secret_arn=by_secret.secret_arn)
        with pytest.raises((DatabaseError, InterfaceError)) as caught:
            connect(login)
        assert relay.taken == 1
    assert sqlstate(caught.value) == "28P01"
    assert "canary" not in f"{caught.value!r} {login!r}"


def test_a_request_survives_a_rotation(
    by_secret: DatabaseLogin,
    stored: StoredSecret,
    role: Role,
    clean_database: Database,
    superuser: pg8000.native.Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The pooled connection dies, the cached password is outdated, and the request succeeds."""
    logs.configure()
    monkeypatch.setenv("DATABASE_URL", by_secret.url.reveal())
    monkeypatch.setenv("DATABASE_AUTH", "secret")
    monkeypatch.setenv("DATABASE_SECRET_ARN", stored.arn)
    get_settings.cache_clear()
    close_pool()
    assert read(None, CURRENT_USER) == role.name
    role.take("second-canary")
    stored.put(username=role.name, password="second-canary")
    superuser.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = :name", name=role.name)
    assert read(None, CURRENT_USER) == role.name
    role.take("unknown to anybody")
    close_pool()
    with pytest.raises(Unavailable, match="28P01"):
        read(None, CURRENT_USER)
    close_pool()
    get_settings.cache_clear()
    assert "canary" not in capsys.readouterr().out


def test_a_secret_without_a_login_is_named(by_secret: DatabaseLogin, stored: StoredSecret) -> None:
    stored.put(user="canary", pass_word="canary")
    with pytest.raises(SettingsError, match="username and password") as caught:
        connect(by_secret)
    assert "canary" not in str(caught.value)
