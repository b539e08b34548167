"""The two values of the sandbox's HTTP: a request as a platform sees it, and its response."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

JSON_TYPE = "application/json; charset=UTF-8"

Json = dict[str, Any]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Response:
    """A response and how it is sent: with a pause of `pause` seconds in the middle, or cut off by the server."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0
    cut: Literal["", "reset", "truncated"] = ""


class Refusal(Exception):
    """Ends a request with the response it carries."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


@dataclass(frozen=True)
class Request:
    """One request; `path` starts after the host and is still percent-encoded, header names are lower-case."""

    method: str
    host: str
    path: str
    query: Pairs = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Json:
        """The body as a JSON object; an absent body is an empty one."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            raise Refusal(as_json({"error": "the body is not JSON"}, status=400)) from None
        if not isinstance(value, dict):
            raise Refusal(as_json({"error": "the body is not a JSON object"}, status=400))
        return value


def as_json(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # backslashreplace writes a lone surrogate as JSON escapes it; everything else stays UTF-8.
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Response(status, body, {"Content-Type": JSON_TYPE, **(headers or {})})
