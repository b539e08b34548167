"""Typed settings; the only reader of the environment. Outside `local`, what is missing or unsafe refuses to start."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from chalicelib.errors import SettingsError
from chalicelib.secret import Secret

STAGES = ("local", "test", "dev", "prod")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
DEFAULT_RETENTION_DAYS = 400

# Decryption compares keys by ARN, so an alias or a bare id would wrap data keys and never unwrap them:
# https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/configure.html#config-keys
_KEY_ARN = re.compile(r"arn:aws[\w-]*:kms:[\w-]+:\d{12}:key/[\w-]+", re.ASCII)
_ENCRYPTION_KEY = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class OAuthClient:
    """What this product is registered as at a platform."""

    id: str
    secret: Secret


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says. A variable's name is the field's in upper case, but for `stage`: ANSEL_STAGE."""

    stage: str
    database_url: Secret
    """postgresql://user:password@host:port/database, of the application's role"""
    kms_key_ids: tuple[str, ...] = ()
    """ARNs of the KMS keys that wrap data keys, comma-separated; the first one generates"""
    encryption_key: Secret | None = None
    """64 hex characters; wraps data keys without KMS, in the `local` stage only"""
    sync_queue_url: str = ""
    platform_sandbox_url: str = ""
    """`local` and `test` only: platforms are called at {this}/{host}/{path}"""
    google_client_id: str = ""
    google_client_secret: Secret = field(default_factory=lambda: Secret(""))
    sync_log_retention_days: int = DEFAULT_RETENTION_DAYS
    """Ended runs are deleted so many days later, but for the newest of each stream"""
    log_level: str = "INFO"

    @property
    def oauth_clients(self) -> dict[str, OAuthClient]:
        """By platform; one that is not registered is absent."""
        clients = {"google": OAuthClient(self.google_client_id, self.google_client_secret)}
        return {platform: client for platform, client in clients.items() if client.id}

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises SettingsError naming the variable."""
        stage = environ.get("ANSEL_STAGE", "")
        if stage not in STAGES:
            raise SettingsError(f"ANSEL_STAGE must be one of {', '.join(STAGES)}")
        kms_key_ids = _kms_key_ids(environ)
        return cls(
            stage=stage,
            database_url=Secret(_required(environ, "DATABASE_URL")),
            kms_key_ids=kms_key_ids,
            encryption_key=_encryption_key(environ, stage, has_kms=bool(kms_key_ids)),
            sync_queue_url=_optional(environ, "SYNC_QUEUE_URL")
            if stage == "local"
            else _required(environ, "SYNC_QUEUE_URL"),
            platform_sandbox_url=_sandbox_url(environ, stage),
            google_client_id=_optional(environ, "GOOGLE_CLIENT_ID"),
            google_client_secret=Secret(_optional(environ, "GOOGLE_CLIENT_SECRET")),
            sync_log_retention_days=_retention_days(environ),
            log_level=_log_level(environ),
        )


def _optional(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _required(environ: Mapping[str, str], name: str) -> str:
    value = _optional(environ, name)
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


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
        raise SettingsError("ENCRYPTION_KEY and KMS_KEY_IDS exclude each other")
    if not value and not has_kms:
        raise SettingsError("ENCRYPTION_KEY is not set")
    if value and not _ENCRYPTION_KEY.fullmatch(value):
        raise SettingsError("ENCRYPTION_KEY must be 64 hexadecimal characters")
    return Secret(value) if value else None


def _sandbox_url(environ: Mapping[str, str], stage: str) -> str:
    url = _optional(environ, "PLATFORM_SANDBOX_URL")
    if url and stage not in ("local", "test"):
        raise SettingsError(f"PLATFORM_SANDBOX_URL is not allowed in {stage}")
    if url and not url.startswith(("http://", "https://")):
        raise SettingsError("PLATFORM_SANDBOX_URL must start with http:// or https://")
    return url.rstrip("/")


def _retention_days(environ: Mapping[str, str]) -> int:
    value = _optional(environ, "SYNC_LOG_RETENTION_DAYS") or str(DEFAULT_RETENTION_DAYS)
    if not re.fullmatch(r"\d{1,4}", value, re.ASCII) or not 30 <= int(value) <= 3650:
        raise SettingsError("SYNC_LOG_RETENTION_DAYS must be a number from 30 to 3650")
    return int(value)


def _log_level(environ: Mapping[str, str]) -> str:
    level = _optional(environ, "LOG_LEVEL").upper() or "INFO"
    if level not in LOG_LEVELS:
        raise SettingsError(f"LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}")
    return level


@cache
def get_settings() -> Settings:
    """The process's settings, read once. Tests clear it with `get_settings.cache_clear()`."""
    return Settings.from_environ(os.environ)
