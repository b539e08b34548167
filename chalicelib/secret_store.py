"""Secrets from Secrets Manager, read when first needed and cached for a limited time."""

from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import msgspec

from chalicelib import aws_requests, clock, logs
from chalicelib.aws_requests import AwsError
from chalicelib.errors import SettingsError, Unavailable
from chalicelib.secret import Secret

# By wall-clock time, because a container may be frozen for hours: this is how soon a rotation is noticed.
KEPT = timedelta(minutes=5)
ASKED_AGAIN = timedelta(seconds=30)
"""After a failure, during which no caller waits for another attempt."""
ERROR_RULES = (
    "AccessDeniedException",
    "NoCredentials",
    "DecryptionFailure",
    "InvalidParameterException",
    "InvalidRequestException",
    "ResourceNotFoundException",
    "UnrecognizedClientException",
    "ValidationException",
)
"""Errors that retrying does not change: the secret or the function's permissions are misconfigured."""

_kept: dict[str, tuple[datetime, dict[str, Secret]]] = {}
_reading = Lock()


def get_secret(arn: str, *, bypass_cache: bool = False) -> dict[str, Secret]:
    """The fields of a secret that is a JSON object.

    While it cannot be read, the last value stays in use. Raises SettingsError if retrying will not help, Unavailable
    if it may.
    """
    asked_at = clock.now()
    if not bypass_cache and (fields := _find_kept(arn, asked_at)) is not None:
        return fields
    with _reading:
        # While this thread waited, another may have read it.
        fields = _find_kept(arn, asked_at, since=asked_at if bypass_cache else None)
        if fields is None:
            fields = _read_or_kept(arn, bypass_cache=bypass_cache)
        return fields


def forget_secrets() -> None:
    """Clears the cache, between tests."""
    _kept.clear()


def forget_secret(arn: str, *, older_than: timedelta) -> None:
    """Forces a read at the next use, unless it was read just now."""
    read_at, _ = _kept.get(arn, (None, {}))
    if read_at is not None and clock.now() - read_at > older_than:
        _kept.pop(arn, None)


def _read_or_kept(arn: str, *, bypass_cache: bool) -> dict[str, Secret]:
    try:
        fields = _parse(arn, _read(arn))
    except Unavailable as error:
        _, fields = _kept.get(arn, (None, {}))
        if bypass_cache or not fields:
            raise
        logs.event("secret.kept_longer", arn=arn, reason=str(error))
        _kept[arn] = (clock.now() - KEPT + ASKED_AGAIN, fields)
        return fields
    _kept[arn] = (clock.now(), fields)
    return fields


def _find_kept(arn: str, now: datetime, *, since: datetime | None = None) -> dict[str, Secret] | None:
    read_at, fields = _kept.get(arn, (None, {}))
    if read_at is None or now - read_at >= KEPT or (since is not None and read_at <= since):
        return None
    return fields


def _read(arn: str) -> str:
    try:
        answer = aws_requests.call(
            "secretsmanager", arn.split(":")[3], "secretsmanager.GetSecretValue", {"SecretId": arn}
        )
    except AwsError as error:
        if error.may_pass or error.code not in ERROR_RULES:
            raise Unavailable(internal=f"The secret {arn} cannot be read at the moment: {error.code}") from error
        raise SettingsError(f"The secret {arn} cannot be read: {error.code}") from error
    return str(answer.get("SecretString", ""))


def _parse(arn: str, text: str) -> dict[str, Secret]:
    """Strings and numbers; RDS stores the port in its secrets."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeEncodeError):
        raise SettingsError(f"The secret {arn} is not a JSON object") from None  # the cause may quote its content
    return {name: Secret(str(value)) for name, value in fields.items() if isinstance(value, str | int)}
