"""Input into structs: any input gives a value or an error that names fields and quotes nothing."""

import json
import re
import subprocess
import sys
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from chalice.app import CaseInsensitiveMapping
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app import API
from chalicelib.errors import (
    AppError,
    BadRequest,
    FieldProblem,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from chalicelib.runtime.decoding import (
    FORM,
    MAX_BODY_BYTES,
    IdOf,
    decode_ascii,
    decode_body,
    decode_headers,
    decode_path,
    decode_query,
    decode_values,
    path_type,
)
from tests.calls import calls_of
from tests.conftest import ROOT

ROUTES = [route for group in API for route in group]
BODIES = {route.body for route in ROUTES if route.body and route.accepts == "application/json"}
QUERIES = {route.query for route in ROUTES if route.query}
JSON = "application/json"
HALF = "\ud800"
quick = settings(derandomize=True, max_examples=150)


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: int


class Sample(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    first_name: str
    color: Literal["red", "green"] | None = None
    sizes: list[int] = []
    inner: Inner | None = None


def problems_of(body: object) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        decode_body(json.dumps(body).encode(), JSON, Sample)
    return {problem.field: problem.problem for problem in caught.value.fields}


def test_a_valid_body_becomes_the_struct() -> None:
    body = b'{"firstName": "Ann", "color": "red", "sizes": [1], "inner": {"size": 2}}'
    assert decode_body(body, JSON, Sample) == Sample(first_name="Ann", color="red", sizes=[1], inner=Inner(2))


def test_an_absent_body_is_an_empty_object() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_body(b"", None, Sample)
    assert [problem.field for problem in caught.value.fields] == ["firstName"]


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({}, "firstName", "is missing"),
        ({"firstName": 1}, "firstName", "expected `str`, got `int`"),
        ({"firstName": "a", "color": "blue"}, "color", "must be one of red, green"),
        ({"firstName": "a", "sizes": [1, "x"]}, "sizes[1]", "expected `int`, got `str`"),
        ({"firstName": "a", "sizes": ["1"]}, "sizes[0]", "expected `int`, got `str`"),
        ({"firstName": "a", "inner": {"size": None}}, "inner.size", "expected `int`, got `null`"),
        ({"firstName": "a", "first_name": "b"}, "first_name", "is not a known field"),
    ],
)
def test_an_invalid_field_is_named_with_the_problem(body: object, field: str, problem: str) -> None:
    assert problems_of(body) == {field: problem}


def test_all_invalid_fields_are_named_at_once() -> None:
    assert set(problems_of({"color": 1, "sizes": 2, "more": 3})) == {"firstName", "color", "sizes", "more"}


def test_a_long_unknown_name_is_shortened() -> None:
    (field,) = set(problems_of({"firstName": "a", "x" * 5000: 1}))
    assert field == "x" * 100 + "..."


@pytest.mark.parametrize("content_type", ["text/plain", "application/jsonp", "multipart/form-data"])
def test_only_json_is_accepted(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        decode_body(b"{}", content_type, Sample)


@pytest.mark.parametrize("content_type", [None, JSON, "Application/JSON", "application/json; charset=utf-8"])
def test_every_usual_json_media_type_is_accepted(content_type: str | None) -> None:
    assert decode_body(b'{"firstName": "a"}', content_type, Sample).first_name == "a"


def test_the_limit_is_in_bytes_and_checked_first() -> None:
    fitting = b'{"firstName": "' + b"x" * (MAX_BODY_BYTES - 17) + b'"}'
    assert len(decode_body(fitting, JSON, Sample).first_name) == MAX_BODY_BYTES - 17
    with pytest.raises(PayloadTooLarge):
        decode_body(fitting + b" ", "text/plain", Sample)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"NaN", b'{"a": 1,}', b'"\\ud800"', b"[" * 100_000, b"{}{}", b"\x00"])
def test_invalid_json_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_body(body, JSON, Sample)
    assert caught.value.code == "malformed_json"


