"""URLs that remember their templates: an id in a path may be an e-mail address, which must not appear in logs."""

import re
from urllib.parse import quote, urlsplit

import msgspec

_SEGMENT = re.compile(r"(?:[A-Za-z][A-Za-z0-9_.-]*)?(?:\{[a-z_]+\})?(?::[A-Za-z]+)?", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}", re.ASCII)


class Url(msgspec.Struct, frozen=True):
    """The target of a request. Only `route` may be logged; the address, above all its query, must not be."""

    address: str
    route: str
    """Host and path as declared: `www.googleapis.com/calendar/v3/calendars/{calendar}/events`."""

    def __repr__(self) -> str:
        return f"Url({self.route})"

    def with_query(self, query: str) -> "Url":
        return Url(f"{self.address}?{query}", self.route) if query else self


def url_of(template: str, /, **values: str) -> Url:
    """The URL of a template with these values, each quoted as part of one path segment.

    The template itself is logged, so it has to be a constant. A template with anything but words and placeholders is
    rejected, because a value may have been formatted into it.
    """
    scheme, _, route = template.partition("://")
    host, *segments = route.split("/")
    if scheme != "https" or not host or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError("a URL template is https://, a host, and words or {placeholders}")
    address = _PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe=""), template)
    return Url(address, route)


def known(url: "Url | str") -> Url:
    """A plain string as a Url. No one declared which parts of its path may be logged, so none are."""
    return url if isinstance(url, Url) else Url(url, f"{urlsplit(url).hostname}/...")
