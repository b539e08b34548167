"""The platforms' side of an authorization: a page that asks the user, and the resulting single-use code.

Each choice on the page can also be made in its URL: `&auto=approve` or `&auto=deny`, `&account=empty`, and
`&scopes=a b` for the requested scopes to grant.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from threading import Lock
from urllib.parse import parse_qsl, urlencode, urlsplit

from dev.sandbox.routing import PathValues, Route
from dev.sandbox.wire import Refusal, Request, Response

CODE_LIFETIME = 600
HTML = {"Content-Type": "text/html; charset=UTF-8", "Cache-Control": "no-store"}


@dataclass
class Client:
    """The product's registration. Any of its secrets works, so that one can be replaced without a gap."""

    id: str
    secrets: list[str] = field(repr=False)

    def accepts(self, secret: str) -> bool:
        return any(hmac.compare_digest(secret.encode(), each.encode()) for each in self.secrets)


@dataclass(frozen=True)
class Consent:
    """What a user agreed to, and what the exchange of the code must match."""

    account: str
    scopes: tuple[str, ...]
    declined: tuple[str, ...]
    redirect_uri: str
    challenge: str
    params: Mapping[str, str]
    """All parameters of the authorize URL."""
    given_at: float

    def is_proved_by(self, verifier: str) -> bool:
        """RFC 7636, 4.6; without a challenge, no verifier is needed."""
        digest = hashlib.sha256(verifier.encode()).digest()
        return not self.challenge or hmac.compare_digest(
            base64.urlsafe_b64encode(digest).rstrip(b"="), self.challenge.encode()
        )


class Codes:
    """Codes that have not been exchanged yet. They do not outlive the sandbox."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._consents: dict[str, Consent] = {}
        self._used: set[str] = set()
        self._lock = Lock()

    def issue(self, consent: Consent) -> str:
        code = self._prefix + secrets.token_urlsafe(24)
        with self._lock:
            self._consents[code] = consent
        return code

    def take(self, code: str) -> Consent | None:
        """The consent of a valid code, which becomes invalid."""
        with self._lock:
            consent = self._consents.pop(code, None)
            self._used.add(code)
        return consent if consent and time.time() < consent.given_at + CODE_LIFETIME else None

    def was_used(self, code: str) -> bool:
        return code in self._used

    def expire(self) -> None:
        """Expires every code that has not been exchanged yet."""
        with self._lock:
            self._consents.clear()


@dataclass(frozen=True, kw_only=True)
class ConsentPage:
    """A vendor's authorize endpoint."""

    name: str
    path: str
    title: str
    client: Client
    codes: Codes
    knows: Callable[[str], bool]
    """Whether an account of this name exists."""
    separator: str = " "
    denial: tuple[tuple[str, str], ...] = (("error", "access_denied"),)
    fragment: str = ""
    pkce: bool = False
    rename: Mapping[str, str] = field(default_factory=dict)
    """Scopes that are granted under another name than the requested one."""

    def routes(self) -> tuple[Route, ...]:
        return tuple(Route(self.name, method, self.path, self._answer) for method in ("GET", "POST"))

    def _answer(self, request: Request, _: PathValues) -> Response:
        params = dict(request.query)
        self._check(params)
        asked = tuple(dict.fromkeys(each for each in params.get("scope", "").split(self.separator) if each))
        if params.get("response_type") != "code" or not asked:
            error = "unsupported_response_type" if asked else "invalid_scope"
            return self._redirect(params, {"error": error})
        if request.method == "POST":
            form = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
            ticked = tuple(value for name, value in form if name == "scope")
            return self._decide(params, dict(form).get("decision", ""), dict(form).get("account", ""), asked, ticked)
        if "auto" not in params:
            return self._page(request, params, asked)
        wanted = tuple(params.get("scopes", " ".join(asked)).replace(",", " ").split())
        return self._decide(params, params["auto"], params.get("account", "studio"), asked, wanted)

    def _check(self, params: Mapping[str, str]) -> None:
        """Never redirects to an address that came with the wrong client."""
        if params.get("client_id") != self.client.id:
            raise Refusal(_plain(400, "invalid_client: the OAuth client was not found"))
        if not _is_address(params.get("redirect_uri", "")):
            raise Refusal(_plain(400, "redirect_uri_mismatch: the redirect URI is not registered for the application"))
        if self.pkce and params.get("code_challenge") and params.get("code_challenge_method") != "S256":
            raise Refusal(_plain(400, "invalid_request: code_challenge_method must be S256"))

    def _decide(
        self, params: Mapping[str, str], decision: str, account: str, asked: Sequence[str], wanted: Sequence[str]
    ) -> Response:
        if decision == "deny":
            return self._redirect(params, dict(self.denial))
        if decision != "approve":
            return _plain(400, "the decision must be approve or deny")
        if not self.knows(account):
            return _plain(400, "unknown account: use studio, empty or bulk-N")
        granted = tuple(self.rename.get(scope, scope) for scope in asked if scope in wanted)
        consent = Consent(
            account=account,
            scopes=granted,
            declined=tuple(scope for scope in asked if scope not in wanted),
            redirect_uri=params["redirect_uri"],
            challenge=params.get("code_challenge", "") if self.pkce else "",
            params=params,
            given_at=time.time(),
        )
        return self._redirect(params, {"code": self.codes.issue(consent)})

    def _redirect(self, params: Mapping[str, str], answer: Mapping[str, str]) -> Response:
        told = {**answer, **({"state": params["state"]} if "state" in params else {})}
        address = params["redirect_uri"]
        joint = "&" if urlsplit(address).query else "?"
        location = f"{address}{joint}{urlencode(told)}{self.fragment}"
        return Response(302, b"", {"Location": location, "Cache-Control": "no-store"})

    def _page(self, request: Request, params: Mapping[str, str], asked: Sequence[str]) -> Response:
        boxes = "".join(
            f'<p><label><input type="checkbox" name="scope" value="{scope}" checked> {scope}</label></p>'
            for scope in map(escape, asked)
        )
        accounts = "".join(f"<option>{name}</option>" for name in ("studio", "empty", "bulk-100"))
        action = f"/{request.host}{request.path}?{urlencode(request.query)}"
        page = (
            f'<!doctype html><html lang="en"><title>{self.title} (sandbox)</title><h1>{self.title} (sandbox)</h1>'
            f"<p>{escape(urlsplit(params['redirect_uri']).netloc)} wants access to this account:</p>"
            f'<form method="post" action="{escape(action)}"><p><select name="account">{accounts}</select></p>{boxes}'
            '<button name="decision" value="approve">Allow</button> <button name="decision" value="deny">Deny</button>'
            "</form></html>"
        )
        return Response(200, page.encode(), HTML)


def _is_address(redirect_uri: str) -> bool:
    try:
        address = urlsplit(redirect_uri)
    except ValueError:
        return False
    return address.scheme in ("http", "https") and bool(address.netloc) and not address.fragment


def _plain(status: int, text: str) -> Response:
    return Response(status, escape(text).encode(), HTML)
