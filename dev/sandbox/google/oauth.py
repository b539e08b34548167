"""Google's OAuth 2.0 endpoints: consent, exchanging codes, refreshing, inspecting and revoking tokens, and user info.

https://developers.google.com/identity/protocols/oauth2/web-server
"""

from collections.abc import Callable, Mapping, Sequence

from dev.sandbox.consent import Client, Codes, ConsentPage
from dev.sandbox.google import security_events
from dev.sandbox.google.accounts import Account
from dev.sandbox.google.errors import oauth_error
from dev.sandbox.google.grants import (
    CLIENT_ID,
    CLIENT_SECRET,
    CODE_PREFIX,
    LIFETIME,
    SCOPE,
    Claims,
    Grants,
    access_token,
    issue_token,
)
from dev.sandbox.google.methods import Call, Method
from dev.sandbox.routing import PathValues, Route
from dev.sandbox.wire import Json, Request, Response, as_json

HOST = "oauth2.googleapis.com"
CONSENT_HOST = "accounts.google.com"
API_HOST = "www.googleapis.com"

EMAIL, PROFILE = SCOPE + "userinfo.email", SCOPE + "userinfo.profile"


class OAuth:
    """Endpoints for which the token is the subject, not the credential."""

    def __init__(self, grants: Grants, account: Callable[[str], Account | None]) -> None:
        self._grants, self._account = grants, account
        self.client = Client(CLIENT_ID, [CLIENT_SECRET])
        self.codes = Codes(CODE_PREFIX)
        self.refresh_lifetime: int | None = None
        """Returned with every grant while the application's consent screen is in Testing."""

    def routes(self) -> Mapping[str, tuple[Route, ...]]:
        page = ConsentPage(
            name="oauth2.authorize",
            path="/o/oauth2/v2/auth",
            title="Google",
            client=self.client,
            codes=self.codes,
            knows=lambda name: self._account(name) is not None,
            pkce=True,
            rename={"email": EMAIL, "profile": PROFILE},
        )
        risc = security_events.routes()
        return {
            CONSENT_HOST: (*page.routes(), *risc[CONSENT_HOST]),
            HOST: (
                Route("oauth2.token", "POST", "/token", self._token),
                Route("oauth2.revoke", "POST", "/revoke", self._revoke),
                Route("oauth2.tokeninfo", "GET", "/tokeninfo", self._inspect),
                Route("oauth2.tokeninfo", "POST", "/tokeninfo", self._inspect),
            ),
            API_HOST: (
                Route("oauth2.tokeninfo", "POST", "/oauth2/v2/tokeninfo", self._tokeninfo),
                *risc[API_HOST],
            ),
        }

    def _token(self, request: Request, _: PathValues) -> Response:
        form = request.form()
        self._check_client(form)
        match form.get("grant_type"):
            case "authorization_code":
                answer = self._exchange(form)
            case "refresh_token":
                answer = self._refresh(form)
            case other:
                raise oauth_error(400, "unsupported_grant_type", f"Invalid grant_type: {other}")
        return as_json({**answer, "token_type": "Bearer"}, headers={"Cache-Control": "no-store"})

    def _exchange(self, form: Mapping[str, str]) -> Json:
        """A refresh token is issued only on request, and only for a fresh consent."""
        consent = self.codes.take(form.get("code", ""))
        if consent is None:
            raise oauth_error(400, "invalid_grant", "Malformed auth code.")
        if form.get("redirect_uri") != consent.redirect_uri:
            raise oauth_error(400, "redirect_uri_mismatch", "Bad Request")
        if not consent.is_proved_by(form.get("code_verifier", "")):
            missing = "code_verifier" not in form
            raise oauth_error(400, "invalid_grant", f"{'Missing' if missing else 'Invalid'} code verifier.")
        grant = issue_token(consent.account, consent.scopes)
        answer = self._granted(grant.access_token, grant.scopes)
        offline = (consent.params.get("access_type"), consent.params.get("prompt")) == ("offline", "consent")
        return {**answer, "refresh_token": grant.refresh_token} if offline else answer

    def _refresh(self, form: Mapping[str, str]) -> Json:
        """Google sends no new refresh token with a new access token."""
        granted = self._grants.refresh(form.get("refresh_token", ""))
        if granted is None or self._account(granted.account) is None:
            raise oauth_error(400, "invalid_grant", "Token has been expired or revoked.")
        return self._granted(access_token(granted), granted.scopes)

    def _granted(self, token: str, scopes: Sequence[str]) -> Json:
        answer: Json = {"access_token": token, "expires_in": LIFETIME - 1, "scope": " ".join(scopes)}
        return {**answer, "refresh_token_expires_in": self.refresh_lifetime} if self.refresh_lifetime else answer

    def _revoke(self, request: Request, _: PathValues) -> Response:
        token = request.form().get("token") or dict(request.query).get("token", "")
        granted = self._grants.access(token) or self._grants.refresh(token)
        if granted is None:
            raise oauth_error(400, "invalid_token", "Token expired or revoked")
        self._grants.revoke(granted.account)
        return as_json({})

    def _tokeninfo(self, request: Request, _: PathValues) -> Response:
        """The v2 format, as the discovery document of oauth2 describes it."""
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
        """The newer format, in which numbers and flags are strings."""
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
            raise oauth_error(400, "invalid_token", "Invalid Value")
        return claims, account

    def _check_client(self, form: Mapping[str, str]) -> None:
        if form.get("client_id") != self.client.id:
            raise oauth_error(401, "invalid_client", "The OAuth client was not found.")
        if not self.client.accepts(form.get("client_secret", "")):
            raise oauth_error(401, "invalid_client", "Unauthorized")


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
