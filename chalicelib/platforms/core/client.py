"""The authorized HTTP client that fetchers use; the only place where HTTP becomes typed data or an error."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec

from chalicelib import clock
from chalicelib.errors import PlatformError, TokenExpired
from chalicelib.platforms.core.accounts import ConnectedAccount
from chalicelib.platforms.core.decoding import decode
from chalicelib.platforms.core.faults import Fault, kind_of
from chalicelib.platforms.core.quota import Usage
from chalicelib.platforms.core.transport import FORM, JSON, PlatformResponse, Site, Transport
from chalicelib.platforms.core.urls import Url, known
from chalicelib.secret import MASK, Secret

T = TypeVar("T")
Fields = Mapping[str, str] | Sequence[tuple[str, str]]


class Api(Site, Protocol):
    """What the client needs to know about a platform: what it is sent, and how to read its errors and quotas."""

    @property
    def usage(self) -> Callable[[Mapping[str, str], datetime], Sequence[Usage]] | None: ...
    @property
    def classify(self) -> Callable[[PlatformResponse], Fault | None] | None: ...
    @property
    def find_hidden_error(self) -> Callable[[PlatformResponse], Fault | None] | None: ...
    @property
    def headers(self) -> Mapping[str, Mapping[str, str]]: ...


class _Request(NamedTuple):
    """The body is sent a second time when the first token was refused; in a form, the token itself may be wanted."""

    method: str
    url: Url
    form: Fields | None = None
    json: bytes | None = None
    token_field: str = ""

    def body(self, token: str) -> str | bytes | None:
        if self.form is None:
            return self.json
        return urlencode([*_pairs(self.form), (self.token_field, token)] if self.token_field else _pairs(self.form))

    @property
    def content_type(self) -> Mapping[str, str]:
        return FORM if self.form is not None else JSON if self.json is not None else {}


class Client:
    """Sends requests to one platform on behalf of one connection.

    If the platform rejects the access token as expired, `refresh` is called once for a new one and the request is sent
    again. `api_calls` counts every request sent, `usage` holds what the latest responses reported about the quotas, by
    scope, and `heartbeat` is called before each request: it may raise to stop. `account_id` is the account's external
    id, for platforms that we call with our own key. `account` is the account to read, for streams that read one account
    of a grant.
    """

    def __init__(
        self,
        platform: Api,
        access_token: Secret,
        *,
        account_id: str = "",
        sandbox_url: str = "",
        refresh: Callable[[], Secret] | None = None,
        heartbeat: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = clock.now,
        transport: Transport | None = None,
    ) -> None:
        self.account = ConnectedAccount()
        self.account_id = account_id
        self.api_calls = 0
        self.usage: dict[str, Usage] = {}
        self._platform = platform
        self._token = access_token
        self._refresh = refresh
        self._heartbeat = heartbeat
        self._now = now
        self._transport = transport or Transport.to(platform, sandbox_url)

    def now(self) -> datetime:
        """The current time, for streams that read up to today; aware UTC."""
        return self._now()

    def get(self, url: Url | str, params: Fields = (), *, into: type[T]) -> T:
        """Raises PlatformError unless the response is a 2xx that decodes into `into`.

        For a plain string logs show only the host: `url_of` declares what else they may show.
        """
        request = _Request("GET", _with_query(url, params))
        return self._decoded(self._send(request), request, into)

    def find(self, url: Url | str, params: Fields = (), *, into: type[T]) -> T | None:
        """Like `get`, but returns None if the platform responds with 404."""
        request = _Request("GET", _with_query(url, params))
        response = self._send(request, accept_404=True)
        return None if response.status == 404 else self._decoded(response, request, into)

    def post_form(self, url: Url | str, fields: Fields = (), *, into: type[T], token_field: str = "") -> T:
        """`token_field` names a form field that also carries the access token, for platforms that require it."""
        request = _Request("POST", known(url), form=fields, token_field=token_field)
        return self._decoded(self._send(request), request, into)

    def post_json(self, url: Url | str, body: Any, *, into: type[T]) -> T:
        """`body` is what msgspec can encode: a struct, or plain values."""
        request = _Request("POST", known(url), json=msgspec.json.encode(body))
        return self._decoded(self._send(request), request, into)

    def _send(self, request: _Request, *, accept_404: bool = False) -> PlatformResponse:
        try:
            return self._attempt(request, accept_404)
        except TokenExpired:
            if self._refresh is None:
                raise
        self._token = self._refresh()
        return self._attempt(request, accept_404)

    def _attempt(self, request: _Request, accept_404: bool) -> PlatformResponse:
        token = self._token.reveal()
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            # The HTTP library would include the whole value in its exception.
            unsendable = Fault(TokenExpired, "the token contains characters that a header cannot hold")
            raise self._transport.error(unsendable, request.method, request.url)
        headers = {
            **self._headers_of(request.url),
            **request.content_type,
            "Authorization": f"Bearer {token}",
        }
        self._heartbeat()
        self.api_calls += 1
        response = self._transport.send(request.method, request.url, headers=headers, body=request.body(token))
        self._note_usage(response)
        fault = None if accept_404 and response.status == 404 else self._judge(response)
        if fault is not None:
            raise self._error(fault, response, request)
        return response

    def _headers_of(self, url: Url) -> dict[str, str]:
        path = url.address.partition("?")[0] + "/"
        wanted = [headers for start, headers in self._platform.headers.items() if path.startswith(f"{start}/")]
        return {name: value for headers in wanted for name, value in headers.items()}

    def _judge(self, response: PlatformResponse) -> Fault | None:
        """What is wrong with an answer, if anything is."""
        judge = self._platform.find_hidden_error if response.ok else self._platform.classify
        fault = judge(response) if judge else None
        return fault or (None if response.ok else Fault(kind_of(response.status)))

    def _note_usage(self, response: PlatformResponse) -> None:
        if self._platform.usage is not None:
            self.usage |= {usage.scope: usage for usage in self._platform.usage(response.headers, self._now())}

    def _error(self, fault: Fault, response: PlatformResponse, request: _Request) -> PlatformError:
        fault = msgspec.structs.replace(fault, reason=fault.reason.replace(self._token.reveal(), MASK))
        return self._transport.error(fault, request.method, request.url, response, now=self._now())

    def _decoded(self, response: PlatformResponse, request: _Request, into: type[T]) -> T:
        outcome = decode(response.body, into)
        if isinstance(outcome, Fault):
            raise self._transport.error(outcome, request.method, request.url, response, now=self._now())
        return outcome


def _with_query(url: Url | str, params: Fields) -> Url:
    return known(url).with_query(urlencode(_pairs(params)))


def _pairs(fields: Fields) -> list[tuple[str, str]]:
    return list(fields.items() if isinstance(fields, Mapping) else fields)
