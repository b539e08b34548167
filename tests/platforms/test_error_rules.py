"""Errors of every platform: read leniently, classified by one ordered table, and never quoted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import PlatformError
from chalicelib.platforms import pinterest, yelp
from chalicelib.platforms.core.error_rules import ErrorRule, loggable, read_object
from chalicelib.platforms.core.faults import Fault, platform_error
from chalicelib.platforms.core.token_answers import classify_error
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.platforms.google import errors as google
from chalicelib.platforms.meta import errors as meta

PAYLOADS = Path(__file__).parent / "payloads"
CANARY = "Anna Ruiz <anna@bride.example> asks: are you free on 12 June?"
Classify = Callable[[PlatformResponse], Fault]
CLASSIFIERS: dict[str, Classify] = {
    "google": google.classify,
    "meta": meta.classify,
    "meta token": meta.classify_token_error,
    "pinterest": pinterest.classify,
    "pinterest token": pinterest.classify_token_error,
    "yelp": yelp.classify,
    "token": classify_error,
}
RULES = {"google": google.RULES, "meta": meta.RULES, "pinterest": pinterest.RULES, "yelp": yelp.RULES}


def payloads(platform: str) -> dict[str, Any]:
    errors: dict[str, Any] = json.loads((PAYLOADS / platform / "errors.json").read_text())
    return errors.get("api", errors)  # type: ignore[no-any-return]


def code_of(fault: Fault) -> str:
    return platform_error("Acme", fault, where="400 GET acme.test").code


ERROR_RULES = [
    (platform, name, status, body)
    for platform in ("google", "meta", "pinterest", "yelp")
    for name, (status, body, _) in payloads(platform).items()
    if isinstance(body, dict)
]
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, 7, -1.5, True, "text", [], ["text", None, 3], {}, {"reason": None}, [[{}]]]
)


@given(st.sampled_from(ERROR_RULES), st.data())
def test_odd_values_next_to_the_decisive_one_change_nothing(
    refusal: tuple[str, str, int, dict[str, Any]], data: st.DataObject
) -> None:
    platform, _, status, body = refusal
    classify = CLASSIFIERS[platform]
    expected = code_of(classify(PlatformResponse(status, {}, json.dumps(body).encode())))
    odd = littered(body, data)
    assert code_of(classify(PlatformResponse(status, {}, json.dumps(odd).encode()))) == expected


def littered(value: Any, data: st.DataObject) -> Any:
    """The same value with extra members in each object, and odd entries in each list."""
    if isinstance(value, dict):
        added = {
            name: data.draw(ODD) for name in ("surprise", "details", "errors", "locationType") if name not in value
        }
        return {**added, **{name: littered(each, data) for name, each in value.items()}}
    if isinstance(value, list):
        return [data.draw(ODD), *(littered(each, data) for each in value), data.draw(ODD)]
    return value


@given(
    platform=st.sampled_from(sorted(CLASSIFIERS)),
    status=st.integers(300, 599),
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "errors", "details", "code", "message", "status", "reason", "error_subcode"]),
                inner,
                max_size=4,
            )
        ),
    ),
)
def test_any_json_is_classified(platform: str, status: int, body: Any) -> None:
    assert issubclass(
        CLASSIFIERS[platform](PlatformResponse(status, {}, json.dumps(body).encode())).kind, PlatformError
    )


@pytest.mark.parametrize("platform", CLASSIFIERS)
@pytest.mark.parametrize(
    "body",
    [
        {"error": CANARY, "error_description": CANARY, "error_subtype": CANARY},
        {"error": {"message": CANARY, "status": CANARY, "code": CANARY, "description": CANARY}},
        {"error": {"message": CANARY, "code": 190, "error_subcode": 463, "fbtrace_id": CANARY}},
        {"error": {"code": 403, "errors": [{"reason": CANARY, "location": CANARY, "message": CANARY}]}},
        {"error": {"code": 403, "details": [{"reason": CANARY, "metadata": {"quota_limit": CANARY}}]}},
        {"code": 29, "message": CANARY},
    ],
)
def test_platform_text_is_neither_logged_nor_shown(platform: str, body: Any) -> None:
    for status in (400, 401, 403, 429, 500):
        response = PlatformResponse(status, {"x-pinterest-rid": CANARY}, json.dumps(body).encode())
        error = platform_error("Acme", CLASSIFIERS[platform](response), where="-")
        text = f"{error} {error.message} {error.code}"
        assert [word for word in ("Anna", "bride", "June", "free") if word in text] == []


def test_only_known_words_numbers_and_a_trace_id_are_logged() -> None:
    words = ["rateLimitExceeded", "rateLimitExceeded", "", "Ruiz", "190/463", "-2", "+49 30 1234", CANARY]
    assert loggable(words, {"rateLimitExceeded"}, trace_id="A_b-1") == "rateLimitExceeded 190/463 -2 A_b-1"
    assert loggable([], set(), trace_id=CANARY) == ""


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"{", b"[" * 100_000, b"\xff\xfe"])
def test_only_an_object_has_members(body: bytes) -> None:
    assert read_object(body) == {}


def test_invalid_utf8_does_not_hide_the_rest() -> None:
    assert read_object(b'{"error": "invalid_grant", "error_description": "\xff\\ud800"}')["error"] == "invalid_grant"


@pytest.mark.parametrize("platform", RULES)
def test_every_rule_is_reachable(platform: str) -> None:
    """A rule whose words all occur in earlier rules would never match first."""
    known: set[str] = set()
    for rule in RULES[platform]:
        assert rule.signals - known, rule
        known |= rule.signals


@pytest.mark.parametrize("rule", [rule for rules in RULES.values() for rule in rules if rule.message])
def test_messages_are_sentences_for_the_studio(rule: ErrorRule) -> None:
    assert rule.message[0].isupper()
    assert not rule.message.endswith(".")
    assert "{" not in rule.message
