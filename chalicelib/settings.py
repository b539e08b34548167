"""Typed settings; the only reader of the environment. Outside `local`, missing or unsafe settings prevent the start."""

import os
import re
from collections.abc import Mapping
from functools import cache

import msgspec

from chalicelib.aws_environment import ensure_not_redirected, ensure_queue_of_aws
from chalicelib.errors import SettingsError
from chalicelib.secret import Secret
from chalicelib.urls import split_url

STAGE_NAME = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){1,20}", re.ASCII)
"""Part of the names of functions, queues and a database proxy, of which the last allows no double or final hyphen."""
PLAIN_STAGES = ("local", "test")
"""Stages in which the product may use stand-ins for AWS and the platforms, and plain HTTP. All others are deployed."""
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
DEFAULT_RETENTION_DAYS = 400
DEFAULT_AUDIT_RETENTION_DAYS = 730
MAX_LIMIT = 100_000
OAUTH_PLATFORMS = ("google", "meta", "pinterest")
"""Platforms at which this product is registered as a client: {PLATFORM}_CLIENT_ID and {PLATFORM}_CLIENT_SECRET."""
KEYED_PLATFORMS = ("yelp",)
"""Platforms that we call with one key of ours for all studios: {PLATFORM}_API_KEY."""
DATABASE_AUTHS = ("password", "iam", "secret")

# Decryption compares keys by ARN, so an alias or a bare id would wrap data keys and never unwrap them:
# https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/configure.html#config-keys
_KEY_ARN = re.compile(r"arn:aws[\w-]*:kms:[\w-]+:\d{12}:key/[\w-]+", re.ASCII)
_PLAIN_URL = re.compile(r"[a-z]+://[a-z0-9.:\[\]-]+(/[\w.~-]+)*/?", re.ASCII)
_SECRET_ARN = re.compile(r"arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:[\w/+=.@!-]+", re.ASCII)
_PROOF_KEY = re.compile(r"[A-Za-z0-9_+/=-]{32,128}", re.ASCII)
_ENCRYPTION_KEY = re.compile(r"[0-9a-fA-F]{64}")


class OAuthClient(msgspec.Struct, frozen=True):
    """This product's registration at a platform. The current one of its live secrets comes first."""

    id: str
    secrets: tuple[Secret, ...]


class AwsIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials that sign requests to AWS. Lambda sets them in a container's environment, where they never
    change."""

    region: str
    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "AwsIdentity | None":
        """None if the credentials are not in the environment, but in a profile or at a URL."""
        key_id, secret = _optional(environ, "AWS_ACCESS_KEY_ID"), _optional(environ, "AWS_SECRET_ACCESS_KEY")
        region = _optional(environ, "AWS_REGION") or _optional(environ, "AWS_DEFAULT_REGION")
        if not (key_id and secret and region):
            return None
        token = _optional(environ, "AWS_SESSION_TOKEN")
        return cls(
            region=region,
            access_key_id=key_id,
            secret_access_key=Secret(secret),
            session_token=Secret(token) if token else None,
        )


class DatabaseLogin(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a database, the role to log in as, and the source of its password."""

    url: Secret
    """postgresql://user[:password]@host:port/database[?sslmode=verify-full&sslrootcert=path]"""
    stage: str
    """Outside `local` and `test` only verified TLS is allowed"""
    auth: str = "password"
    """`password` is in the URL, `iam` is a token for the URL's user, `secret` holds user and password"""
    secret_arn: str = ""
    identity: AwsIdentity | None = None
    """Signs an `iam` token"""
    application_name: str = "ansel"
    """The session's name in the server's lists: the function, whose name contains the stage"""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], stage: str, prefix: str = "") -> "DatabaseLogin":
        """By {prefix}DATABASE_URL, _AUTH and _SECRET_ARN. Raises SettingsError naming the variable."""
        auth = _optional(environ, f"{prefix}DATABASE_AUTH") or "password"
        if auth not in DATABASE_AUTHS:
            raise SettingsError(f"{prefix}DATABASE_AUTH must be one of {', '.join(DATABASE_AUTHS)}")
        arn = _secret_arn(environ, f"{prefix}DATABASE_SECRET_ARN", needed=auth == "secret")
        if arn and auth != "secret":
            raise SettingsError(f"{prefix}DATABASE_SECRET_ARN is for {prefix}DATABASE_AUTH=secret only")
        return cls(
            url=Secret(_required(environ, f"{prefix}DATABASE_URL")),
            stage=stage,
            auth=auth,
            secret_arn=arn,
            identity=AwsIdentity.from_environ(environ) if auth == "iam" else None,
            application_name=_optional(environ, "AWS_LAMBDA_FUNCTION_NAME") or "ansel",
        )


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Request limits of keys and studios. A variable's name is the field's in upper case."""

    key_requests_per_second: int = 20
    """Sustained rate"""
    key_request_burst: int = 100
    """Burst after a pause"""
    studio_requests_per_second: int = 60
    """For all its keys together, like the next one"""
    studio_request_burst: int = 300
    studio_platform_calls_per_minute: int = 6
    """Requests that call a platform synchronously: tests, look-ups, authorizations, revocations"""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Limits":
        fields = msgspec.structs.fields(cls)
        return cls(**{each.name: _number(environ, each.name.upper(), each.default, 1, MAX_LIMIT) for each in fields})


class TenantProof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof to the database of which studio a transaction is for. If it is missing, that is reported only when the
    first studio must be proved, because the migration to a release that needs it starts without one."""

    keys: tuple[Secret, ...] = ()
    """In `local` and `test`; the current one first"""
    secret_arn: str = ""
    """The secret that holds TENANT_PROOF_KEYS, in other stages"""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], stage: str) -> "TenantProof":
        """Raises SettingsError naming the variable."""
        arn, keys = _secret_arn(environ, "TENANT_PROOF_SECRET_ARN"), _optional(environ, "TENANT_PROOF_KEYS")
        may_be_plain = stage in ("local", "test")
        if keys and not may_be_plain:
            raise SettingsError("TENANT_PROOF_KEYS is for the local and test stages only")
        if keys and arn:
            raise SettingsError("TENANT_PROOF_KEYS and TENANT_PROOF_SECRET_ARN are mutually exclusive")
        return cls(keys=parse_proof_keys(keys) if keys else (), secret_arn=arn)


class BaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the delivery function has of the settings, and every other function too."""

    stage: str
    log_level: str = "INFO"

    @classmethod
    def base_from_environment(cls, environ: Mapping[str, str]) -> "BaseSettings":
        """Raises SettingsError naming the variable."""
        stage = environ.get("ANSEL_STAGE", "")
        if not STAGE_NAME.fullmatch(stage):
            raise SettingsError(
                f"ANSEL_STAGE must be {', '.join(PLAIN_STAGES)} or a deployed stage's name: {STAGE_NAME.pattern}"
            )
        if stage not in PLAIN_STAGES:
            ensure_not_redirected(environ, stage)
        return BaseSettings(stage=stage, log_level=_log_level(environ))

    @property
    def allows_loopback(self) -> bool:
        """Whether studios' URLs may lead to this machine."""
        return self.stage in PLAIN_STAGES


class Settings(BaseSettings, frozen=True, kw_only=True):
    """The settings in the environment. A variable's name is the field's in upper case, except `stage`: ANSEL_STAGE."""

    database: DatabaseLogin
    """The application role's login: DATABASE_URL, DATABASE_AUTH, DATABASE_SECRET_ARN"""
    kms_key_ids: tuple[str, ...] = ()
    """ARNs of the KMS keys that wrap data keys, comma-separated; the first one generates"""
    encryption_key: Secret | None = None
    """64 hex characters; wraps data keys without KMS, in the `local` stage only"""
    sync_queue_url: str = ""
    dead_letter_queue_url: str = ""
    """For messages that failed too often; only the admin function reads it"""
    platform_sandbox_url: str = ""
    """`local` and `test` only: platforms are called at {this}/{host}/{path}"""
    public_url: str = ""
    """The URL at which browsers and platforms reach this API, up to its `/api`. Without it only authorizations are
    refused, because it is unknown until the API was created"""
    return_urls: tuple[str, ...] = ()
    """Where a browser may be sent after an authorization: each an origin, or an origin and the start of a path"""
    oauth_clients: dict[str, OAuthClient] = msgspec.field(default_factory=dict)
    """By platform; platforms at which this product is not registered are absent"""
    platform_api_keys: dict[str, Secret] = msgspec.field(default_factory=dict)
    """By platform, like the OAuth clients"""
    platform_secrets_arn: str = ""
    """A secret that holds the variables of OAuth clients and platform keys instead of the environment"""
    tenant_proof: TenantProof = TenantProof()
    """TENANT_PROOF_KEYS or TENANT_PROOF_SECRET_ARN"""
    sync_log_retention_days: int = DEFAULT_RETENTION_DAYS
    """Ended runs are deleted after this many days, except the newest of each stream"""
    audit_retention_days: int = DEFAULT_AUDIT_RETENTION_DAYS
    limits: Limits = Limits()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises SettingsError naming the variable."""
        base = cls.base_from_environment(environ)
        stage, kms_key_ids = base.stage, _kms_key_ids(environ)
        return cls(
            stage=stage,
            database=DatabaseLogin.from_environ(environ, stage),
            kms_key_ids=kms_key_ids,
            encryption_key=_encryption_key(environ, stage, has_kms=bool(kms_key_ids)),
            sync_queue_url=_queue_url(environ, "SYNC_QUEUE_URL", stage, needed=stage != "local"),
            dead_letter_queue_url=_queue_url(environ, "DEAD_LETTER_QUEUE_URL", stage),
            platform_sandbox_url=_sandbox_url(environ, stage),
            public_url=_public_url(environ, stage),
            return_urls=_return_urls(environ, stage),
            oauth_clients=oauth_clients(environ),
            platform_api_keys=platform_api_keys(environ),
            platform_secrets_arn=_secret_arn(environ, "PLATFORM_SECRETS_ARN"),
            tenant_proof=TenantProof.from_environ(environ, stage),
            sync_log_retention_days=_number(environ, "SYNC_LOG_RETENTION_DAYS", DEFAULT_RETENTION_DAYS, 30, 3650),
            audit_retention_days=_number(environ, "AUDIT_RETENTION_DAYS", DEFAULT_AUDIT_RETENTION_DAYS, 365, 3650),
            limits=Limits.from_environ(environ),
            log_level=base.log_level,
        )


def _optional(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _required(environ: Mapping[str, str], name: str) -> str:
    value = _optional(environ, name)
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _secret_arn(environ: Mapping[str, str], name: str, *, needed: bool = False) -> str:
    arn = _required(environ, name) if needed else _optional(environ, name)
    if arn and not _SECRET_ARN.fullmatch(arn):
        raise SettingsError(f"{name} must be the ARN of a secret (arn:aws:secretsmanager:...:secret:...)")
    return arn


def _queue_url(environ: Mapping[str, str], name: str, stage: str, *, needed: bool = False) -> str:
    url = _required(environ, name) if needed else _optional(environ, name)
    if url and stage not in PLAIN_STAGES:
        ensure_queue_of_aws(name, url, stage)
    return url


def _kms_key_ids(environ: Mapping[str, str]) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in _optional(environ, "KMS_KEY_IDS").split(",") if key.strip())
    if not all(_KEY_ARN.fullmatch(key) for key in keys):
        raise SettingsError("KMS_KEY_IDS must be ARNs of keys (arn:aws:kms:...:key/...), comma-separated")
    return keys


def _encryption_key(environ: Mapping[str, str], stage: str, *, has_kms: bool) -> Secret | None:
    value = environ.get("ENCRYPTION_KEY", "")
    if stage != "local":
        if value:
            raise SettingsError(f"ENCRYPTION_KEY is for the local stage only; {stage} wraps under KMS_KEY_IDS")
        if not has_kms:
            raise SettingsError("KMS_KEY_IDS is not set")
        return None
    if value and has_kms:
        raise SettingsError("ENCRYPTION_KEY and KMS_KEY_IDS are mutually exclusive")
    if not value and not has_kms:
        raise SettingsError("ENCRYPTION_KEY is not set")
    if value and not _ENCRYPTION_KEY.fullmatch(value):
        raise SettingsError("ENCRYPTION_KEY must be 64 hexadecimal characters")
    return Secret(value) if value else None


def parse_proof_keys(text: str) -> tuple[Secret, ...]:
    """Raises SettingsError if there is none, or if one is too short for a key."""
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if not keys or not all(_PROOF_KEY.fullmatch(key) for key in keys):
        raise SettingsError("TENANT_PROOF_KEYS must be keys of 32 to 128 letters, digits, _+/=-, comma-separated")
    return tuple(Secret(key) for key in keys)


def _sandbox_url(environ: Mapping[str, str], stage: str) -> str:
    url = _optional(environ, "PLATFORM_SANDBOX_URL")
    if url and stage not in PLAIN_STAGES:
        raise SettingsError(f"PLATFORM_SANDBOX_URL is not allowed in {stage}")
    if url and not url.startswith(("http://", "https://")):
        raise SettingsError("PLATFORM_SANDBOX_URL must start with http:// or https://")
    return url.rstrip("/")


def oauth_clients(environ: Mapping[str, str]) -> dict[str, OAuthClient]:
    """The clients that the variables define, wherever these are stored. Raises SettingsError for an incomplete one."""
    clients = ((platform, _oauth_client(environ, platform.upper())) for platform in OAUTH_PLATFORMS)
    return {platform: client for platform, client in clients if client is not None}


def _oauth_client(environ: Mapping[str, str], prefix: str) -> OAuthClient | None:
    if not (_optional(environ, f"{prefix}_CLIENT_ID") or _optional(environ, f"{prefix}_CLIENT_SECRET")):
        return None
    values = _required(environ, f"{prefix}_CLIENT_SECRET").split(",")
    secrets = tuple(Secret(value.strip()) for value in values if value.strip())
    if not secrets:
        raise SettingsError(f"{prefix}_CLIENT_SECRET is not set")
    return OAuthClient(_required(environ, f"{prefix}_CLIENT_ID"), secrets)


def platform_api_keys(environ: Mapping[str, str]) -> dict[str, Secret]:
    keys = ((platform, _optional(environ, f"{platform.upper()}_API_KEY")) for platform in KEYED_PLATFORMS)
    return {platform: Secret(key) for platform, key in keys if key}


def _public_url(environ: Mapping[str, str], stage: str) -> str:
    url = _optional(environ, "PUBLIC_URL")
    return _plain_url("PUBLIC_URL", url, stage).rstrip("/") if url else ""


def _return_urls(environ: Mapping[str, str], stage: str) -> tuple[str, ...]:
    urls = (url.strip() for url in _optional(environ, "RETURN_URLS").split(","))
    return tuple(_plain_url("RETURN_URLS", url, stage) for url in urls if url)


def _plain_url(name: str, url: str, stage: str) -> str:
    """A URL with only scheme, host, port and path, spelled as a browser would; plain HTTP in `local` and `test`."""
    schemes = ("https", "http") if stage in PLAIN_STAGES else ("https",)
    parts = split_url(url)
    if parts is None or not _PLAIN_URL.fullmatch(url) or parts.scheme not in schemes or not parts.hostname:
        raise SettingsError(f"{name} must be {' or '.join(schemes)}://host[:port][/path], in lower case")
    return url


def _number(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    value = _optional(environ, name) or str(default)
    if not re.fullmatch(r"\d{1,6}", value, re.ASCII) or not least <= int(value) <= most:
        raise SettingsError(f"{name} must be a number from {least} to {most}")
    return int(value)


def _log_level(environ: Mapping[str, str]) -> str:
    level = _optional(environ, "LOG_LEVEL").upper() or "INFO"
    if level not in LOG_LEVELS:
        raise SettingsError(f"LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}")
    return level


def get_trace_header() -> str:
    """X-Ray's header of the current invocation, which Lambda's runtime client sets each time."""
    return os.environ.get("_X_AMZN_TRACE_ID", "")


def get_owner_login() -> DatabaseLogin:
    """The login of the schema's owner, for administration: MIGRATION_DATABASE_URL, _AUTH and _SECRET_ARN."""
    return DatabaseLogin.from_environ(os.environ, os.environ.get("ANSEL_STAGE", "prod"), prefix="MIGRATION_")


def get_tenant_proof() -> TenantProof:
    """For migrations, which need none of the other settings."""
    return TenantProof.from_environ(os.environ, os.environ.get("ANSEL_STAGE", "prod"))


def get_aws_identity() -> AwsIdentity | None:
    """The current values of the environment. None if the credentials are in a profile or at a URL."""
    return AwsIdentity.from_environ(os.environ)


def get_aws_endpoint(service_id: str) -> str:
    """A stand-in for an AWS service, from boto3's variable in the environment; empty for AWS itself."""
    name = f"AWS_ENDPOINT_URL_{service_id}"
    return _optional(os.environ, name) or _optional(os.environ, "AWS_ENDPOINT_URL")


@cache
def get_settings() -> Settings:
    """The process's settings, read once. Tests clear it with `get_settings.cache_clear()`."""
    return Settings.from_environ(os.environ)


@cache
def get_base_settings() -> BaseSettings:
    """For the delivery function, which has no others."""
    return BaseSettings.base_from_environment(os.environ)


def get_stage() -> str:
    """The stage alone: resources are named after it when the app is imported, in any context, with nothing else set."""
    return os.environ.get("ANSEL_STAGE", "local")
