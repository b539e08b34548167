"""Decodes JSON from platforms into typed structs. Errors name the field, never the value."""

import json
import re
from typing import Any, TypeVar

import msgspec

from chalicelib.errors import ContractChanged, TransientFault
from chalicelib.platforms.core.faults import Fault

T = TypeVar("T")

PATH = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")


def decode(body: bytes, into: type[T]) -> T | Fault:
    """The typed content of a JSON body, or a fault: JSON of another shape is a changed contract, while a body that is
    not JSON (a proxy's page, a truncated response) may be fine the next time."""
    try:
        return decode_leniently(body, into)
    except msgspec.ValidationError as error:
        field, problem = describe(error)
        return Fault(ContractChanged, f"{problem} at `{field}`" if field else problem)
    except RecursionError:
        return Fault(ContractChanged, "the response is nested too deeply")
    except (msgspec.MsgspecError, ValueError):
        return Fault(TransientFault, "the response is not JSON, or is truncated")


def decode_leniently(body: bytes | msgspec.Raw, into: type[T]) -> T:
    """Ignores characters that text cannot hold (bytes that are not UTF-8, escapes of lone surrogates) and treats a null
    field as absent, whatever the platform's contract says.

    Raises msgspec.ValidationError for another shape, ValueError if it is not JSON, RecursionError.
    """
    try:
        return msgspec.json.decode(body, type=into)
    except msgspec.ValidationError as error:
        try:
            return msgspec.json.decode(_mended(body), type=into)
        except msgspec.MsgspecError:
            raise error from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(_mended(body), type=into)


def _mended(body: bytes | msgspec.Raw) -> bytes:
    plain = _without_nulls(json.loads(bytes(body).decode("utf-8", "replace")))
    return json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


def describe(error: msgspec.ValidationError) -> tuple[str, str]:
    """The invalid field, such as `start.date` (empty for the whole document), and the reason. msgspec's message is left
    out if it may quote a value."""
    sentence = str(error)
    match = PATH.search(sentence)
    field = match["path"].removeprefix(".") if match else ""
    problem = PATH.sub("", sentence)
    if missing := MISSING.fullmatch(problem):
        return ".".join(part for part in (field, missing["name"]) if part), "is missing"
    return field, problem[:1].lower() + problem[1:] if problem.startswith("Expected `") else "has an unexpected value"
