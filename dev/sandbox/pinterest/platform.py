"""Pinterest in the sandbox: its hosts, its token endpoint, the connected user, and its controls.

https://developers.pinterest.com/docs/api/v5
"""

import base64
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote_plus

from dev.sandbox.consent import Client, Codes, ConsentPage
from dev.sandbox.pinterest.grants import APP_ID, APP_SECRET, Claims, Grant, Grants, issue_token
from dev.sandbox.routing import Control, PathValues, Route
from dev.sandbox.wire import Json, Refusal, Request, Response, as_json

HOST, CONSENT_HOST = "api.pinterest.com", "www.pinterest.com"

FAILURES = {
    400: (1, "Invalid request"),
    401: (2, "Authentication failed."),
    403: (29, "You are not permitted to access that resource."),
    404: (0, "404 Not Found"),
    429: (8, "You have exceeded your rate limit. Try again later."),
}


class Pinterest:
    """Users are named `studio`, `empty` or `bulk-N`."""

    def __init__(self, state_dir: Path | None = None) -> None:
        self._grants = Grants(state_dir / "pinterest.json" if state_dir else None)
        self.client = Client(APP_ID, [APP_SECRET])
        self.codes = Codes()
        self.remaining = 999
        """What is left of each user's thousand requests per minute; at 0 they are refused."""

    def hosts(self) -> Mapping[str, Sequence[Route]]:
        page = ConsentPage(
            name="oauth.authorize",
            path="/oauth/",
            title="Pinterest",
            client=self.client,
            codes=self.codes,
            knows=_is_user,
            separator=",",
        )
        return {
            CONSENT_HOST: page.routes(),
            HOST: (
                Route("oauth/token", "POST", "/v5/oauth/token", self._token),
                Route("user_account/get", "GET", "/v5/user_account", self._user),
            ),
        }

    def failure(self, host: str, status: int) -> Response:
        code, message = FAILURES.get(
            status, FAILURES[400] if status < 500 else (12, "Something went wrong on our end.")
        )
        return as_json({"code": code, "message": message}, status=status)

    def controls(self) -> Sequence[Control]:
        return (
            Control("POST", "/pinterest/issue_token", lambda **given: asdict(issue_token(**given))),
            Control("POST", "/pinterest/revoke", self.revoke),
            Control("POST", "/pinterest/client-secrets", self.set_client_secrets),
            Control("POST", "/pinterest/expire-codes", self.codes.expire),
            Control("POST", "/pinterest/usage", self.set_usage),
        )

    def revoke(self, account: str = "studio") -> None:
        """The user removes the application: every earlier token is dead, new grants work."""
        self._grants.revoke(account)

    def set_client_secrets(self, secrets: Sequence[str]) -> None:
        """Sets the application's valid secrets."""
        self.client.secrets = list(secrets)

    def set_usage(self, remaining: int = 999) -> None:
        self.remaining = remaining

    def _token(self, request: Request, _: PathValues) -> Response:
        self._check_client(request)
        form = request.form()
        match form.get("grant_type"):
            case "authorization_code":
                grant, answer = self._exchange(form), "authorization_code"
            case "refresh_token":
                grant, answer = self._grants.refresh(form.get("refresh_token", "")), "refresh_token"
            case _:
                raise _refusal(400, 1, "Invalid grant_type")
        if grant is None:
            # pinterest/pinterest-python-sdk, issue 114
            raise _refusal(401, 283, "The authorization grant is invalid")
        return as_json(
            {
                "access_token": grant.access_token,
                "refresh_token": grant.refresh_token,
                "response_type": answer,
                "token_type": "bearer",
                "expires_in": grant.expires_in,
                "refresh_token_expires_in": grant.refresh_token_expires_in,
                "refresh_token_expires_at": int(time.time()) + grant.refresh_token_expires_in,
                "scope": " ".join(grant.scopes),
            }
        )

    def _exchange(self, form: Mapping[str, str]) -> Grant | None:
        consent = self.codes.take(form.get("code", ""))
        if consent is None or form.get("redirect_uri") != consent.redirect_uri:
            return None
        return issue_token(consent.account, consent.scopes)

    def _check_client(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            pair = base64.b64decode(given, validate=True).decode() if scheme.lower() == "basic" else ""
        except ValueError:
            pair = ""
        client_id, _, secret = pair.partition(":")
        if client_id != self.client.id or not self.client.accepts(unquote_plus(secret)):
            raise _refusal(401, 2, "Authentication failed.")

    def _user(self, request: Request, _: PathValues) -> Response:
        claims = self._authorised(request)
        if "user_accounts:read" not in claims.scopes:
            raise _refusal(403, 3, "Your application consumer type is not supported, or lacks user_accounts:read.")
        return as_json(_record(claims.account), headers=self._limits())

    def _authorised(self, request: Request) -> Claims:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        claims = self._grants.access(token.strip()) if scheme.lower() == "bearer" else None
        if claims is None or not _is_user(claims.account):
            raise _refusal(401, 2, "Authentication failed.")
        if self.remaining <= 0:
            raise _refusal(429, 8, FAILURES[429][1], headers=self._limits())
        return claims

    def _limits(self) -> Mapping[str, str]:
        return {
            "x-ratelimit-limit": "1000, 1000;w=60",
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": "42",
        }


def _is_user(name: str) -> bool:
    return re.fullmatch(r"studio|empty|bulk-\d{1,6}", name, re.ASCII) is not None


def _record(name: str) -> Json:
    studio = name == "studio"
    return {
        "id": f"2783{zlib.crc32(name.encode()):011}",
        "username": "lindenandlight" if studio else name.replace("-", ""),
        "account_type": "BUSINESS",
        "business_name": "Linden & Light Photography" if studio else None,
        "profile_image": None,
        "website_url": "https://lindenandlight.example" if studio else None,
        "about": None,
        "follower_count": 812 if studio else 0,
        "following_count": 40 if studio else 0,
        "board_count": 14 if studio else 0,
        "pin_count": 339 if studio else 0,
        "monthly_views": 16_300 if studio else 0,
    }


def _refusal(status: int, code: int, message: str, *, headers: Mapping[str, str] | None = None) -> Refusal:
    return Refusal(as_json({"code": code, "message": message}, status=status, headers=headers))
