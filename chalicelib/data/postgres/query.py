"""A statement with named parameters and, for reads, the type its one row of JSON decodes into."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec
from pg8000.legacy import to_statement

from chalicelib.data.postgres.odd_values import decode_odd

T = TypeVar("T", covariant=True)

ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class Query(Generic[T]):
    """SQL with `:name` parameters, translated into the server's `$n` once.

    The statement returns one row with one column of JSON text, decoded into `result`; no row or a NULL decodes as null.
    A statement that returns nothing has no result type. Both are prepared at the first use: a cold start uses few.
    A list is sent as JSON; in the SQL it is `array_of` its name.

    The server plans a statement that `is_prepared` once for all values; one whose best plan depends on its values is
    planned at each use.
    """

    def __init__(self, sql: str, result: Any = None, *, is_prepared: bool = True) -> None:
        self.is_prepared = is_prepared
        self._text = sql
        self._result = result

    @property
    def sql(self) -> str:
        return self._statement[0]

    def values(self, params: Mapping[str, Any]) -> Sequence[Any]:
        return [_as_parameter(value) for value in self._statement[1](params)]

    def decode(self, rows: list[list[Any]]) -> T:
        if self._result is None:
            return None  # type: ignore[return-value]
        text = rows[0][0] if rows and rows[0][0] is not None else "null"
        try:
            return self._decoder.decode(text)
        except msgspec.MsgspecError:
            return decode_odd(text, self._result)  # type: ignore[no-any-return]

    @cached_property
    def _statement(self) -> tuple[str, Callable[[Mapping[str, Any]], Sequence[Any]]]:
        return to_statement(self._text)  # type: ignore[no-any-return]

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[T]:
        return msgspec.json.Decoder(self._result)


def columns(shape: type[msgspec.Struct], table: str = "", **expressions: str) -> str:
    """The select list that makes JSON of `shape`: each field from its column, under its wire name.

    `expressions` replaces a field's column by SQL of its own; `table` qualifies the others. Bytes travel as base64.
    """
    prefix = f"{table}." if table else ""
    return ", ".join(
        f'{expressions.get(field.name) or _column(prefix + field.name, field.type)} AS "{field.encode_name}"'
        for field in msgspec.structs.fields(shape)
    )


def _column(name: str, kind: Any) -> str:
    if kind is bytes or bytes in getattr(kind, "__args__", ()):
        return f"translate(encode({name}, 'base64'), E'\\n', '')"
    return name


def array_of(name: str, kind: str = "text") -> str:
    """SQL for the array in the list parameter `name`, NULL if it is None.

    A list is sent as JSON: in the text of an array, which pg8000 would send, the word null means NULL and not a text.
    """
    elements = f"ARRAY(SELECT json_array_elements_text(:{name}::json)::{kind})"
    return f"CASE WHEN :{name}::json IS NOT NULL THEN {elements} END"


def to_json(value: Any) -> str:
    """JSON for a parameter. Platform data may contain NUL, which PostgreSQL text cannot hold."""
    text = msgspec.json.encode(value).decode()
    return ESCAPED_NUL.sub(r"\1\\ufffd", text) if r"\u0000" in text else text


def _as_parameter(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if not isinstance(value, list):
        return value
    if None in value:
        raise TypeError("a list parameter has no element that is None")
    return to_json(value)


def typed(sql: str, **types: str) -> str:
    """`sql` with each of these parameters cast, for those whose type the server cannot infer from their position."""
    for name, kind in types.items():
        sql = re.sub(rf"(?<!:):{name}\b(?!::)", f":{name}::{kind}", sql)
    return sql


def one(select: str) -> str:
    """The row of `select` as a JSON object."""
    return f"SELECT row_to_json(r) FROM ({select}) AS r"


def returned(change: str) -> str:
    """The one row that an INSERT, UPDATE or DELETE returns, as a JSON object."""
    return f"WITH r AS ({change}) SELECT row_to_json(r) FROM r"


def many(select: str) -> str:
    """The rows of `select` as a JSON array, in its order."""
    return f"SELECT coalesce(json_agg(r), '[]') FROM ({select}) AS r"
