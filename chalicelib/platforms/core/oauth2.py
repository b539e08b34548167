"""OAuth 2.0: each platform's facts, and the operations on them: asking for consent, refreshing a grant, revoking it."""

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Literal, Protocol
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit, urlunsplit

import msgspec

from chalicelib.errors import ContractChanged, Misconfigured, PlatformError, ReconnectRequired, TokenExpired
from chalicelib.platforms.core.error_rules import ErrorRule, Rules, judge
from chalicelib.platforms.core.faults import Fault
from chalicelib.platforms.core.token_answers import (
    TOKEN_RULES,
    TokenGrant,
    classify_error,
    error_of,
    is_refusal,
    read_grant,
)
from chalicelib.platforms.core.transport import FORM, PlatformResponse, Site, Transport
from chalicelib.platforms.core.urls import Url, url_of
from chalicelib.secret import MASK, Secret

__all__ = ["OAuth2", "OAuthClient", "TokenGrant", "authorize_url", "exchange_code", "refresh", "revoke"]


class OAuthClient(Protocol):
    """This product's registration at a platform; the secrets are in the order they are tried."""

    @property
    def id(self) -> str: ...

    @property
    def secrets(self) -> Sequence[Secret]: ...


Fields = dict[str, str]


class OAuth2(msgspec.Struct, frozen=True, kw_only=True):
    """How a platform implements OAuth 2.0."""

    authorize_url: str
    token_url: str
    token_method: Literal["POST", "GET"] = "POST"  # noqa: S105 - a method of HTTP
    revoke_url: str = ""
    """Empty if the platform has no API to revoke a grant."""
    revoke_method: Literal["POST", "DELETE"] = "POST"
    """POST sends the token as a field (RFC 7009); DELETE is sent to the URL, authorized by the token."""
    authorize_params: tuple[tuple[str, str], ...] = ()
    """Parameters of the authorize URL beyond RFC 6749."""
    code_params: tuple[tuple[str, str], ...] = ()
    """Parameters of the code exchange beyond RFC 6749."""
    identity_scopes: tuple[str, ...] = ()
    """Requested in addition to the streams' scopes, to identify the account."""
    scope_separator: str = " "
    client_auth: Literal["body", "basic"] = "body"
    client_id_param: str = "client_id"
    """What the client's id is called in the authorize URL and at the token endpoint; RFC 6749 has the default."""
    client_secret_param: str = "client_secret"  # noqa: S105 - the name of a parameter
    pkce: bool = True
    """RFC 7636, with SHA-256."""
    lasting: Literal["refresh_token", "exchange"] = "refresh_token"
    """How a grant is kept alive: by a refresh token, or by exchanging the access token while it still works (Meta)."""
    exchange_type: str = ""
    """The `grant_type` of such an exchange"""
    exchange_param: str = ""
    """What the access token is called in it"""
    refresh_early: timedelta = timedelta(minutes=5)
    """A token this close to its expiry is refreshed before it is used."""
    refresh_before: timedelta | None = None
    """A token this close to its expiry is refreshed even if idle; None: never because of its expiry."""
    refresh_every: timedelta | None = None
    """A token of this age is refreshed even if idle, for grants that end when unused; None: never because of its
    age."""
    rules: Rules = TOKEN_RULES
    """What the error words of the token endpoint and the consent page mean."""
    classify: Callable[[PlatformResponse], Fault] | None = None
    """Classifies an error of the token endpoint, if it does not use the format of RFC 6749."""
    find_lifetime: Callable[[Transport, str, Secret, Secret], int | None] | None = None
    """Requests a token's remaining seconds if its grant does not say: (transport, client id, secret, token)."""

    def judge_error(self, response: PlatformResponse) -> Fault:
        return self.classify(response) if self.classify else classify_error(response, self.rules)

    def judge_redirect(self, error: str) -> ErrorRule:
        """The meaning of the error with which the consent page sends the browser back (RFC 6749, 4.1.2.1)."""
        return judge(self.rules, {error}, otherwise=ContractChanged)

    @property
    def needs_refresh_token(self) -> bool:
        """Whether a grant without a refresh token is lost as soon as its access token expires."""
        return self.lasting == "refresh_token"


