"""OAuth 2.0 as facts of a platform, and what is done with them: renewing a grant and giving it back."""

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote_plus

import msgspec
from msgspec import Meta

from chalicelib import clock
from chalicelib.errors import ContractChanged, Misconfigured, PlatformError, RateLimited, TokenRevoked, TransientFault
from chalicelib.platforms.client import decode
from chalicelib.platforms.faults import Fault, retry_after
from chalicelib.platforms.transport import FORM, Response, Transport
from chalicelib.secret import MASK, Secret

if TYPE_CHECKING:
    from chalicelib.platforms.base import Platform


@dataclass(frozen=True, kw_only=True)
class OAuth2:
    """How a platform speaks OAuth 2.0."""

    authorize_url: str
    token_url: str
    revoke_url: str = ""
    authorize_params: tuple[tuple[str, str], ...] = ()
    """What the authorize URL carries beyond RFC 6749."""
    identity_scopes: tuple[str, ...] = ()
    """Asked for beside the streams' scopes, to know who is connected."""
    scope_separator: str = " "
    client_auth: Literal["body", "basic"] = "body"


@dataclass(frozen=True)
class TokenGrant:
    """Without a `refresh_token` the present one stays; `scopes` is None when the platform does not tell them."""

    access_token: Secret
    refresh_token: Secret | None = None
    expires_in: int | None = None
    scopes: tuple[str, ...] | None = None


_TEN_YEARS = 10 * 365 * 86400


class _Answer(msgspec.Struct, frozen=True):
    access_token: str = ""
    refresh_token: str | None = None
    expires_in: Annotated[int, Meta(ge=0, le=_TEN_YEARS)] | Annotated[str, Meta(pattern="^[0-9]{1,8}$")] | None = None
    scope: str | None = None


class _Refusal(msgspec.Struct, frozen=True):
    """RFC 6749, 5.2; revocation answers in the same shape (RFC 7009, 2.2.1)."""

    error: str = ""
    error_description: str = ""


# Looked up by `error`, then by `error_description`: google-auth treats the last three as passing in either place.
_REFUSALS: dict[str, type[PlatformError]] = {
    "invalid_grant": TokenRevoked,
    "invalid_client": Misconfigured,
    "unauthorized_client": Misconfigured,
    "redirect_uri_mismatch": Misconfigured,
    "unsupported_grant_type": Misconfigured,
    "temporarily_unavailable": TransientFault,
    "server_error": TransientFault,
    "internal_failure": TransientFault,
}


def refresh(
    platform: "Platform",
    *,
    client_id: str,
    client_secret: Secret,
    refresh_token: Secret,
    sandbox_url: str = "",
    transport: Transport | None = None,
) -> TokenGrant:
    """Asks for a new access token.

    Raises TokenRevoked for `invalid_grant`, which the caller has to judge against a refresh that ran beside it;
    Misconfigured, TransientFault, RateLimited or ContractChanged for everything else.
    """
    from oauthlib.oauth2 import WebApplicationClient

    oauth = _oauth(platform)
    url, headers, body = WebApplicationClient(client_id).prepare_refresh_token_request(
        oauth.token_url, refresh_token=refresh_token.reveal(), **_credentials_in_body(oauth, client_id, client_secret)
    )
    headers = {**headers, **_credentials_in_header(oauth, client_id, client_secret)}
    transport = transport or Transport.to(platform, sandbox_url)
    response = transport.send("POST", url, headers=headers, form=body)
    outcome = _grant(response, oauth) if response.ok else _refusal(response, (client_secret, refresh_token))
    if isinstance(outcome, Fault):
        raise transport.error(outcome, "POST", url, response.status)
    return outcome


def revoke(platform: "Platform", *, token: Secret, sandbox_url: str = "", transport: Transport | None = None) -> bool:
    """Gives the grant back (RFC 7009). False when the platform no longer knows the token, or offers no revocation."""
    from oauthlib.oauth2 import WebApplicationClient

    oauth = _oauth(platform)
    if not oauth.revoke_url:
        return False
    url, headers, body = WebApplicationClient("").prepare_token_revocation_request(
        oauth.revoke_url, token.reveal(), token_type_hint=None
    )
    transport = transport or Transport.to(platform, sandbox_url)
    response = transport.send("POST", url, headers={**FORM, **headers}, form=body)
    if response.ok:
        return True
    refusal = _read_refusal(response)
    if response.status == 400 and refusal.error in ("invalid_token", "invalid_grant"):
        return False
    raise transport.error(_refusal(response, (token,)), "POST", url, response.status)


def _oauth(platform: "Platform") -> OAuth2:
    if platform.oauth is None:
        raise Misconfigured(f"{platform.title} has no OAuth")
    return platform.oauth


def _credentials_in_body(oauth: OAuth2, client_id: str, client_secret: Secret) -> dict[str, str]:
    if oauth.client_auth == "basic":
        return {}
    return {"client_id": client_id, "client_secret": client_secret.reveal()}


def _credentials_in_header(oauth: OAuth2, client_id: str, client_secret: Secret) -> dict[str, str]:
    """RFC 6749, 2.3.1: both parts are form-encoded before they are joined."""
    if oauth.client_auth == "body":
        return {}
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret.reveal())}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _grant(response: Response, oauth: OAuth2) -> TokenGrant | Fault:
    """The shape is checked first: oauthlib reads whatever is there, and its errors quote it."""
    from oauthlib.oauth2 import OAuth2Error, WebApplicationClient

    answer = decode(response.body, _Answer)
    if isinstance(answer, Fault):
        return answer
    try:
        token = WebApplicationClient("").parse_request_body_response(response.body.decode())
    except (OAuth2Error, ValueError):
        return Fault(ContractChanged, "the token answer cannot be read")
    if not answer.access_token:
        return Fault(ContractChanged, "the token answer has no access token")
    return TokenGrant(
        access_token=Secret(answer.access_token),
        refresh_token=Secret(answer.refresh_token) if answer.refresh_token else None,
        expires_in=token.get("expires_in"),
        scopes=_scopes(answer.scope, oauth.scope_separator),
    )


def _scopes(scope: str | None, separator: str) -> tuple[str, ...] | None:
    return None if scope is None else tuple(name for name in scope.split(separator) if name)


def _refusal(response: Response, secrets: tuple[Secret, ...]) -> Fault:
    refusal = _read_refusal(response)
    reason = f"{refusal.error} {refusal.error_description}".strip()
    for secret in secrets:
        reason = reason.replace(secret.reveal(), MASK) if secret else reason
    return Fault(_kind_of_refusal(response.status, refusal), reason, retry_after(response.headers, clock.now()))


def _kind_of_refusal(status: int, refusal: _Refusal) -> type[PlatformError]:
    if status == 429:
        return RateLimited
    named = _REFUSALS.get(refusal.error) or _REFUSALS.get(refusal.error_description)
    if status == 408 or status >= 500 or named is TransientFault:
        return TransientFault
    return named or ContractChanged


def _read_refusal(response: Response) -> _Refusal:
    refusal = decode(response.body, _Refusal)
    return _Refusal() if isinstance(refusal, Fault) else refusal
