"""Signatures: independent verifiers accept ours, and input that was not signed for us is refused."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from chalicelib.errors import BadRequest
from chalicelib.secret import Secret
from chalicelib.security.signatures import (
    new_webhook_secret,
    open_signed_request,
    sign_webhook,
)
from tests.security.hostile import HOSTILE, unpadded

ISSUED = datetime(2026, 5, 4, tzinfo=UTC)
BODY = b'{"type": "test"}'
OLD, NEW = Secret("the old app secret"), Secret("the new app secret")


def headers(secret: Secret, *, age: timedelta = timedelta(), body: bytes = BODY) -> dict[str, str]:
    at = datetime.now(UTC) - age  # today: the vendor's verifier compares with the system clock
    return sign_webhook(secret, message_id="0198c0de-0000-7000-8000-000000000001", at=at, body=body)


def test_the_vendors_own_verifier_accepts_our_signatures() -> None:
    secret = new_webhook_secret()
    assert Webhook(secret.reveal()).verify(BODY, headers(secret)) == {"type": "test"}


def test_the_standards_example_is_signed_as_specified() -> None:
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    signed = sign_webhook(secret, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", at=at, body=b'{"test": 2432232314}')
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_changed_in_transit_is_refused() -> None:
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


def test_a_webhook_with_another_secret_or_an_old_timestamp_is_refused() -> None:
    secret = new_webhook_secret()
    for signed in (headers(new_webhook_secret()), headers(secret, age=timedelta(minutes=6))):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret.reveal()).verify(BODY, signed)


def test_a_secret_has_256_random_bits_in_the_standards_format() -> None:
    first, second = new_webhook_secret().reveal(), new_webhook_secret().reveal()
    assert first != second
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32


def signed_request(payload: Any, key: Secret = NEW) -> str:
    encoded = unpadded(json.dumps(payload).encode())
    return f"{unpadded(hmac.digest(key.reveal().encode(), encoded.encode(), sha256))}.{encoded}"


REQUEST = {"algorithm": "HMAC-SHA256", "user_id": "218471", "issued_at": 1291836800}


@pytest.mark.parametrize("key", [OLD, NEW], ids=["old", "new"])
def test_a_signed_request_is_accepted_with_each_current_secret(key: Secret) -> None:
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
def test_an_untrusted_signed_request_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        open_signed_request(text, (NEW, OLD))
    assert caught.value.code == "invalid_signed_request"
    assert not text or text not in str(caught.value)


def test_without_a_secret_every_signed_request_is_refused() -> None:
    with pytest.raises(BadRequest):
        open_signed_request(signed_request(REQUEST, Secret("")), ())


@settings(derandomize=True, max_examples=60)
@given(st.text(st.characters(exclude_categories=())))
def test_arbitrary_input_is_refused_as_a_signed_request(text: str) -> None:
    with pytest.raises(BadRequest):
        open_signed_request(text, (NEW,))


def forged(payload: bytes) -> str:
    return f"{unpadded(bytes(32))}.{unpadded(payload)}"


def genuine(payload: bytes) -> str:
    encoded = unpadded(payload)
    return f"{unpadded(hmac.digest(NEW.reveal().encode(), encoded.encode(), sha256))}.{encoded}"


@settings(derandomize=True, max_examples=60)
@given(st.one_of(st.sampled_from(HOSTILE), st.binary()))
def test_unsigned_payloads_are_refused_identically_whatever_they_contain(payload: bytes) -> None:
    """None of it was parsed, so none of it is revealed."""
    with pytest.raises(BadRequest) as caught:
        open_signed_request(forged(payload), (NEW, OLD))
    assert caught.value.message == "The signature does not match the signed request"


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_a_signed_payload_that_cannot_be_decoded_is_refused(payload: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        open_signed_request(genuine(payload), (NEW, OLD))
    assert caught.value.message == "The signed request is malformed"


def test_the_signature_covers_the_payload_exactly_as_sent() -> None:
    """The same bytes in another Base64 spelling are a different payload."""
    signature, _, payload = signed_request({**REQUEST, "x": "?>"}).partition(".")
    for respelled in (payload + "=", payload + "==", payload.replace("_", "/").replace("-", "+")):
        if respelled != payload:
            with pytest.raises(BadRequest):
                open_signed_request(f"{signature}.{respelled}", (NEW,))
