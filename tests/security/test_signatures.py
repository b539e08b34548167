"""Signatures: what we sign a stranger's verifier accepts, and what was not signed for us does not get in."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from chalicelib.errors import BadRequest
from chalicelib.secret import Secret
from chalicelib.security.signatures import (
    key_id_of,
    new_webhook_secret,
    open_security_event,
    open_signed_request,
    sign_webhook,
)

ISSUED = datetime(2026, 5, 4, tzinfo=UTC)
BODY = b'{"type": "test"}'
OLD, NEW = Secret("the old app secret"), Secret("the new app secret")
ISSUER = "https://accounts.google.com/"


def headers(secret: Secret, *, age: timedelta = timedelta(), body: bytes = BODY) -> dict[str, str]:
    at = datetime.now(UTC) - age  # today: the vendor's verifier asks the machine how old a webhook is
    return sign_webhook(secret, message_id="0198c0de-0000-7000-8000-000000000001", at=at, body=body)


def test_the_vendors_own_verifier_accepts_what_we_sign() -> None:
    secret = new_webhook_secret()
    assert Webhook(secret.reveal()).verify(BODY, headers(secret)) == {"type": "test"}


def test_the_example_of_the_standard_is_signed_as_it_says() -> None:
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    signed = sign_webhook(secret, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", at=at, body=b'{"test": 2432232314}')
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_that_was_changed_on_its_way_is_refused() -> None:
    secret = new_webhook_secret()
    signed = headers(secret)
    a_second_later = str(int(signed["webhook-timestamp"]) + 1)
    for body, changed in (
        (BODY + b" ", {}),
        (BODY, {"webhook-id": "another"}),
        (BODY, {"webhook-timestamp": a_second_later}),
    ):
        with pytest.raises(WebhookVerificationError, match="No matching signature"):
            Webhook(secret.reveal()).verify(body, {**signed, **changed})


def test_a_webhook_is_refused_under_another_secret_and_when_it_is_old() -> None:
    secret = new_webhook_secret()
    for signed in (headers(new_webhook_secret()), headers(secret, age=timedelta(minutes=6))):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret.reveal()).verify(BODY, signed)


def test_a_secret_has_256_fresh_bits_in_the_standards_form() -> None:
    first, second = new_webhook_secret().reveal(), new_webhook_secret().reveal()
    assert first != second
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32


def unpadded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def signed_request(payload: Any, key: Secret = NEW) -> str:
    encoded = unpadded(json.dumps(payload).encode())
    return f"{unpadded(hmac.digest(key.reveal().encode(), encoded.encode(), sha256))}.{encoded}"


REQUEST = {"algorithm": "HMAC-SHA256", "user_id": "218471", "issued_at": 1291836800}


@pytest.mark.parametrize("key", [OLD, NEW], ids=["old", "new"])
def test_a_signed_request_opens_with_each_secret_that_is_live(key: Secret) -> None:
    assert json.loads(open_signed_request(signed_request(REQUEST, key), (NEW, OLD))) == REQUEST


@pytest.mark.parametrize(
    "text",
    [
        signed_request(REQUEST, Secret("somebody else's")),
        signed_request(REQUEST)[1:],
        "." + signed_request(REQUEST).partition(".")[2],
        signed_request(REQUEST).partition(".")[0] + "." + unpadded(json.dumps({**REQUEST, "user_id": "1"}).encode()),
        signed_request({**REQUEST, "algorithm": "none"}),
        signed_request({**REQUEST, "algorithm": 1}),
        signed_request({"user_id": "218471"}),
        signed_request([REQUEST]),
        signed_request(REQUEST) + "." + signed_request(REQUEST),
        "",
        ".",
        "no dot",
        "\u00e9.\u00e9",
    ],
)
def test_a_signed_request_that_is_not_ours_to_trust_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        open_signed_request(text, (NEW, OLD))
    assert caught.value.code == "invalid_signed_request"
    assert not text or text not in str(caught.value)


def test_without_a_secret_no_signed_request_opens() -> None:
    with pytest.raises(BadRequest):
        open_signed_request(signed_request(REQUEST, Secret("")), ())


@settings(derandomize=True, max_examples=60)
@given(st.text())
def test_whatever_is_sent_as_a_signed_request_is_refused_as_such(text: str) -> None:
    with pytest.raises(BadRequest):
        open_signed_request(text, (NEW,))


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
def test_a_security_event_of_whatever_age_opens(
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
    ],
)
def test_a_security_event_with_wrong_claims_is_refused_by_its_name(
    private_key: rsa.RSAPrivateKey, public_key: dict[str, Any], changes: dict[str, Any], code: str
) -> None:
    token = jwt.encode(claims(**changes), private_key, algorithm="RS256", headers={"kid": "one"})
    with pytest.raises(BadRequest) as caught:
        opened(token, public_key)
    assert caught.value.code == code


def test_a_security_event_signed_by_somebody_else_is_refused(public_key: dict[str, Any]) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(BadRequest) as caught:
        opened(jwt.encode(claims(), other, algorithm="RS256"), public_key)
    assert caught.value.code == "authentication_failed"


def test_no_other_algorithm_is_taken_not_even_with_the_public_key_as_its_secret(
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
def test_what_is_no_token_names_no_key(token: str) -> None:
    with pytest.raises(BadRequest) as caught:
        key_id_of(token)
    assert caught.value.code == "invalid_request"


def test_a_key_that_is_no_rsa_key_refuses_the_token(private_key: rsa.RSAPrivateKey) -> None:
    token = jwt.encode(claims(), private_key, algorithm="RS256")
    for key in ({"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA", "n": "AQ", "e": "AQAB"}, {}):
        with pytest.raises(BadRequest):
            opened(token, key)
