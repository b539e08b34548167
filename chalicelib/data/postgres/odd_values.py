"""Rows with values that PostgreSQL has and Python does not: infinite times, years before Christ and after 9999, NaN.

They are decoded this way only after plain decoding has failed, so no other row pays for it.
"""

import re
from datetime import UTC, date, datetime
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from chalicelib.errors import Unreadable

TIME = re.compile(r"\d{4,}-\d\d-\d\d.*?(?P<before_christ> BC)?")
LARGEST = 1e12
"""Replaces an infinite number; as seconds, a timedelta can still hold it."""
NUMBERS = {"Infinity": LARGEST, "-Infinity": -LARGEST, "NaN": 0.0}


def decode_odd(text: str, kind: Any) -> Any:
    """JSON of the database as `kind`; each value that Python does not have is replaced by the nearest one.

    Raises Unreadable for anything else that does not fit.
    """
    try:
        return msgspec.convert(_mended(msgspec.json.decode(text), kind), kind)
    except msgspec.MsgspecError as error:
        raise Unreadable(internal=f"A row is not what it should be: {error}") from error


def _mended(value: Any, kind: Any) -> Any:
    if isinstance(value, str):
        return _mended_text(value, kind)
    for part in parts_of(kind):
        if isinstance(value, list) and get_origin(part) is list:
            (element,) = get_args(part)
            return [_mended(item, element) for item in value]
        if isinstance(value, dict) and isinstance(part, type) and issubclass(part, msgspec.Struct):
            kinds = {field.encode_name: field.type for field in msgspec.structs.fields(part)}
            return {name: _mended(item, kinds.get(name)) for name, item in value.items()}
    return value


def _mended_text(value: str, kind: Any) -> Any:
    parts = parts_of(kind)
    if str in parts:
        return value
    if datetime in parts:
        return _nearest(value, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    if date in parts:
        return _nearest(value, date.min, date.max)
    return NUMBERS.get(value, value) if float in parts else value


def _nearest(value: str, first: date, last: date) -> date | str:
    time = TIME.fullmatch(value)
    if value == "-infinity" or (time and time["before_christ"]):
        return first
    if value == "infinity" or (time and value.index("-") > 4):
        return last
    return value


def parts_of(kind: Any) -> tuple[Any, ...]:
    """The types that a field may have, without annotations."""
    if get_origin(kind) is Annotated:
        return parts_of(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return tuple(found for part in get_args(kind) for found in parts_of(part))
    return (kind,)
