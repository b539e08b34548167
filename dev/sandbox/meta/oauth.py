"""Meta's login: the dialog, the exchange of codes and tokens, token inspection, and removal of the application.

https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from dev.sandbox.consent import Client, Codes, ConsentPage
from dev.sandbox.meta.errors import expired_token, malformed_token, refusal, removed_application
from dev.sandbox.meta.grants import LIFETIME, Claims, Grant, Removals, issue_token, read
from dev.sandbox.routing import PathValues, Route
from dev.sandbox.wire import Json, Request, Response, as_json

HOST, DIALOG_HOST = "graph.facebook.com", "www.facebook.com"
APP_ID, APP_SECRET = "1000", "sandbox-meta-app-secret"  # useless outside the sandbox
SHORT_LIFETIME = 5_400
DATA_ACCESS = 90 * 86_400


class Holder(Protocol):
    """A user, by Meta's id."""

    record: Json


class OAuth:
    def __init__(self, removals: Removals, user: Callable[[str], Holder | None]) -> None:
        self._removals, self._user = removals, user
        self.client = Client(APP_ID, [APP_SECRET])
        self.codes = Codes("AQ")

    def routes(self) -> Mapping[str, tuple[Route, ...]]:
        page = ConsentPage(
            name="dialog.oauth",
            path="/v26.0/dialog/oauth",
            title="Meta",
            client=self.client,
            codes=self.codes,
            knows=lambda name: self._user(name) is not None,
            separator=",",
            denial=(
                ("error", "access_denied"),
                ("error_code", "200"),
                ("error_description", "Permissions error"),
                ("error_reason", "user_denied"),
            ),
            fragment="#_=_",
        )
        return {
            DIALOG_HOST: page.routes(),
            HOST: (
                Route("oauth.access_token", "GET", "/v26.0/oauth/access_token", self._token),
                Route("debug_token", "GET", "/v26.0/debug_token", self._inspect),
                Route("user.permissions.delete", "DELETE", "/v26.0/me/permissions", self._remove),
            ),
        }

    def _token(self, request: Request, _: PathValues) -> Response:
        params = dict(request.query)
        self._check_client(params.get("client_id", ""), params.get("client_secret", ""))
        if params.get("grant_type") == "fb_exchange_token":
            claims = self._living(params.get("fb_exchange_token", ""))
            grant = issue_token(claims.account, claims.scopes, LIFETIME, declined=claims.declined)
        else:
            grant = self._exchange(params)
        return as_json({"access_token": grant.access_token, "token_type": "bearer", "expires_in": grant.expires_in})

    def _exchange(self, params: Mapping[str, str]) -> Grant:
        code = params.get("code", "")
        if self.codes.was_used(code):
            raise refusal(100, "This authorization code has been used.", subcode=36009)
        consent = self.codes.take(code)
        if consent is None:
            raise refusal(100, "Invalid verification code format.")
        if params.get("redirect_uri") != consent.redirect_uri:
            message = (
                "Error validating verification code. Please make sure your redirect_uri is identical to the one you "
                "used in the OAuth dialog request"
            )
            raise refusal(100, message, subcode=36008)
        return issue_token(consent.account, consent.scopes, SHORT_LIFETIME, declined=consent.declined)

    def _inspect(self, request: Request, __: PathValues) -> Response:
        params = dict(request.query)
        client_id, _, secret = params.get("access_token", "").partition("|")
        self._check_client(client_id, secret)
        claims = read(params.get("input_token", ""))
        user = self._user(claims.account) if claims else None
        if claims is None or user is None:
            error = {"code": 190, "message": "Malformed access token"}
            return as_json({"data": {"error": error, "is_valid": False, "scopes": []}})
        alive = claims.expires_at > time.time() and not self._removals.covers(claims)
        granted_at = claims.granted_at // 1_000_000_000
        data = {
            "app_id": APP_ID,
            "type": "USER",
            "application": "Sandbox",
            "data_access_expires_at": granted_at + DATA_ACCESS,
            "expires_at": int(claims.expires_at),
            "is_valid": alive,
            "issued_at": granted_at,
            "scopes": claims.scopes,
            "user_id": user.record["id"],
        }
        return as_json({"data": data})

    def _remove(self, request: Request, __: PathValues) -> Response:
        """Without a named permission, all of them: this revokes the user's grant to the application."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token if scheme.lower() == "bearer" else dict(request.query).get("access_token", "")
        self._removals.remove(self._living(given).account)
        return as_json({"success": True})

    def _living(self, token: str) -> Claims:
        claims = read(token)
        if claims is None or self._user(claims.account) is None:
            raise malformed_token(token)
        if self._removals.covers(claims):
            raise removed_application()
        if claims.expires_at <= time.time():
            raise expired_token()
        return claims

    def _check_client(self, client_id: str, secret: str) -> None:
        if client_id != self.client.id:
            message = "Error validating application. Cannot get application info due to a system error."
            raise refusal(101, message)
        if not self.client.accepts(secret):
            raise refusal(1, "Error validating client secret.")


def signed_request(user_id: str, *, secret: str = APP_SECRET, **more: object) -> str:
    """What Meta posts when a user removes the application or asks for the deletion of data.

    https://developers.facebook.com/docs/facebook-login/guides/advanced/existing-system
    """
    told = {"algorithm": "HMAC-SHA256", "issued_at": int(time.time()), "user_id": user_id, **more}
    payload = _base64(json.dumps(told).encode())
    return f"{_base64(hmac.digest(secret.encode(), payload.encode(), hashlib.sha256))}.{payload}"


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
