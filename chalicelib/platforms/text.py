"""Text from elsewhere, made fit for the tables and for people: clean, decoded, without markup."""

import re
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import parseaddr
from html import unescape
from html.parser import HTMLParser

LONGEST = 32_000
_BREAKS = frozenset({"br", "p", "div", "li", "tr", "ul", "ol", "h1", "h2", "h3", "blockquote"})
_UNSEEN = frozenset({"script", "style", "head", "title"})


def clean(text: str | None) -> str | None:
    """None for nothing. PostgreSQL stores no NUL, UTF-8 no lone surrogate; at most 32,000 characters."""
    if text is None:
        return None
    return text.replace("\0", "").encode("utf-8", "replace").decode().strip()[:LONGEST] or None


def from_html(text: str | None) -> str | None:
    """The words of an HTML fragment; text without markup stays as it is."""
    if text is None or not re.search(r"[<&]", text):
        return clean(text)
    words = re.sub(r"[ \t\r\f\v\xa0]+", " ", _words(text[:LONGEST]))
    return clean(re.sub(r" ?\n[ \n]*\n ?", "\n\n", words))


def from_entities(text: str | None) -> str | None:
    return clean(unescape(text)) if text else None


def from_header(value: str | None) -> str | None:
    """A mail header's text, encoded words (RFC 2047) decoded; what cannot be decoded is shown replaced, never lost."""
    if value is None or "=?" not in value:
        return clean(value)
    try:
        parts = decode_header(value)
    except (HeaderParseError, ValueError):
        return clean(value)
    return clean("".join(part if isinstance(part, str) else _decoded(part, charset) for part, charset in parts))


def parse_mailbox(value: str | None) -> tuple[str | None, str | None]:
    """The name and the address of a From header, each None when it has none."""
    value = (clean(value) or "")[:1000]
    name, address = parseaddr(value)
    if "@" not in address:
        # A name the mail provider has decoded may hold a bare comma, which the grammar forbids: `Ruiz, Ana <a@b.c>`
        match = re.match(r"([^<]*)<\s*([^<>\s]+@[^<>\s]+)\s*>", value)
        name, address = match.groups() if match else (value, "")
    return from_header(name.strip(' "')), clean(address)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in _UNSEEN
        if tag in _BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        if tag in _BREAKS - {"br", "li"}:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)


def _words(html: str) -> str:
    parser = _Words()
    try:
        parser.feed(html)
        parser.close()
    except AssertionError:
        # html.parser asserts on some malformed declarations, `<![x` for one
        return unescape(re.sub(r"<[^>]*>?", " ", html))
    return "".join(parser.parts)


def _decoded(part: bytes, charset: str | None) -> str:
    try:
        return part.decode(charset or "ascii", "replace")
    except (LookupError, ValueError):
        return part.decode("latin-1")
