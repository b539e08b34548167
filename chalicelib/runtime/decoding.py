"""Input into typed structs. What is wrong with it is told field by field, and never quotes a value."""

import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable
from urllib.parse import parse_qs
from uuid import UUID

import msgspec

from chalicelib.errors import BadRequest, FieldProblem, InvalidInput, NotFound, PayloadTooLarge, UnsupportedMediaType

T = TypeVar("T", bound=msgspec.Struct)

MAX_BODY_BYTES = 256 * 1024
MAX_FORM_FIELDS = 20
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
JSON_TYPE = re.compile(r"application/json\s*(;.*)?", re.IGNORECASE)
HALF = re.compile("[\ud800-\udfff]")
"""Half a character, a lone surrogate, is no text. JSON's escapes can write one all the same; msgspec's decoder refuses
it, but not everybody's does."""
UNSTORABLE = re.compile(f"\0|{HALF.pattern}")
"""What JSON can name and PostgreSQL cannot store"""
PATH = re.compile(r" - at `(key in )?\$(?P<path>[^`]*)`$")


@runtime_checkable
class PathType(Protocol):
    """Stands in the `Annotated` type of a path parameter: how its text becomes an argument."""

    def decode(self, text: str) -> Any:
        """Raises the NotFound of what the parameter names, also for text that names nothing at all."""
        ...


class PathText:
    """A parameter that is text."""

    def decode(self, text: str) -> str:
        if not is_storable(text):
            raise NotFound
        return text


class IdOf(NamedTuple):
    """A parameter that is the id of such a thing."""

    noun: str

    def decode(self, text: str) -> UUID:
        try:
            return msgspec.convert(text, UUID)
        except (msgspec.ValidationError, ValueError) as error:
            raise NotFound(
                f"{self.noun.capitalize()} not found", code=f"{self.noun.replace(' ', '_')}_not_found"
            ) from error


def path_type(kind: Any) -> PathType:
    """Of a parameter's declared type; one that does not say otherwise is text."""
    return next((each for each in getattr(kind, "__metadata__", ()) if isinstance(each, PathType)), PathText())


def decode_path(params: Mapping[str, str], types: Mapping[str, PathType]) -> dict[str, Any]:
    return {name: kind.decode(params[name]) for name, kind in types.items()}


def decode_headers(headers: Mapping[str, str], into: type[T]) -> T:
    """The request headers that `into` names, whatever their case; all others are passed over. Raises InvalidInput."""
    sent = {name: headers[name] for name in into.__struct_encode_fields__ if name in headers}
    return _convert(sent, into, strict=False)


def decode_body(body: bytes, content_type: str | None, into: type[Any], *, accepts: str = JSON) -> Any:
    """A body of that media type as `into`, or as it was sent where that is `bytes`.

    Raises PayloadTooLarge, UnsupportedMediaType, BadRequest for what cannot be read, InvalidInput naming each field.
    """
    if len(body) > MAX_BODY_BYTES:
        raise PayloadTooLarge(f"The body has more than {MAX_BODY_BYTES} bytes")
    if accepts == JSON and into is not bytes:
        return _decode_json(body, content_type, into)
    if (content_type or accepts).partition(";")[0].strip().lower() != accepts:
        raise UnsupportedMediaType(f"The body must be {accepts}")
    return body if into is bytes else _decode_form(body, into)


def decode_ascii(body: bytes) -> str:
    """Raises BadRequest."""
    try:
        return body.decode("ascii")
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not ASCII text") from error


def _decode_json(body: bytes, content_type: str | None, into: type[T]) -> T:
    """A JSON object; an absent body is an empty one."""
    if not body:
        return _convert({}, into, strict=True)
    if not JSON_TYPE.fullmatch((content_type or JSON).strip()):
        raise UnsupportedMediaType("The body must be application/json")
    return _convert(_json_object(body), into, strict=True)


