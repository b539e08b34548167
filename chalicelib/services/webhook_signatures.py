"""Signatures of inbound webhooks: fetches the keys that verify them; `security` does the verification."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from math import ceil
from typing import Any

from chalicelib import clock
from chalicelib.errors import BadRequest, PlatformError, Throttled, Unavailable
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.jwks import FIRST_RETRY_SECONDS, Key, KeySet
from chalicelib.platforms.core.transport import Transport
from chalicelib.security.signatures import key_id_of, open_security_event, open_signed_request
from chalicelib.services.connections.credentials import find_oauth_client
from chalicelib.settings import OAuthClient, get_settings


class PlatformVerifier:
    """`Verifier` for one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def open_signed_request(self, text: str) -> bytes:
        return open_signed_request(text, self._client().secrets)

    def open_security_event(self, token: str, *, issuer: str, keys_url: str) -> Mapping[str, Any]:
        client = self._client()
        key = self._find_key(key_id_of(token), keys_url)
        if key is None:
            raise BadRequest(f"The signing key is not one of {self._platform.title}'s", code="invalid_key")
        return open_security_event(token, key, issuer=issuer, audiences=[client.id])

    def _client(self) -> OAuthClient:
        """Raises BadRequest if this product is not registered there: then no webhook can be for it."""
        client = find_oauth_client(self._platform.name)
        if client is None:
            raise BadRequest("This product is not registered with the platform", code="invalid_audience")
        return client

    def _find_key(self, key_id: str, url: str) -> Key | None:
        transport = Transport.to(self._platform, get_settings().platform_sandbox_url)
        try:
            return key_set(url).find(key_id, transport)
        except PlatformError as error:
            seconds = _seconds_until(error.resume_at if isinstance(error, Throttled) else None)
            problem = f"{self._platform.title}'s keys cannot be read right now"
            raise Unavailable(problem, internal=str(error), retry_after_seconds=seconds) from error


@cache
def key_set(url: str) -> KeySet:
    return KeySet(url)


def _seconds_until(resume_at: datetime | None) -> int:
    seconds = (resume_at - clock.now()).total_seconds() if resume_at else FIRST_RETRY_SECONDS
    return max(1, ceil(seconds))
