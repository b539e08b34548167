"""JSON from platforms into typed structs. What is wrong with it is described by field, never by value."""

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
    """The typed content of a JSON body, or what is wrong with it: JSON of another shape is a changed contract, what is
    no JSON at all (a proxy's page, an answer cut off) may be better the next time."""
    try:
        return decode_leniently(body, into)
    except msgspec.ValidationError as error:
        field, problem = describe(error)
        return Fault(ContractChanged, f"{problem} at `{field}`" if field else problem)
    except RecursionError:
        return Fault(ContractChanged, "the answer is nested too deeply")
    except (msgspec.MsgspecError, ValueError):
        return Fault(TransientFault, "the answer is not JSON, or is cut off")


def decode_leniently(body: bytes | msgspec.Raw, into: type[T]) -> T:
    """Passes over what no text may hold (bytes that are not UTF-8, escapes of lone surrogates) and takes a field that
    is null for absent, whatever a platform's contract says of it.

    Raises msgspec.ValidationError for another shape, ValueError for what is no JSON, RecursionError.
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
    """Which field is wrong, such as `start.date` (empty for the whole), and how; msgspec's sentence may quote a value,
    and then is left out."""
    sentence = str(error)
    match = PATH.search(sentence)
    field = match["path"].removeprefix(".") if match else ""
    problem = PATH.sub("", sentence)
    if missing := MISSING.fullmatch(problem):
        return ".".join(part for part in (field, missing["name"]) if part), "is missing"
    return field, problem[:1].lower() + problem[1:] if problem.startswith("Expected `") else "has an unexpected value"
