"""Connecting to Postgres: the address, the login, verified TLS, and the session's settings."""

import ssl
from functools import cache
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote

from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib import clock
from chalicelib.aws_requests import find_identity
from chalicelib.data.postgres.driver import PgConnection, sqlstate
from chalicelib.data.postgres.iam_auth import make_token
from chalicelib.errors import SettingsError
from chalicelib.secret import Secret
from chalicelib.secret_store import get_secret
from chalicelib.settings import AwsIdentity, DatabaseLogin
from chalicelib.urls import split_url

CONNECT_SECONDS = 10.0
"""For each step of connecting; a paused Aurora Serverless needs longer, and the next request finds it running."""
SILENCE_SECONDS = 60.0
"""The longest silence on the socket, above the maximum duration of a statement."""
LOGIN_REFUSED = ("28P01", "28000")
SESSION_REFUSED = ("0A000", "08P01")
"""RDS Proxy's "currently doesn't support the option", PgBouncer's "unsupported startup parameter"."""
SESSION = {
    "TimeZone": "UTC",
    "statement_timeout": "25000",  # less than the 29 seconds a request has, so it can still respond
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "60000",
}

_pooled: set[tuple[str, int]] = set()
"""Addresses of poolers that do not accept SESSION at startup."""


class Account(NamedTuple):
    user: str
    password: Secret | None


class Target(NamedTuple):
    host: str
    port: int
    database: str | None
    tls: ssl.SSLContext | None


def connect(login: DatabaseLogin, *, silence: float | None = SILENCE_SECONDS) -> PgConnection:
    """A new connection. A rejected password from Secrets Manager is read again once, because it may have been rotated.
    Raises SettingsError, or any error of the driver or the socket."""
    target, account = _target(login), _account(login)
    try:
        return _open(target, account, login, silence)
    except (InterfaceError, DatabaseError) as error:
        if login.auth != "secret" or sqlstate(error) not in LOGIN_REFUSED:
            raise
        rotated = _account(login, bypass_cache=True)
        if rotated == account:
            raise
    return _open(target, rotated, login, silence)


def _target(login: DatabaseLogin) -> Target:
    parts = _split(login)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return Target(
        parts.hostname or "localhost",
        parts.port or 5432,
        unquote(parts.path.lstrip("/")) or None,
        _tls(query, may_be_clear=login.stage in ("local", "test") and login.auth != "iam"),
    )


def _split(login: DatabaseLogin) -> SplitResult:
    expected = "DATABASE_URL must look like postgresql://user:password@host:port/database"
    parts = split_url(login.url.reveal())
    if parts is None or parts.scheme not in ("postgres", "postgresql"):
        raise SettingsError(expected)
    if not (parts.username or login.auth == "secret"):
        raise SettingsError(expected)
    return parts


def _tls(query: dict[str, str], *, may_be_clear: bool) -> ssl.SSLContext | None:
    mode = query.get("sslmode", "disable" if may_be_clear else "verify-full")
    if mode == "disable" and may_be_clear:
        return None
    if mode != "verify-full":
        raise SettingsError(
            "sslmode in DATABASE_URL must be verify-full (or disable, in the local and test stages and without iam)"
        )
    return _tls_context(query.get("sslrootcert"))


@cache
def _tls_context(authorities: str | None) -> ssl.SSLContext:
    """Created once: reading the system's certificate authorities takes longer than the rest of connecting."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise SettingsError(f"sslrootcert in DATABASE_URL, {authorities}, cannot be read: {error}") from error


def _account(login: DatabaseLogin, *, bypass_cache: bool = False) -> Account:
    parts = _split(login)
    user = unquote(parts.username or "")
    if login.auth == "secret":
        return _kept_account(login.secret_arn, bypass_cache=bypass_cache)
    if login.auth == "iam":
        identity = login.identity or _find_identity()
        host, port = parts.hostname or "localhost", parts.port or 5432
        return Account(user, make_token(identity, host=host, port=port, user=user, at=clock.now()))
    return Account(user, Secret(unquote(parts.password)) if parts.password else None)


def _kept_account(arn: str, *, bypass_cache: bool) -> Account:
    fields = get_secret(arn, bypass_cache=bypass_cache)
    if "username" not in fields or "password" not in fields:
        raise SettingsError(f"The secret {arn} has no username and password")
    return Account(fields["username"].reveal(), fields["password"])


def _find_identity() -> AwsIdentity:
    found = find_identity()
    if found is None or not found.region:
        raise SettingsError("DATABASE_AUTH=iam needs AWS credentials and AWS_REGION")
    return found


def _open(target: Target, account: Account, login: DatabaseLogin, silence: float | None) -> PgConnection:
    address = (target.host, target.port)
    if address not in _pooled:
        try:
            return _start(target, account, login, silence, with_session=True)
        except DatabaseError as error:
            if sqlstate(error) not in SESSION_REFUSED:
                raise
            _pooled.add(address)
    return _start(target, account, login, silence, with_session=False)


def _start(
    target: Target, account: Account, login: DatabaseLogin, silence: float | None, *, with_session: bool
) -> PgConnection:
    connection = PgConnection(
        account.user,
        host=target.host,
        port=target.port,
        database=target.database,
        password=account.password.reveal() if account.password else None,
        ssl_context=target.tls or False,
        application_name=login.application_name[:63],  # PostgreSQL's longest name
        startup_params=SESSION if with_session else {},
        timeout=CONNECT_SECONDS,
    )
    connection.has_session_settings = with_session
    connection.set_socket_timeout(silence)
    return connection