class OAuthSite(Site, Protocol):
    """What OAuth needs to know about a platform; `oauth` is None if it has none."""

    @property
    def oauth(self) -> OAuth2 | None: ...


def authorize_url(
    platform: OAuthSite,
    *,
    client_id: str,
    redirect_uri: str,
    state: str,
    scopes: Iterable[str],
    verifier: Secret | None = None,
    sandbox_url: str = "",
) -> str:
    """The URL of the consent page. It requests only `scopes`, and does not contain the verifier itself."""
    from oauthlib.oauth2 import WebApplicationClient

    oauth = _oauth(platform)
    client = WebApplicationClient(client_id)
    extra = dict(oauth.authorize_params)
    if verifier is not None and oauth.pkce:
        challenge = client.create_code_challenge(verifier.reveal(), "S256")
        extra |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    url: str = client.prepare_request_uri(
        oauth.authorize_url,
        redirect_uri=redirect_uri,
        scope=oauth.scope_separator.join(dict.fromkeys(scopes)),
        state=state,
        **extra,
    )
    url = _renamed(url, "client_id", oauth.client_id_param)
    return f"{sandbox_url.rstrip('/')}/{url.removeprefix('https://')}" if sandbox_url else url


def _renamed(url: str, name: str, wanted: str) -> str:
    """With one parameter of the query under another name."""
    parts = urlsplit(url)
    query = [(wanted if found == name else found, value) for found, value in parse_qsl(parts.query)]
    return url if name == wanted else urlunsplit(parts._replace(query=urlencode(query)))


def exchange_code(
    platform: OAuthSite,
    *,
    client: OAuthClient,
    code: Secret,
    redirect_uri: str,
    verifier: Secret | None = None,
    sandbox_url: str = "",
    transport: Transport | None = None,
) -> TokenGrant:
    """The grant of a completed authorization; where tokens are exchanged, the long-lived one.

    Raises TokenRevoked for a code that is wrong, used or too old, and otherwise as `refresh` does.
    """
    oauth = _oauth(platform)
    endpoint = _TokenEndpoint(oauth, client, transport or Transport.to(platform, sandbox_url))
    fields = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_uri,
        **dict(oauth.code_params),
    }
    if verifier is not None and oauth.pkce:
        fields["code_verifier"] = verifier.reveal()
    grant = endpoint.ask(fields, (code, *([verifier] if verifier else [])))
    return endpoint.exchange(grant.access_token) if oauth.lasting == "exchange" else grant


