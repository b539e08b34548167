"""Responses: what a handler returns, how it is encoded, and the headers that go with it."""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Generic, TypeVar

import msgspec

from chalicelib.errors import AppError
from chalicelib.runtime.decoding import JSON
from chalicelib.runtime.problems import ErrorFormat, headers_of_error
from chalicelib.services.idempotency import EncodedResponse

T = TypeVar("T")

ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"')
ANY_ORIGIN: Mapping[str, str] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Location, Retry-After",
}
"""No credentials go with it, so that a page gets nothing that its visitor's browser knows and the page does not."""
PREFLIGHT_SECONDS = 86_400


class Response(msgspec.Struct, Generic[T], frozen=True):
    """What a handler returns where the value alone does not say it all. The route's status unless it has its own."""

    value: T
    status: int | None = None
    headers: Mapping[str, str] = {}
    """Beside those that every response has. A write that is repeated gets the Location again, and no other."""


class Created(Response[T], frozen=True, kw_only=True):
    """A response that says where what the request made is found."""

    location: str


class Redirect(Response[Any], frozen=True, kw_only=True):
    """Sends a browser on to an absolute URL. The route declares that it may: `redirects=True`."""

    value: None = None
    status: int = 303
    location: str


def content_type(media_type: str) -> str:
    return media_type if media_type == JSON else f"{media_type}; charset=utf-8"


def encode(returned: Any, *, status: int, produces: str, has_body: bool) -> EncodedResponse:
    """What a handler returned, as it is sent, with the status of its route."""
    response = returned if isinstance(returned, Response) else Response(returned)
    located = {"Location": response.location} if isinstance(response, Created | Redirect) else {}
    body = ""
    if has_body and not isinstance(response, Redirect):
        body = msgspec.json.encode(response.value).decode() if produces == JSON else response.value
    return EncodedResponse(status=response.status or status, body=body, headers={**response.headers, **located})


def encode_error(error: AppError, request_id: str, error_format: ErrorFormat) -> EncodedResponse:
    body = msgspec.json.encode(error_format.make(error, request_id)).decode()
    headers = {"Content-Type": error_format.content_type, **headers_of_error(error)}
    return EncodedResponse(status=error.status, body=body, headers=headers)


def unless_known(response: EncodedResponse, if_none_match: str | None) -> EncodedResponse:
    """A 304 without a body if the client knows this one already. The tag is weak: it is of the body alone."""
    tag = sha256(response.body.encode()).hexdigest()[:32]
    known = if_none_match or ""
    if response.status == 200 and (known.strip() == "*" or tag in ENTITY_TAG.findall(known)):
        return EncodedResponse(status=304, body="", headers={"ETag": f'W/"{tag}"'})
    return msgspec.structs.replace(response, headers={**response.headers, "ETag": f'W/"{tag}"'})


def preflight(methods: Iterable[str], headers: Iterable[str]) -> Response[None]:
    """What a browser asks before a page of another origin sends more than a plain GET or form."""
    return Response(
        None,
        headers={
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": ", ".join(["Content-Type", "If-None-Match", *headers]),
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        },
    )
