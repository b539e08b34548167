"""Mail headers as readers see them: encoded words decoded, mailboxes parsed (RFC 5322, RFC 2047).

The standard library parses the same header differently from one release to the next, so we do not use it here.
"""

import re
from binascii import Error, a2b_base64
from codecs import lookup
from collections.abc import Iterator
from itertools import groupby, islice
from typing import NamedTuple

from chalicelib.platforms.core.text import clean

LONGEST_HEADER = 4_000
"""How many characters of a header are searched for mailboxes."""
MOST_MAILBOXES = 50
LONGEST_ADDRESS = 254
"""RFC 5321 4.5.3.1.3, without the angle brackets."""

_ENCODED = r"=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?="
_ENCODED_WORD = re.compile(_ENCODED)
_ENCODED_WORDS = re.compile(rf"{_ENCODED}(?:\s*{_ENCODED})*")
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")

# As browsers read them (encoding.spec.whatwg.org): the names promise less than the bytes hold.
_CHARSETS = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "gb2312": "gb18030", "ks_c_5601-1987": "cp949"}
_NO_CHARSETS = re.compile("ascii|idna|mbcs|oem|punycode|(raw[-_])?unicode[-_]escape|undefined|utf-7")
"""Python text codecs that mail is never written in, and ASCII, which proves nothing."""