class Search(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    limit: int = 10
    word: str | None = None
    number: int | None = None


def test_query_parameters_are_converted_from_text() -> None:
    assert decode_query({"limit": ["5"], "word": ["5"]}, Search) == Search(limit=5, word="5")
    assert decode_query({"word": ["null"]}, Search).word == "null"
    assert decode_query({}, Search) == Search()


@pytest.mark.parametrize(
    ("params", "field", "problem"),
    [
        ({"limit": ["1", "2"]}, "limit", "must be sent only once"),
        ({"limit": ["many"]}, "limit", "expected `int`, got `str`"),
        ({"number": ["null"]}, "number", "must have a value"),
        ({"other": ["1"]}, "other", "is not a known field"),
    ],
)
def test_an_invalid_query_parameter_is_named(params: dict[str, list[str]], field: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_query(params, Search)
    assert [(wrong.field, wrong.problem) for wrong in caught.value.fields] == [(field, problem)]


MARK = "SECRET-\u20ac-MARK"
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(MARK),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def names_of(into: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(into)]


def objects_for(into: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names_of(into)) | st.text(max_size=200), values, max_size=6)


def assert_tells_no_value(error: AppError, names: set[str]) -> None:
    assert error.status in {400, 413, 415, 422}
    assert MARK not in error.message
    for problem in error.fields:
        whole, root = problem.field.removesuffix("..."), re.split(r"[\[.]", problem.field)[0]
        assert whole in {name[:100] for name in names} or root in names
        assert MARK not in problem.problem


@pytest.mark.parametrize("into", sorted(BODIES, key=str))
@quick
@given(data=st.data())
def test_any_json_object_is_accepted_or_its_fields_are_named(into: type[msgspec.Struct], data: st.DataObject) -> None:
    body = data.draw(objects_for(into))
    try:
        decoded = decode_body(json.dumps(body).encode(), JSON, into)
    except AppError as error:
        assert_tells_no_value(error, {"", *body, *names_of(into)})
    else:
        assert set(body) <= set(names_of(into))
        assert isinstance(decoded, into)


def names_in(body: bytes) -> set[str]:
    """The names in an object that was sent."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return set()
    return set(value) if isinstance(value, dict) else set()


@pytest.mark.parametrize("into", sorted(BODIES, key=str))
@quick
@given(body=st.binary() | values.map(lambda value: json.dumps(value).encode()))
@example(b"\xef\xbb\xbf{}")
@example(b"1e999999")
@example(b'{"a":' * 5000)
def test_any_bytes_are_accepted_or_rejected(into: type[msgspec.Struct], body: bytes) -> None:
    try:
        decoded = decode_body(body, JSON, into)
    except AppError as error:
        assert_tells_no_value(error, names_in(body) | {"", *names_of(into)})
    else:
        assert isinstance(decoded, into)


@pytest.mark.parametrize("into", sorted(QUERIES, key=str))
@quick
@given(data=st.data())
def test_any_query_is_accepted_or_its_parameters_are_named(into: type[msgspec.Struct], data: st.DataObject) -> None:
    texts = st.text() | st.integers().map(str) | st.dates().map(str) | st.just(MARK)
    names = st.sampled_from(names_of(into)) | st.text(max_size=200)
    params = data.draw(st.dictionaries(names, st.lists(texts, min_size=1, max_size=2), max_size=5))
    try:
        decode_query(params, into)
    except AppError as error:
        assert_tells_no_value(error, {*params, *names_of(into)})


class Form(msgspec.Struct):
    signed: str


def test_a_form_becomes_the_struct_and_other_fields_are_ignored() -> None:
    assert decode_body(b"signed=a%2Bb+c&more=1", f"{FORM}; charset=utf-8", Form, accepts=FORM) == Form("a+b c")


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b"", FORM, InvalidInput),
        (b"other=1", FORM, InvalidInput),
        (b"signed=1&signed=2", FORM, InvalidInput),
        (b"\xff", FORM, BadRequest),
        (b"a=1&" * 30, FORM, BadRequest),
        (b"signed=1", JSON, UnsupportedMediaType),
        (b"signed=1", "multipart/form-data", UnsupportedMediaType),
        (b"signed=" + b"x" * MAX_BODY_BYTES, FORM, PayloadTooLarge),
    ],
)
def test_anything_but_the_form_is_rejected(body: bytes, content_type: str, error: type[AppError]) -> None:
    with pytest.raises(error):
        decode_body(body, content_type, Form, accepts=FORM)


@pytest.mark.parametrize("kind", ["application/secevent+jwt", JSON, FORM])
def test_a_raw_body_of_any_media_type_is_passed_as_sent(kind: str) -> None:
    sent = b'{"a": 1,\r\n "a":\xff2}'
    for content_type in (kind.upper(), f"{kind}; charset=utf-8", None):
        assert decode_body(sent, content_type, bytes, accepts=kind) == sent
    assert decode_body(b"", kind, bytes, accepts=kind) == b""
    for body, content_type, error in (
        (b"a", "text/plain", UnsupportedMediaType),
        (b"a" * (MAX_BODY_BYTES + 1), kind, PayloadTooLarge),
    ):
        with pytest.raises(error):
            decode_body(body, content_type, bytes, accepts=kind)


def test_a_body_required_to_be_ascii_rejects_other_bytes() -> None:
    assert decode_ascii(b"a.b.c") == "a.b.c"
    with pytest.raises(BadRequest):
        decode_ascii("\u00e9".encode())


class Signed(msgspec.Struct):
    signature: Annotated[str, msgspec.Meta(pattern="^sha256=[0-9a-f]+$")] = msgspec.field(name="X-Hub-Signature-256")
    attempt: int = msgspec.field(name="X-Attempt", default=1)


def headers_of(**sent: str) -> CaseInsensitiveMapping:
    return CaseInsensitiveMapping({name.replace("_", "-"): value for name, value in sent.items()})


def test_declared_headers_are_decoded_in_any_case_and_others_ignored() -> None:
    headers = headers_of(x_hub_SIGNATURE_256="sha256=0a", X_Attempt="3", Cookie="a=b")
    assert decode_headers(headers, Signed) == Signed(signature="sha256=0a", attempt=3)
    assert decode_headers(headers_of(x_hub_signature_256="sha256=0a"), Signed).attempt == 1


def test_no_input_has_the_types_of_its_fields_resolved() -> None:
    """msgspec does so again whenever they are asked for."""
    query, headers = {"firstName": ["Ana"], "color": ["red"]}, headers_of(x_hub_signature_256="sha256=0a")
    for work in (lambda: decode_query(query, Sample), lambda: decode_headers(headers, Signed)):
        work()  # msgspec prepares a type once
        assert calls_of(work)["get_class_annotations"] == calls_of(work)["fields"] == 0


@pytest.mark.parametrize(
    ("sent", "field", "problem"),
    [
        ({}, "X-Hub-Signature-256", "is missing"),
        ({"x_hub_signature_256": "md5=0a"}, "X-Hub-Signature-256", "expected `str` matching regex"),
        ({"x_hub_signature_256": "sha256=0a", "x_attempt": "x"}, "X-Attempt", "expected `int`"),
        ({"x_hub_signature_256": "sha256=0a\0"}, "X-Hub-Signature-256", "must not contain NUL"),
    ],
)
def test_an_invalid_header_is_named(sent: dict[str, str], field: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_headers(headers_of(**sent), Signed)
    ((named, said),) = [(each.field, each.problem) for each in caught.value.fields]
    assert named == field
    assert said.startswith(problem)


THING = UUID("01a22ce8-8f1d-7946-a109-04b93da8779a")


@pytest.mark.parametrize("text", [str(THING), str(THING).upper(), THING.hex])
def test_an_id_in_a_path_is_decoded(text: str) -> None:
    kind = Annotated[UUID, IdOf("small thing")]
    assert decode_path({"id": text}, {"id": path_type(kind)}) == {"id": THING}


@pytest.mark.parametrize("text", ["", "x", f"{{{THING}}}", f"urn:uuid:{THING}", f"{THING}0", "\0", HALF, "1" * 5000])
def test_an_invalid_id_is_the_404_of_its_resource(text: str) -> None:
    with pytest.raises(NotFound) as caught:
        decode_path({"id": text}, {"id": IdOf("small thing")})
    assert (caught.value.code, caught.value.message) == ("small_thing_not_found", "Small thing not found")


def test_an_untyped_path_parameter_is_storable_text() -> None:
    assert decode_path({"code": "a%b\n"}, {"code": path_type(str)}) == {"code": "a%b\n"}
    for text in ("a\0", HALF):
        with pytest.raises(NotFound):
            decode_path({"code": text}, {"code": path_type(Annotated[str, msgspec.Meta(max_length=5)])})


def test_a_known_platform_is_recognized_without_importing_it() -> None:
    program = """
import sys
from typing import Annotated
from chalicelib.api.params import PlatformName
from chalicelib.errors import NotFound
from chalicelib.platforms.registry import LOADED
from chalicelib.runtime.decoding import path_type
assert path_type(PlatformName).decode("google") == "google"
try:
    path_type(PlatformName).decode("nope")
except NotFound as error:
    assert error.code == "unknown_platform"
assert not LOADED and "chalicelib.platforms.google" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


class Texts(msgspec.Struct, forbid_unknown_fields=True):
    free: str = ""
    short: Annotated[str, msgspec.Meta(max_length=5)] = ""
    many: list[str] = []
    named: dict[str, str] = {}


@pytest.mark.parametrize("field", ["free", "short"])
def test_a_lone_surrogate_in_a_query_is_rejected_by_field(field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_query({field: [f"a{HALF}"]}, Texts)
    assert caught.value.fields == (FieldProblem(field, "is not valid text"),)


def test_a_lone_surrogate_in_a_parameter_name_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_query({f"x{HALF}": ["1"], f"y{HALF}": ["1", "2"]}, Texts)
    assert all(msgspec.json.encode(problem) for problem in caught.value.fields)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"free": HALF}, "free"),
        ({"short": HALF}, "short"),
        ({"many": ["a", HALF]}, "many"),
        ({"named": {HALF: "a"}}, "named"),
        ({"named": {"a": HALF}}, "named"),
    ],
)
def test_a_lone_surrogate_in_predecoded_json_is_rejected(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_values(values, Texts)
    assert caught.value.fields == (FieldProblem(field, "is not valid text"),)