def _decode_form(body: bytes, into: type[T]) -> T:
    """All values of a form are text and come once each."""
    try:
        fields = parse_qs(decode_ascii(body), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError as error:
        raise BadRequest(f"The form has more than {MAX_FORM_FIELDS} fields") from error
    return decode_query(fields, into)


def decode_query(params: Mapping[str, Sequence[str]], into: type[T]) -> T:
    """Query parameters, which are all text and come once each. Raises InvalidInput naming each of them."""
    twice = [
        FieldProblem(_shortened(name), "must be sent only once") for name, values in params.items() if len(values) > 1
    ]
    if twice:
        raise InvalidInput(fields=twice)
    decoded = _convert({name: values[0] for name, values in params.items()}, into, strict=False)
    # The text `null` would pass for an absent value.
    nulls = [
        FieldProblem(sent_as, "must have a value")
        for name, sent_as in names_of(into)
        if sent_as in params and getattr(decoded, name) is None
    ]
    if nulls:
        raise InvalidInput(fields=nulls)
    return decoded


def names_of(shape: type[msgspec.Struct]) -> Iterable[tuple[str, str]]:
    """Each field's name and the one it is sent under. Without the types, which are resolved again whenever they are
    asked for."""
    return zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True)


def decode_values(values: dict[str, Any], into: type[T], *, strict: bool = True) -> T:
    """JSON that somebody else has decoded; unless `strict`, its texts may stand for numbers and the like.

    Raises InvalidInput naming each field.
    """
    return _convert(values, into, strict=strict)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("The body is not valid JSON", code="malformed_json", internal=str(error)) from error
    if not isinstance(value, dict):
        raise InvalidInput("The body must be a JSON object", fields=[FieldProblem("", "must be a JSON object")])
    return value


def is_storable(text: str) -> bool:
    return UNSTORABLE.search(text) is None


def _convert(values: dict[str, Any], into: type[T], *, strict: bool) -> T:
    if problems := list(_unstorable(values)):
        raise InvalidInput(fields=problems)
    try:
        return msgspec.convert(values, into, strict=strict)
    except msgspec.ValidationError as error:
        raise InvalidInput(fields=_problems(values, into, strict), internal=str(error)) from error


def _unstorable(values: dict[str, Any]) -> Iterator[FieldProblem]:
    """A problem for each field with a text, or a name, that no database would take."""
    for name, value in values.items():
        if _holds(HALF, [name, value]):
            yield FieldProblem(_shortened(name), "is not valid text")
            continue
        if not is_storable(name):
            yield FieldProblem(_shortened(name), "must not contain NUL characters in its name")
            continue
        items = enumerate(value) if isinstance(value, list) else [("", value)]
        for index, item in items:
            if _holds(UNSTORABLE, item):
                place = f"{name}[{index}]" if isinstance(value, list) and name.isidentifier() else name
                yield FieldProblem(_shortened(place), "must not contain NUL characters")


def _holds(pattern: re.Pattern[str], value: Any) -> bool:
    """Whether a text anywhere in the value matches, names of members included."""
    if isinstance(value, str):
        return pattern.search(value) is not None
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return isinstance(value, list | tuple) and any(_holds(pattern, item) for item in value)


def _problems(values: dict[str, Any], into: type[msgspec.Struct], strict: bool) -> list[FieldProblem]:
    """Every field that is wrong; msgspec itself stops at the first."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(into)}
    problems = [FieldProblem(_shortened(name), "is not a known field") for name in values if name not in fields]
    for name, field in fields.items():
        if name not in values:
            if field.required:
                problems.append(FieldProblem(name, "is missing"))
            continue
        try:
            msgspec.convert(values[name], field.type, strict=strict)
        except msgspec.ValidationError as error:
            problems.append(_field_problem(name, field.type, str(error)))
    return problems


def _field_problem(name: str, kind: Any, message: str) -> FieldProblem:
    path = match["path"] if (match := PATH.search(message)) else ""
    problem = PATH.sub("", message)
    if problem.startswith("Invalid enum value"):
        problem = f"must be one of {', '.join(_choices(kind))}"
    return FieldProblem(name + path, problem[:1].lower() + problem[1:])


def _choices(kind: Any) -> list[str]:
    """The values a Literal allows, also one inside an optional type."""
    if typing.get_origin(kind) is Literal:
        return [str(value) for value in typing.get_args(kind)]
    return [choice for part in typing.get_args(kind) for choice in _choices(part)]


def _shortened(name: str) -> str:
    """Fit to be repeated: not without end, and with a question mark for half a character."""
    return (name if len(name) <= 100 else name[:100] + "...").encode(errors="replace").decode()