_TOKEN = re.compile(
    r"""
    (?P<quoted>"(?:[^"\\]|\\.)*+")
    | (?P<comment>\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*+\))*+\))
    | (?P<angle><[^<>]*+(?:>|$))
    | (?P<separator>[,;])
    | (?P<unclosed>"(?:[^"\\]|\\.)*+\\?$|\((?:[^()\\]|\\.)*+\\?$)
    | (?P<text>[^"(<,;]++|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ATOM = r"""[^\s"(),.:;<>@\[\\\]]+"""
_ADDR_SPEC = re.compile(
    rf"""(?:{_ATOM}(?:\.+{_ATOM})*\.*|"(?:[^"\\]|\\.)*")@(?:{_ATOM}(?:\.{_ATOM})*|\[[0-9A-Fa-fIPv:.]+\])""", re.DOTALL
)
"""Beyond the grammar, it allows consecutive dots in the local part: a Japanese provider issues such addresses."""
_GROUP = re.compile(r"""[^"<>@:,;()]*:(.*);\s*""", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

Token = tuple[str, str]
"""Its kind, which is a group of `_TOKEN`, and the text."""


class Mailbox(NamedTuple):
    """The owner's name and the address; each None if absent."""

    name: str | None
    address: str | None


NOBODY = Mailbox(None, None)


def from_header(value: str | None) -> str | None:
    """A header's text on one line. Bytes that cannot be decoded are replaced, never dropped."""
    if value is None:
        return None
    unfolded = _unfolded(value)
    decoded = _ENCODED_WORDS.sub(_decoded, unfolded) if "=?" in unfolded else unfolded
    return clean(_UNPRINTED.sub("", re.sub(r"[\t\r\n]+", " ", decoded)))


def parse_mailbox(value: str | None) -> Mailbox:
    """The first mailbox of a header such as From."""
    first = next(_mailboxes(value), NOBODY)
    if first.address is None and first.name and value and "=?" in value and "@" in first.name:
        # The whole of `Ana <ana@example.org>` as one encoded word, which RFC 2047 forbids but some senders write.
        return next(_mailboxes(first.name), NOBODY)
    return first


def parse_mailboxes(value: str | None) -> list[Mailbox]:
    """The mailboxes of a header such as To, in order; at most 50."""
    return list(islice(_mailboxes(value), MOST_MAILBOXES))


def _mailboxes(value: str | None) -> Iterator[Mailbox]:
    if not value:
        return iter(())
    header = _unfolded(value[:LONGEST_HEADER]).strip()
    group = _GROUP.fullmatch(header)
    mailboxes = (_mailbox(tokens) for tokens in _split(group[1] if group else header))
    return (mailbox for mailbox in mailboxes if mailbox != NOBODY)


def _unfolded(value: str) -> str:
    return re.sub(r"[ \t]*[\r\n]\s*", " ", value)


def _split(header: str) -> Iterator[list[Token]]:
    """Splits at commas and semicolons. One without an address before it is part of a name that should have been quoted,
    such as `Ruiz, Ana <ana@example.org>`."""
    part: list[Token] = []
    addressed = False
    for kind, text in _tokens(header):
        if kind == "separator" and addressed:
            yield part
            part, addressed = [], False
        else:
            part.append((kind, text))
            addressed = addressed or (kind in ("angle", "text") and "@" in text)
    yield part


def _tokens(header: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(header):
        if match.lastgroup == "unclosed":
            yield from _tokens(re.sub(r'["(]', "", match[0]))
        else:
            yield match.lastgroup or "text", match[0]


def _mailbox(tokens: list[Token]) -> Mailbox:
    angles = [index for index, (kind, _) in enumerate(tokens) if kind == "angle"]
    in_angles = [index for index in angles if "@" in tokens[index][1]] or angles
    if in_angles:
        place = in_angles[-1]
        address = _address(tokens[place][1].strip("<>"))
        name = _phrase(tokens[:place]) or _phrase(tokens[place + 1 :])
    else:
        name, address = _bare(tokens)
    if name is not None and address is not None and name.casefold() == address.casefold():
        name = None
    return Mailbox(name, address)


def _bare(tokens: list[Token]) -> Mailbox:
    """An address without angle brackets, and the text around it."""
    for index, (kind, text) in enumerate(tokens):
        words = text.split() if kind == "text" and "@" in text else []
        for place, word in enumerate(words):
            if address := _address(word):
                rest = ("text", " ".join(words[:place] + words[place + 1 :]))
                return Mailbox(_phrase([*tokens[:index], rest, *tokens[index + 1 :]]), address)
    if len(tokens) == 1 and tokens[0][0] == "quoted" and (address := _address(_unquoted(tokens[0][1]))):
        return Mailbox(None, address)
    return Mailbox(_phrase(tokens), None)


def _phrase(tokens: list[Token]) -> str | None:
    """A name. Comments are part of it; a comment alone is the name."""
    words = [(kind, text) for kind, text in tokens if text.strip(" \t,;")]
    if len(words) == 1 and words[0][0] == "comment":
        return _name(_ESCAPED.sub(r"\1", words[0][1][1:-1]))
    return _name("".join(_unquoted(text) if kind == "quoted" else text.strip("<>") for kind, text in tokens))


def _name(text: str) -> str | None:
    name = (from_header(text) or "").strip(" ,;")
    for quote in "\"'":  # encoded with its quotes, or in Outlook's single ones
        if len(name) > 1 and name[0] == name[-1] == quote:
            name = name[1:-1].strip()
    return name or None


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1])


def _address(text: str) -> str | None:
    bare = re.sub(r"^(?:mailto:|@[^:]*:)", "", text.strip(), flags=re.IGNORECASE)
    address = clean(bare.rstrip("."))
    if address is None or len(address) > LONGEST_ADDRESS or _UNPRINTED.search(address):
        return None
    return address if _ADDR_SPEC.fullmatch(address) else None


def _decoded(run: re.Match[str]) -> str:
    """Decodes adjacent encoded words. The bytes of one character may be split across two of them."""
    words = [_word(*match.groups()) for match in _ENCODED_WORD.finditer(run[0])]
    runs = groupby(words, key=lambda word: word[0])
    return "".join(_text(b"".join(content for _, content in parts), charset) for charset, parts in runs)


def _word(charset: str, encoding: str, text: str) -> tuple[str, bytes]:
    if encoding in "qQ":
        content = text.replace("_", " ").encode("utf-8", "replace")
        return charset.lower(), re.sub(rb"=([0-9A-Fa-f]{2})", lambda byte: bytes.fromhex(byte[1].decode()), content)
    packed = re.sub(r"\s", "", text)
    try:
        if _BASE64.fullmatch(packed):
            return charset.lower(), a2b_base64(packed.rstrip("=") + "==")
    except Error:
        pass
    return "utf-8", f"=?{charset}?{encoding}?{text}?=".encode("utf-8", "replace")


def _text(content: bytes, charset: str) -> str:
    try:
        name = lookup(_CHARSETS.get(charset, charset)).name
        if not _NO_CHARSETS.fullmatch(name):
            return content.decode(name, "replace")
    except (LookupError, ValueError):
        pass
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
