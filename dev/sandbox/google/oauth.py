"""Google's OAuth 2.0 endpoints: renewing, inspecting and revoking tokens, and who their user is.

https://developers.google.com/identity/protocols/oauth2/web-server
"""

import hmac
from collections.abc import Callable, Mapping

from dev.sandbox.google.accounts import Account
from dev.sandbox.google.errors import oauth_refusal
from dev.sandbox.google.grants import CLIENT_ID, CLIENT_SECRET, LIFETIME, SCOPE, Claims, Grants, access_token
from dev.sandbox.google.methods import Call, Method
from dev.sandbox.routing import PathValues, Route
from dev.sandbox.wire import Json, Request, Response, as_json

HOST = "oauth2.googleapis.com"
API_HOST = "www.googleapis.com"

EMAIL, PROFILE = SCOPE + "userinfo.email", SCOPE + "userinfo.profile"


class OAuth:
    """The endpoints that take a token as their subject rather than as a credential."""

    def __init__(self, grants: Grants, account: Callable[[str], Account | None]) -> None:
        self._grants, self._account = grants, account

    def routes(self) -> Mapping[str, tuple[Route, ...]]:
        return {
            HOST: (
                Route("oauth2.token", "POST", "/token", self._token),
                Route("oauth2.revoke", "POST", "/revoke", self._revoke),
                Route("oauth2.tokeninfo", "GET", "/tokeninfo", self._inspect),
                Route("oauth2.tokeninfo", "POST", "/tokeninfo", self._inspect),
            ),
            API_HOST: (Route("oauth2.tokeninfo", "POST", "/oauth2/v2/tokeninfo", self._tokeninfo),),
        }

    def _token(self, request: Request, _: PathValues) -> Response:
        """Renews an access token; Google sends no new refresh token with it."""
        form = request.form()
        _check_client(form)
        if form.get("grant_type") != "refresh_token":
            raise oauth_refusal(400, "unsupported_grant_type", "Invalid grant_type: the sandbox renews tokens only")
        granted = self._grants.refresh(form.get("refresh_token", ""))
        if granted is None or self._account(granted.account) is None:
            raise oauth_refusal(400, "invalid_grant", "Token has been expired or revoked.")
        answer = {
            "access_token": access_token(granted),
            "expires_in": LIFETIME - 1,
            "scope": " ".join(granted.scopes),
            "token_type": "Bearer",
        }
        return as_json(answer, headers={"Cache-Control": "no-store"})

    def _revoke(self, request: Request, _: PathValues) -> Response:
        token = request.form().get("token") or dict(request.query).get("token", "")
        granted = self._grants.access(token) or self._grants.refresh(token)
        if granted is None:
            raise oauth_refusal(400, "invalid_token", "Token expired or revoked")
        self._grants.revoke(granted.account)
        return as_json({})

    def _tokeninfo(self, request: Request, _: PathValues) -> Response:
        """The v2 form, as the discovery document of oauth2 describes it."""
        claims, account = self._subject(request)
        info = {
            "issued_to": CLIENT_ID,
            "audience": CLIENT_ID,
            "user_id": account.user_id,
            "scope": " ".join(claims.scopes),
            "expires_in": claims.expires_in(),
        }
        if EMAIL in claims.scopes:
            info |= {"email": account.owner.email, "verified_email": True}
        return as_json(info)

    def _inspect(self, request: Request, _: PathValues) -> Response:
        """The newer form, where numbers and flags are texts."""
        claims, account = self._subject(request)
        info = {
            "azp": CLIENT_ID,
            "aud": CLIENT_ID,
            "sub": account.user_id,
            "scope": " ".join(claims.scopes),
            "exp": str(int(claims.expires_at)),
            "expires_in": str(claims.expires_in()),
            "access_type": "offline",
        }
        if EMAIL in claims.scopes:
            info |= {"email": account.owner.email, "email_verified": "true"}
        return as_json(info)

    def _subject(self, request: Request) -> tuple[Claims, Account]:
        token = request.form().get("access_token") or dict(request.query).get("access_token", "")
        claims = self._grants.access(token)
        account = self._account(claims.account) if claims else None
        if claims is None or account is None:
            raise oauth_refusal(400, "invalid_token", "Invalid Value")
        return claims, account


def _check_client(form: Mapping[str, str]) -> None:
    if form.get("client_id") != CLIENT_ID:
        raise oauth_refusal(401, "invalid_client", "The OAuth client was not found.")
    if not hmac.compare_digest(form.get("client_secret", "").encode(), CLIENT_SECRET.encode()):
        raise oauth_refusal(401, "invalid_client", "Unauthorized")


def get_userinfo(call: Call) -> Response:
    account = call.account
    info: Json = {"id": account.user_id}
    if EMAIL in call.scopes:
        info |= {"email": account.owner.email, "verified_email": True}
    if PROFILE in call.scopes:
        given, _, family = account.owner.name.partition(" ")
        info |= {"name": account.owner.name, "given_name": given, "family_name": family}
    return as_json(info)


METHODS = (Method("oauth2.userinfo.get", "/oauth2/v2/userinfo", ("openid", EMAIL, PROFILE), get_userinfo),)
