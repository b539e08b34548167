"""Callbacks that platforms send to an application: Google's security event tokens, Meta's signed requests."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dev.sandbox import CLIENT_ID
from dev.sandbox.google.security_events import RISC
from dev.sandbox.meta import APP_SECRET
from tests.dev.sandbox_client import SandboxClient


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def verified(client: SandboxClient, token: str) -> dict[str, Any]:
    """The claims of a token, verified as Google documents it, with the key found through the configuration."""
    configuration = client.send("GET", "/accounts.google.com/.well-known/risc-configuration").json
    keys = client.send("GET", f"/{configuration['jwks_uri'].removeprefix('https://')}").json["keys"]
    header, claims, signature = token.split(".")
    [key] = [each for each in keys if each["kid"] == json.loads(decoded(header))["kid"]]
    n, e = (int.from_bytes(decoded(key[name]), "big") for name in ("n", "e"))
    public = rsa.RSAPublicNumbers(e, n).public_key()
    public.verify(decoded(signature), f"{header}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    told: dict[str, Any] = json.loads(decoded(claims))
    assert told["iss"] == configuration["issuer"]
    return told


def test_a_security_event_is_signed_and_names_the_user(google: SandboxClient) -> None:
    event = RISC + "account-disabled"
    token = google.control("POST", "/security-event", event=event, account="empty", reason="hijacking").json["token"]
    claims = verified(google, token)
    assert claims["aud"] == CLIENT_ID
    [(kind, about)] = claims["events"].items()
    assert (kind, about["reason"]) == (event, "hijacking")
    info = google.acting_for("empty").get("/www.googleapis.com/oauth2/v2/userinfo").json
    assert about["subject"]["sub"] == info["id"]


def test_each_security_event_has_its_own_id(google: SandboxClient) -> None:
    first, second = (verified(google, google.sandbox.google.security_event()) for _ in range(2))
    assert first["jti"] != second["jti"]


def test_a_changed_security_event_does_not_verify(google: SandboxClient) -> None:
    header, claims, signature = google.sandbox.google.security_event().split(".")
    changed = base64.urlsafe_b64encode(decoded(claims).replace(b"studio", b"stud10") + b" ").rstrip(b"=").decode()
    with pytest.raises(InvalidSignature):
        verified(google, f"{header}.{changed}.{signature}")


def test_a_signed_request_verifies_with_the_applications_secret(google: SandboxClient) -> None:
    token = google.control("POST", "/meta/signed-request", account="studio").json["token"]
    signature, payload = token.split(".")
    assert hmac.compare_digest(decoded(signature), hmac.digest(APP_SECRET.encode(), payload.encode(), hashlib.sha256))
    told = json.loads(decoded(payload))
    assert told["algorithm"] == "HMAC-SHA256"
    assert told["user_id"] == google.sandbox.meta.user("studio").record["id"]
