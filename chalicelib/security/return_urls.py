"""Where a browser may be redirected after an authorization: no open redirect."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from chalicelib.urls import split_url

# Only what every browser parses as we do: no percent sign, backslash or control character, no empty segment between
# slashes. A user name or another port makes a different authority, which is compared as a whole.
_SHAPE = re.compile(r"[a-z]+://[^/?#\\\s]+(/[\w.~!$&'()*+,;=:@-]+)*/?(\?[\w.~!$&'()*+,;=:@/?%-]*)?", re.ASCII)


def is_allowed(url: str, allowed: Iterable[str]) -> bool:
    """Whether `url` has exactly the scheme, host and port of an allowed one, and its path or one below it."""
    parts = split_url(url) if _SHAPE.fullmatch(url) else None
    if parts is None or {".", ".."} & set(parts.path.split("/")):
        return False
    return any(
        (parts.scheme, parts.netloc) == (known.scheme, known.netloc) and _is_below(parts.path, known.path)
        for known in map(split_url, allowed)
        if known is not None
    )


def with_params(url: str, params: Mapping[str, str]) -> str:
    """The URL with more query parameters; those without a value are omitted."""
    query = urlencode({name: value for name, value in params.items() if value})
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _is_below(path: str, known: str) -> bool:
    root = known.rstrip("/")
    return path.rstrip("/") == root or path.startswith(f"{root}/")
