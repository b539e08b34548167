"""Hostile requests to routes without an API key: never a server error, and no work without proof of the sender."""

import hmac
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import API
from chalicelib import clock
from chalicelib.api.openapi import describe
from chalicelib.api.webhooks import PATH, STATUS_PATH
from chalicelib.platforms.google.webhooks import KEYS_URL
from chalicelib.runtime.declare import PUBLIC
from chalicelib.services.webhook_signatures import key_set
from dev.sandbox import CLIENT_ID, Sandbox
from dev.sandbox.google import security_events
from dev.sandbox.meta import APP_SECRET
from tests.api.hostile import DEEP, ODD, TRIED, ask, numbers, one_odd, texts, values
from tests.conftest import NOON
from tests.security.hostile import unpadded

FORM = "application/x-www-form-urlencoded"
SECEVENT = "application/secevent+jwt"
ROUTES = [route for group in [*API, describe(API)] for route in group if route.scope == PUBLIC]
CALLBACKS = ["/api/webhooks/meta/deauthorize", "/api/webhooks/meta/data-deletion"]
GOOGLE = "/api/webhooks/google/security-events"
UNPROVED = [route for route in ROUTES if route.path.startswith(("/api/webhooks", "/api/oauth"))]
bodies = st.one_of(st.none(), texts, st.binary(), values.map(json.dumps))
types = st.sampled_from([FORM, SECEVENT, "application/json", "text/plain; charset=utf-7", "", "\0", "a/b;" * 500])


@pytest.fixture(autouse=True)
def _set_up(platforms: Sandbox) -> Iterator[None]:
    key_set(KEYS_URL).forget()
    with clock.at(NOON):
        yield


def test_the_public_routes_are_known() -> None:
    """A new one belongs in the tests below."""
    assert {f"{route.method} {route.path}" for route in ROUTES} == {
        "GET /api/health",
        "GET /api/openapi.json",
        "GET /api/oauth/{platform}/callback",
        f"POST {GOOGLE}",
        *(f"POST {callback}" for callback in CALLBACKS),
        "GET /api/webhooks/meta/data-deletion/{code}",
    }


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@given(
    param=st.one_of(st.just("google"), texts),
    query=st.dictionaries(
        st.sampled_from(["state", "code", "error", "x", "\0"]), st.lists(texts, min_size=1), max_size=3
    ),
    body=bodies,
    content_type=types,
    authorization=texts,
)
@TRIED
def test_no_request_of_a_stranger_causes_a_server_error(
    route: Any, param: str, query: dict[str, list[str]], body: str | bytes | None, content_type: str, authorization: str
) -> None:
    params = dict.fromkeys(route.params, param)
    headers = {"Content-Type": content_type, "Authorization": authorization, "Idempotency-Key": authorization}
    answer, statements = ask(route.method, route.path, params=params, query=query, headers=headers, body=body)
    assert answer.status < 500, answer.text
    assert statements == 0 or route.path == "/api/health"


@given(platform=st.one_of(st.sampled_from(["google", "meta", "yelp"]), texts), sender=texts, code=texts, body=bodies)
@TRIED
def test_an_undeclared_webhook_is_not_found(platform: str, sender: str, code: str, body: str | bytes | None) -> None:
    params = {"platform": platform, "sender": sender}
    answer, statements = ask("POST", PATH, params=params, headers={"Content-Type": FORM}, body=body)
    assert (answer.status, statements) == (404, 0), answer.text
    answer, statements = ask("GET", STATUS_PATH, params={**params, "code": code})
    assert (answer.status, statements) == (404, 0), answer.text


@pytest.mark.parametrize("callback", CALLBACKS)
@given(payload=st.one_of(st.sampled_from([text.encode("utf-8", "surrogatepass") for text in ODD]), st.binary()))
@TRIED
def test_unsigned_requests_of_meta_are_all_rejected_alike(callback: str, payload: bytes) -> None:
    """It reaches neither a parser nor the database."""
    form = urlencode({"signed_request": f"{unpadded(bytes(32))}.{unpadded(payload)}"})
    answer, statements = ask("POST", callback, headers={"Content-Type": FORM}, body=form)
    assert (answer.status, answer.json["detail"]) == (400, "The signature does not match the signed request")
    assert statements == 0


@given(payload=st.one_of(st.sampled_from([text.encode("utf-8", "surrogatepass") for text in ODD]), st.binary()))
@TRIED
def test_unsigned_tokens_of_google_are_all_rejected_alike(payload: bytes) -> None:
    header = json.dumps({"alg": "RS256", "kid": security_events.KEY_ID}).encode()
    token = ".".join(map(unpadded, (header, payload, bytes(256))))
    answer, statements = ask("POST", GOOGLE, headers={"Content-Type": SECEVENT}, body=token)
    reason = "too long" if len(token) > 32 * 1024 else "The signature does not match the token"
    assert (answer.status, reason in answer.json["description"]) == (400, True)
    assert statements == 0


