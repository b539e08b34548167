"""Secrets Manager: what it keeps, read when it is first needed and kept for a bounded time."""

from datetime import datetime, timedelta
from functools import cache
from threading import Lock
from typing import Any

import msgspec

from chalicelib import clock
from chalicelib.errors import SettingsError, Unavailable
from chalicelib.secret import Secret

# By the calendar, as a container may stand still for hours: a rotation is noticed so soon after it.
KEPT = timedelta(minutes=5)
REFUSALS = (
    "AccessDeniedException",
    "DecryptionFailure",
    "InvalidParameterException",
    "InvalidRequestException",
    "ResourceNotFoundException",
    "UnrecognizedClientException",
    "ValidationException",
)
"""Answers that stay the same however often one asks: the secret, or what the function may do, is set up wrongly."""

_kept: dict[str, tuple[datetime, dict[str, Secret]]] = {}
_reading = Lock()


def get_secret(arn: str, *, anew: bool = False) -> dict[str, Secret]:
    """The fields of a secret that is a JSON object; `anew` asks for it whatever is kept.

    Raises SettingsError where asking again will not help, Unavailable where it may.
    """
    asked_at = clock.now()
    if not anew and (fields := _find_kept(arn, asked_at)) is not None:
        return fields
    with _reading:
        # While this one waited, another may have read it.
        fields = _find_kept(arn, asked_at, since=asked_at if anew else None)
        if fields is None:
            fields = _parse(arn, _read(arn))
            _kept[arn] = (clock.now(), fields)
        return fields


def forget_secrets() -> None:
    """Drops what is kept: between tests."""
    _kept.clear()


def _find_kept(arn: str, now: datetime, *, since: datetime | None = None) -> dict[str, Secret] | None:
    read_at, fields = _kept.get(arn, (None, {}))
    if read_at is None or now - read_at >= KEPT or (since is not None and read_at <= since):
        return None
    return fields


def _read(arn: str) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = _secrets_manager(arn.split(":")[3]).get_secret_value(SecretId=arn)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in REFUSALS:
            raise SettingsError(f"The secret {arn} cannot be read: {code}") from error
        raise Unavailable(internal=f"The secret {arn} cannot be read just now: {code}") from error
    except BotoCoreError as error:
        raise Unavailable(internal=f"The secret {arn} cannot be read just now: {type(error).__name__}") from error
    return str(answer.get("SecretString", ""))


def _parse(arn: str, text: str) -> dict[str, Secret]:
    """Texts and numbers; RDS keeps the port among the fields of its secrets."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeEncodeError):
        raise SettingsError(f"The secret {arn} is not a JSON object") from None  # the cause may quote from it
    return {name: Secret(str(value)) for name, value in found.items() if isinstance(value, str | int)}


@cache
def _secrets_manager(region: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3})
    return boto3.client("secretsmanager", region_name=region, config=config)
