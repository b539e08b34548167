"""Security event tokens: those Google's key signed for us are accepted; of any other only the header is read."""

import hmac
import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import BadRequest
from chalicelib.security.signatures import MAX_TOKEN_LENGTH, key_id_of, open_security_event
from tests.security.hostile import DEEP, HOSTILE, unpadded

ISSUED = datetime(2026, 5, 4, tzinfo=UTC)
ISSUER = "https://accounts.google.com/"


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def public_key(private_key: rsa.RSAPrivateKey) -> dict[str, Any]:
    return json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key.public_key()))  # type: ignore[no-any-return]


def claims(**changes: Any) -> dict[str, Any]:
    issued = {
        "iss": ISSUER,
        "aud": "our client",
        "iat": int(ISSUED.timestamp()),
        "jti": "1",
        "events": {"verification": {}},
    }
    return {name: value for name, value in {**issued, **changes}.items() if value is not None}


def opened(token: str, key: dict[str, Any]) -> dict[str, Any]:
    return open_security_event(token, key, issuer=ISSUER, audiences=["our client", "our other client"])


@pytest.mark.parametrize("changes", [{}, {"exp": 1}, {"iat": 1}, {"aud": ["somebody", "our other client"]}])
def test_a_security_event_of_any_age_is_accepted(
    private_key: rsa.RSAPrivateKey, public_key: dict[str, Any], changes: dict[str, Any]
) -> None:
    token = jwt.encode(claims(**changes), private_key, algorithm="RS256", headers={"kid": "one"})
    assert key_id_of(token) == "one"
    assert opened(token, public_key) == claims(**changes)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": "another client"}, "invalid_audience"),
        ({"iss": "https://accounts.google.com"}, "invalid_issuer"),
        ({"iss": "https://accounts.example.com/"}, "invalid_issuer"),
        ({"events": None}, "invalid_request"),
        ({"jti": None}, "invalid_request"),
        ({"iat": None}, "invalid_request"),
        ({"iat": int(datetime(2999, 1, 1, tzinfo=UTC).timestamp())}, "invalid_request"),
        ({"iat": "yesterday"}, "invalid_request"),
        ({"iat": True}, "invalid_request"),
        ({"iat": []}, "invalid_request"),
        ({"iat": -1}, "invalid_request"),
        ({"iat": 10**400}, "invalid_request"),
        ({"iat": float("inf")}, "invalid_request"),
        ({"aud": {"our client": 1}}, "invalid_request"),
        ({"aud": []}, "invalid_audience"),
        ({"iss": [ISSUER]}, "invalid_request"),
        ({"jti": 1}, "invalid_request"),
        ({"events": [1]}, "invalid_request"),
        ({"events": {"verification": None}}, "invalid_request"),
    ],
)
def test_a_security_event_with_wrong_claims_is_refused_with_its_error_code(
    private_key: rsa.RSAPrivateKey, public_key: dict[str, Any], changes: dict[str, Any], code: str
) -> None:
    token = jwt.PyJWS().encode(json.dumps(claims(**changes)).encode(), private_key, algorithm="RS256")
    with pytest.raises(BadRequest) as caught:
        opened(token, public_key)
    assert caught.value.code == code


def test_a_security_event_signed_with_another_key_is_refused(public_key: dict[str, Any]) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(BadRequest) as caught:
        opened(jwt.encode(claims(), other, algorithm="RS256"), public_key)
    assert caught.value.code == "authentication_failed"


def test_no_other_algorithm_is_accepted_even_with_the_public_key_as_its_secret(
    private_key: rsa.RSAPrivateKey, public_key: dict[str, Any]
) -> None:
    head, body = (unpadded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims()))
    forged = hmac.digest(json.dumps(public_key).encode(), f"{head}.{body}".encode(), sha256)
    for token in (
        f"{head}.{body}.{unpadded(forged)}",
        jwt.encode(claims(), private_key, algorithm="RS512"),
        jwt.encode(claims(), "", algorithm="none"),
    ):
        with pytest.raises(BadRequest) as caught:
            opened(token, public_key)
        assert caught.value.code == "authentication_failed"


@pytest.mark.parametrize(
    "token", ["", "a.b", "a.b.c", "....", "\u00e9.\u00e9.\u00e9", unpadded(b'{"alg": "RS256"}') + ".e30.eA"]
)
def test_text_that_is_not_a_token_names_no_key(token: str) -> None:
    with pytest.raises(BadRequest) as caught:
        key_id_of(token)
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQ", "e": "AQAB"},
        {"kty": "RSA", "n": 5, "e": ["AQAB"]},
        {"kty": "RSA", "n": "\u00e9", "e": "AQAB"},
        {"kty": "RSA", "n": "9" * 171, "e": "AQAB"},
        {"kty": None},
    ],
)
def test_a_token_is_refused_if_the_key_is_not_a_valid_rsa_key(
    private_key: rsa.RSAPrivateKey, key: dict[str, Any]
) -> None:
    with pytest.raises(BadRequest) as caught:
        opened(jwt.encode(claims(), private_key, algorithm="RS256"), key)
    assert caught.value.code == "invalid_key"


def token_of(header: bytes, payload: bytes, signature: bytes = bytes(256)) -> str:
    return ".".join(map(unpadded, (header, payload, signature)))


GOOD_HEADER = b'{"alg": "RS256", "kid": "one"}'
BAD_HEADERS = [
    *HOSTILE,
    b'{"alg": "RS256", "kid": "one", "x": ' + DEEP,
    b'{"alg": "RS256", "kid": "one", "x": ' + b"[" * 1400 + b"]" * 1400 + b"}",
    b'{"alg": "RS256"}',
    b'{"alg": "RS256", "kid": 1}',
    b'{"alg": ["RS256"], "kid": "one"}',
    b'{"alg": "RS256", "kid": "\\ud800"}',
]


@pytest.mark.parametrize("header", BAD_HEADERS, ids=range(len(BAD_HEADERS)))
def test_an_invalid_header_names_no_key(header: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        key_id_of(token_of(header, b"{}"))
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512", "rs256", ""])
def test_a_token_with_another_algorithm_names_no_key(algorithm: str) -> None:
    """So the keys are not even fetched for it."""
    with pytest.raises(BadRequest) as caught:
        key_id_of(token_of(json.dumps({"alg": algorithm, "kid": "one"}).encode(), b"{}"))
    assert caught.value.code == "authentication_failed"


def test_a_token_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(BadRequest) as caught:
        key_id_of(token_of(GOOD_HEADER, b"{" * MAX_TOKEN_LENGTH))
    assert "too long" in caught.value.message


@settings(derandomize=True, max_examples=60)
@given(st.text(st.characters(exclude_categories=())))
def test_arbitrary_input_names_a_key_or_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        key_id_of(text)


@settings(derandomize=True, max_examples=60)
@given(st.one_of(st.sampled_from(HOSTILE), st.binary()))
def test_an_unsigned_token_is_refused_identically_whatever_it_contains(
    public_key: dict[str, Any], payload: bytes
) -> None:
    with pytest.raises(BadRequest) as caught:
        opened(token_of(GOOD_HEADER, payload), public_key)
    assert (caught.value.code, caught.value.message) == (
        "authentication_failed",
        "The signature does not match the token",
    )


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_a_signed_token_that_cannot_be_decoded_is_refused(
    private_key: rsa.RSAPrivateKey, public_key: dict[str, Any], payload: bytes
) -> None:
    with pytest.raises(BadRequest) as caught:
        opened(jwt.PyJWS().encode(payload, private_key, algorithm="RS256"), public_key)
    assert caught.value.code == "invalid_request"