@given(header=st.one_of(st.sampled_from([DEEP, '{"a":' * 300, *ODD]), texts, values.map(json.dumps)))
@TRIED
def test_a_header_without_a_key_id_causes_no_request_to_google(platforms: Sandbox, header: str) -> None:
    token = ".".join(map(unpadded, (header.encode("utf-8", "surrogatepass"), b"{}", bytes(256))))
    answer, statements = ask("POST", GOOGLE, headers={"Content-Type": SECEVENT}, body=token)
    assert (answer.status, statements) == (400, 0)
    assert platforms.requests.counts().get("oauth2.certs", 0) == 0


def signed(payload: str) -> str:
    encoded = unpadded(payload.encode("utf-8", "surrogatepass"))
    return f"{unpadded(hmac.digest(APP_SECRET.encode(), encoded.encode(), sha256))}.{encoded}"


GOOD = {"algorithm": "HMAC-SHA256", "user_id": "1"}
odd_numbers = st.one_of(numbers, st.booleans(), st.floats(), st.none(), texts)


@pytest.mark.parametrize("callback", CALLBACKS)
@given(
    odd=one_odd(
        {
            "user_id": st.one_of(texts, values),
            "issued_at": odd_numbers,
            "expires": odd_numbers,
            "algorithm": values,
            "user": values,
        }
    )
)
@TRIED
def test_an_odd_request_signed_by_meta_is_rejected(callback: str, odd: dict[str, Any]) -> None:
    payload = json.dumps({**GOOD, "issued_at": int(NOON.timestamp()), **odd})
    form = urlencode({"signed_request": signed(payload)})
    answer, statements = ask("POST", callback, headers={"Content-Type": FORM}, body=form)
    assert answer.status < 500, answer.text
    assert answer.status < 300 or (answer.status, statements) == (400, 0)


@pytest.mark.parametrize("user_id", ["1\0", "\0", "1" * 256, "\u0661", "1\n", " 1", "\ud800"])
@pytest.mark.parametrize("callback", CALLBACKS)
def test_an_impossible_user_id_is_rejected(callback: str, user_id: str) -> None:
    payload = json.dumps({**GOOD, "issued_at": int(NOON.timestamp()), "user_id": user_id})
    form = urlencode({"signed_request": signed(payload)})
    answer, statements = ask("POST", callback, headers={"Content-Type": FORM}, body=form)
    assert (answer.status, answer.json["code"], statements) == (400, "invalid_signed_request", 0)


@pytest.mark.parametrize("payload", ["[" * 999 + "]" * 999, DEEP, "", "9" * 5000, '{"user_id": "1"', '"\\ud800"'])
def test_an_unreadable_request_signed_by_meta_is_rejected(payload: str) -> None:
    form = urlencode({"signed_request": signed(payload)})
    answer, statements = ask("POST", CALLBACKS[0], headers={"Content-Type": FORM}, body=form)
    assert (answer.status, answer.json["code"], statements) == (400, "invalid_signed_request", 0)


def event(kind: str, subject: dict[str, Any]) -> dict[str, Any]:
    return {**security_events.claims(kind, subject, CLIENT_ID), "iat": int(NOON.timestamp())}


subjects = st.one_of(values, st.fixed_dictionaries({"subject_type": texts, "sub": st.one_of(texts, numbers, values)}))
kinds = st.sampled_from(
    [security_events.RISC + "sessions-revoked", security_events.RISC + "account-enabled", "x", "\0"]
)


@given(
    odd=one_odd(
        {
            **dict.fromkeys(["iss", "aud", "jti", "events"], values),
            **dict.fromkeys(["iat", "nbf", "exp"], odd_numbers),
            "events ": st.dictionaries(kinds, st.fixed_dictionaries({"subject": subjects, "reason": values})),
        }
    )
)
@TRIED
def test_an_odd_event_signed_by_google_is_rejected(odd: dict[str, Any]) -> None:
    good = event(security_events.RISC + "verification", {})
    token = security_events.sign({**good, **{name.strip(): value for name, value in odd.items()}})
    answer, statements = ask("POST", GOOGLE, headers={"Content-Type": SECEVENT}, body=token)
    assert answer.status < 500, answer.text
    assert answer.status == 202 or (answer.status, statements) == (400, 0)


@pytest.mark.parametrize("sub", ["1\0", "\0", "1" * 256, "\u0661", "1\n", "\ud800", 1, None, True])
def test_an_impossible_subject_is_rejected(sub: Any) -> None:
    token = security_events.sign(event(security_events.RISC + "sessions-revoked", {"sub": sub}))
    answer, statements = ask("POST", GOOGLE, headers={"Content-Type": SECEVENT}, body=token)
    assert (answer.status, answer.json["err"], statements) == (400, "invalid_request", 0)


@given(code=texts, error=texts)
@TRIED
def test_a_callback_with_an_unknown_state_is_rejected(code: str, error: str) -> None:
    query = {"state": ["A" * 43], "code": [code], "error": [error]}
    answer, _ = ask("GET", "/api/oauth/{platform}/callback", params={"platform": "google"}, query=query)
    assert answer.status < 500, answer.text


def test_an_endlessly_percent_encoded_form_is_rejected() -> None:
    for body in ("signed_request=" + quote("\0") * 20_000, "%" * 50_000, "&" * 50_000, "=" * 50_000):
        answer, statements = ask("POST", CALLBACKS[0], headers={"Content-Type": FORM}, body=body)
        assert (answer.status in (400, 422), statements) == (True, 0), body[:20]