def refresh(
    platform: OAuthSite,
    *,
    client: OAuthClient,
    access_token: Secret,
    refresh_token: Secret | None = None,
    sandbox_url: str = "",
    transport: Transport | None = None,
) -> TokenGrant:
    """Requests a new access token, trying each of the client's secrets until one is accepted.

    Raises TokenRevoked for a dead grant (the caller has to rule out that a concurrent refresh used up the token);
    Misconfigured, TransientFault, RateLimited or ContractChanged for everything else.
    """
    oauth = _oauth(platform)
    endpoint = _TokenEndpoint(oauth, client, transport or Transport.to(platform, sandbox_url))
    if oauth.lasting == "exchange":
        return endpoint.exchange(access_token)
    if refresh_token is None:
        raise TokenExpired(f"The connection has no refresh token to get a new access token from {platform.title}")
    return endpoint.ask({"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}, (refresh_token,))


def revoke(platform: OAuthSite, *, token: Secret, sandbox_url: str = "", transport: Transport | None = None) -> bool:
    """Revokes the grant. False if the platform no longer knows the token, or offers no revocation."""
    oauth = _oauth(platform)
    # A token that cannot be in a header was issued by no platform, and the HTTP library would quote it.
    if not oauth.revoke_url or not re.fullmatch(r"[\x21-\x7e]+", token.reveal()):
        return False
    transport = transport or Transport.to(platform, sandbox_url)
    if oauth.revoke_method == "DELETE":
        headers, body = {"Authorization": f"Bearer {token.reveal()}"}, None
    else:
        headers, body = dict(FORM), urlencode({"token": token.reveal()})
    url = url_of(oauth.revoke_url)
    response = transport.send(oauth.revoke_method, url, headers=headers, body=body)
    if response.ok and not error_of(response):
        return True
    fault = oauth.judge_error(response)
    unknown = response.status == 400 and error_of(response) == "invalid_token"
    if unknown or issubclass(fault.kind, ReconnectRequired):
        return False
    raise transport.error(_masked(fault, (token,)), oauth.revoke_method, url, response)


class _TokenEndpoint(msgspec.Struct, frozen=True):
    """The endpoint as one client sees it. The secrets are tried in order: an old one may have been withdrawn already, a
    new one may not be active yet."""

    oauth: OAuth2
    client: OAuthClient
    transport: Transport

    def exchange(self, token: Secret) -> TokenGrant:
        """Exchanges a valid token for a long-lived one."""
        fields = {"grant_type": self.oauth.exchange_type, self.oauth.exchange_param: token.reveal()}
        return self.ask(fields, (token,))

    def ask(self, fields: Fields, secrets: tuple[Secret, ...]) -> TokenGrant:
        """Raises as `refresh` does; errors must not quote `secrets`."""
        refused: PlatformError = Misconfigured(internal="the OAuth client has no secret")
        for secret in self.client.secrets:
            try:
                return self._ask_with(secret, fields, (*secrets, secret))
            except Misconfigured as error:
                refused = error
        raise refused

    def _ask_with(self, secret: Secret, fields: Fields, secrets: tuple[Secret, ...]) -> TokenGrant:
        oauth, response = self.oauth, self._send(secret, fields)
        outcome = read_grant(response) if response.ok and not is_refusal(response) else oauth.judge_error(response)
        if isinstance(outcome, Fault):
            outcome = _masked(outcome, secrets)
            raise self.transport.error(outcome, oauth.token_method, self._url, response)
        return self._with_lifetime(outcome, secret)

    def _with_lifetime(self, grant: TokenGrant, secret: Secret) -> TokenGrant:
        """A token without a known lifetime would never be refreshed; at Meta, 0 seconds may mean that it never
        expires."""
        if grant.expires_in or self.oauth.find_lifetime is None:
            return grant
        seconds = self.oauth.find_lifetime(self.transport, self.client.id, secret, grant.access_token)
        return msgspec.structs.replace(grant, expires_in=seconds)

    def _send(self, secret: Secret, fields: Fields) -> PlatformResponse:
        from oauthlib.oauth2.rfc6749.parameters import prepare_token_request

        oauth, headers = self.oauth, dict(FORM)
        if oauth.client_auth == "basic":
            # RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
            pair = f"{quote_plus(self.client.id)}:{quote_plus(secret.reveal())}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            fields = {**fields, oauth.client_id_param: self.client.id, oauth.client_secret_param: secret.reveal()}
        form = prepare_token_request(**fields, include_client_id=oauth.client_auth == "body")
        if oauth.token_method == "GET":  # noqa: S105 - a method of HTTP
            return self.transport.send("GET", self._url.with_query(form), headers={})
        return self.transport.send("POST", self._url, headers=headers, body=form)

    @property
    def _url(self) -> Url:
        return url_of(self.oauth.token_url)


def _oauth(platform: OAuthSite) -> OAuth2:
    if platform.oauth is None:
        raise Misconfigured(f"{platform.title} has no OAuth")
    return platform.oauth


def _masked(fault: Fault, secrets: Iterable[Secret]) -> Fault:
    """Platforms quote the values they reject."""
    reason = fault.reason
    for secret in secrets:
        reason = reason.replace(secret.reveal(), MASK) if secret else reason
    return msgspec.structs.replace(fault, reason=reason)
