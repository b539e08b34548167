"""Cleans text from outside for the tables and for people: no markup, no entities."""

import re
from html import unescape
from html.entities import html5

LONGEST = 32_000

_ELEMENTS = (
    "a|abbr|acronym|address|area|article|aside|audio|b|base|bdi|bdo|big|blockquote|body|br|button|canvas|caption|"
    "center|cite|code|col|colgroup|data|datalist|dd|del|details|dfn|dialog|dir|div|dl|dt|em|embed|fieldset|figcaption|"
    "figure|font|footer|form|frame|frameset|h[1-6r]|head|header|hgroup|html|i|iframe|img|input|ins|kbd|label|legend|li|"
    "link|main|map|mark|menu|meta|meter|nav|noscript|o:p|object|ol|optgroup|option|output|p|param|picture|pre|progress|"
    "q|rp|rt|ruby|s|samp|script|search|section|select|slot|small|source|span|strike|strong|style|sub|summary|sup|table|"
    "tbody|td|template|textarea|tfoot|th|thead|time|title|tr|track|tt|u|ul|var|video|wbr"
)
_BREAKS = re.compile("br|p|div|li|tr|ul|ol|table|section|article|blockquote|pre|h[1-6r]|dt|dd")
_BREAKS_AT_END = re.compile("p|div|tr|ul|ol|table|section|article|blockquote|pre|h[1-6]|dt|dd")
_CELLS = frozenset({"td", "th"})
_UNSEEN = {name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII) for name in ("script", "style", "head", "title")}
_LINKS = re.compile(r"(?:https?|mailto|tel):", re.IGNORECASE)

# Only real markup is removed. `<ana@example.org>` and `a<b and c>d` are not markup: an element's name is followed only
# by attributes with a value, or by those that HTML allows without one.
_MARKUP = re.compile(
    rf"""
    <!doctype\b[^<>]*> | <!\[[^<>]*\]> | <\?xml[^<>]*>
    | < (?P<end>/?) (?P<name>{_ELEMENTS})(?=[\s/>])
        (?P<attributes>(?:
            (?:\s+|(?<=["'])) (?:
                [a-z_:@][\w:.@-]* \s*=\s* (?: "[^"<]*" | '[^'<]*' | [^\s"'<>]+ )
                | (?:checked|compact|controls|disabled|download|hidden|noshade|nowrap|open|reversed|selected) (?=[\s/>])
            )
        )*+)
        \s* /? >
    """,
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_ADDRESS = re.compile(r"""(?:^|[\s"'])href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))""", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|([A-Za-z][A-Za-z0-9]{1,31}));")


def clean(text: str | None) -> str | None:
    """None if nothing is left. PostgreSQL stores no NUL, UTF-8 no lone surrogates; at most 32,000 characters."""
    if text is None:
        return None
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "").strip()[:LONGEST] or None


def from_html(text: str | None) -> str | None:
    """The words of an HTML fragment, with a link's address in brackets after its words. Text without markup keeps its
    lines, and anything that only looks like a tag."""
    if text is None or ("<" not in text and "&" not in text):
        return clean(text)
    words = _words(_without_comments(text[:LONGEST]))
    if words is None:
        return from_entities(text)
    words = re.sub(r"[ \t\r\f\v\xa0]+", " ", words)
    return clean(re.sub(r" ?\n[ \n]*\n ?", "\n\n", words))


def from_entities(text: str | None) -> str | None:
    """Only complete entities count: `?a=1&copy=2` has none."""
    return clean(_ENTITY.sub(_character, text)) if text else None


def _character(entity: re.Match[str]) -> str:
    name = entity[1]
    return unescape(entity[0]) if name is None else html5.get(f"{name};", entity[0])


class _Words:
    """What a reader sees of markup, read from start to end."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._link: tuple[int, str] | None = None

    def read(self, text: str) -> None:
        self.parts.append(_ENTITY.sub(_character, text))

    def open(self, name: str, attributes: str) -> None:
        if name == "a":
            self.close("a")
            self._link = len(self.parts), _link_of(attributes)
        elif _BREAKS.fullmatch(name):
            self.parts.append("\n")
        elif name in _CELLS:
            self.parts.append(" ")

    def close(self, name: str) -> None:
        if name == "a" and self._link is not None:
            first, address = self._link
            self._link = None
            if address:
                self.parts[first:] = _with_address("".join(self.parts[first:]), address)
        elif _BREAKS_AT_END.fullmatch(name):
            self.parts.append("\n")


def _words(html: str) -> str | None:
    """None for a text without markup."""
    words, position, found = _Words(), 0, False
    while match := _MARKUP.search(html, position):
        found = True
        words.read(html[position : match.start()])
        position, name = match.end(), (match["name"] or "").lower()
        if match["end"]:
            words.close(name)
        elif name in _UNSEEN and (closing := _UNSEEN[name].search(html, position)):
            position = closing.start()
        else:
            words.open(name, match["attributes"] or "")
    words.read(html[position:])
    words.close("a")
    return "".join(words.parts) if found else None


def _without_comments(html: str) -> str:
    parts, position = [], 0
    while (first := html.find("<!--", position)) >= 0 and (last := html.find("-->", first + 4)) >= 0:
        parts.append(html[position:first])
        position = last + 3
    return "".join(parts) + html[position:]


def _link_of(attributes: str) -> str:
    found = _ADDRESS.search(attributes)
    address = from_entities(next(filter(None, found.groups()), "")) if found else None
    return address if address and _LINKS.match(address) else ""


def _with_address(words: str, address: str) -> list[str]:
    """The address of a link after its words, unless they are the same."""
    seen = words.rstrip()
    if not seen.strip():
        return [words, address]
    if _bare(seen) == _bare(address):
        return [words]
    return [seen, f" ({address.removeprefix('mailto:').removeprefix('tel:')})", words[len(seen) :]]


def _bare(address: str) -> str:
    return re.sub(r"^(?:https?://|mailto:|tel:)", "", address.strip().casefold()).rstrip("/")
