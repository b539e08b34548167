"""Addresses that remember their templates: an id in a path may be an e-mail address, which no log may have."""

import re
from urllib.parse import quote, urlsplit

import msgspec

_SEGMENT = re.compile(r"(?:[A-Za-z][A-Za-z0-9_.-]*)?(?:\{[a-z_]+\})?(?::[A-Za-z]+)?", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}", re.ASCII)


class Url(msgspec.Struct, frozen=True):
    """Where a request goes. Only `route` may be logged; the address, its query above all, may not."""

    address: str
    route: str
    """Host and path as they were declared: `www.googleapis.com/calendar/v3/calendars/{calendar}/events`."""

    def __repr__(self) -> str:
        return f"Url({self.route})"

    def with_query(self, query: str) -> "Url":
        return Url(f"{self.address}?{query}", self.route) if query else self


def url_of(template: str, /, **values: str) -> Url:
    """The address that a template gives with these values, each of them quoted as part of one segment of the path.

    The template itself is logged, so it has to be a constant. One with anything but words and placeholders is refused,
    as it would be with a value written into it.
    """
    scheme, _, route = template.partition("://")
    host, *segments = route.split("/")
    if scheme != "https" or not host or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError("the template of an address is https://, a host, and words or {placeholders}")
    address = _PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe=""), template)
    return Url(address, route)


def known(url: "Url | str") -> Url:
    """A bare address as a Url: what of its path may be logged nobody has said, so nothing is."""
    return url if isinstance(url, Url) else Url(url, f"{urlsplit(url).hostname}/...")
