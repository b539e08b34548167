"""What an appointment's title says: whether it is a job and of which kind, and whether it is certain."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Literal

import msgspec

from chalicelib.platforms.core import trade_words

Certainty = Literal["certain", "tentative", "called_off"]
Sense = Literal[
    "job", "perhaps", "photography", "consultation", "misleading", "no_job", "private", "tentative", "called_off"
]


KIND_ORDER = (*trade_words.KINDS, "other")
"""The first kind that a title names is its kind."""


class Title(msgspec.Struct, frozen=True):
    kind: str = "other"
    """One of `trade_words.KINDS`, `consultation` or `other`"""
    names_job: bool = False
    """Whether its words name a job, or a consultation about one"""
    certainty: Certainty = "certain"
    names_other: bool = False
    """Whether its words name something else, such as work at the desk or the dentist"""


SAYS_NOTHING = Title()


def read_title(title: str, folded: str) -> Title:
    """`folded` is `fold(title)`."""
    words = compiled_words()
    senses, rank = set(), len(KIND_ORDER) - 1
    for found in words.pattern.finditer(folded):
        sense, kind_rank = words.meanings[found[0]]
        senses.add(sense)
        rank = min(rank, kind_rank)
    if not senses:
        return SAYS_NOTHING
    names_job = "job" in senses or ("perhaps" in senses and "photography" in senses)
    return Title(
        kind="consultation" if "consultation" in senses else KIND_ORDER[rank],
        names_job=names_job and "no_job" not in senses,
        names_other="no_job" in senses or ("private" in senses and not names_job),
        certainty=_certainty(title, folded) if "tentative" in senses or "called_off" in senses else "certain",
    )


def _certainty(title: str, folded: str) -> Certainty:
    words = compiled_words()
    marks = {words.meanings[found[0]][0] for found in words.pattern.finditer(folded) if _stands_out(found, title)}
    return "called_off" if "called_off" in marks else "tentative" if "tentative" in marks else "certain"


def _stands_out(match: re.Match[str], title: str) -> bool:
    """At the beginning, at the end or in brackets: inside a title the same words mean something else ("the album option
    for Smith")."""
    if match.start() == 0 or match.end() == len(match.string) - 1:
        return True
    return any(fold(bracketed).startswith(match[0]) for bracketed in _BRACKETED.findall(title))


_BRACKETED = re.compile(r"[(\[{]([^)\]}]*)")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese put no spaces between words."""
_ACCENTS = re.compile(r"[\u0300-\u036f\ufe00-\ufe0f]")
"""Combining marks of Latin, Greek and Cyrillic letters, and variation selectors of symbols."""


def fold(text: str) -> str:
    """Its words in lower case and without accents, with a space before and after each.

    So every word begins with ` {word}`, in any script. In scripts without spaces each character is a word, and so
    is a symbol such as an emoji.
    """
    if text.isascii():
        return f" {' '.join(text.encode().translate(_ASCII_PIECES).decode().split())} "
    pieces = unicodedata.normalize("NFKD", text.casefold()).translate(_PIECES)
    return unicodedata.normalize("NFC", f" {' '.join(pieces.split())} ")


class _Pieces(dict[int, str]):
    """The replacement of each character, for `str.translate`."""

    def __missing__(self, code: int) -> str:
        self[code] = piece = self._piece(chr(code))
        return piece

    @staticmethod
    def _piece(character: str) -> str:
        category = unicodedata.category(character)
        if _ACCENTS.match(character):
            return ""
        if category == "So" or _UNSPACED.match(character):
            return f" {character} "
        return character.lower() if category[0] in "LNM" else " "


_PIECES = _Pieces()
_ASCII_PIECES = bytes(ord(_PIECES[code]) for code in range(128)) + bytes(128)
"""The same for `bytes.translate`, which looks nothing up; each is one character."""


def _entries() -> Iterator[tuple[str, Sense, str]]:
    """Each word of the tables with its sense and the kind of job it names."""
    by_kind: tuple[tuple[Sense, dict[str, str]], ...] = (("job", trade_words.KINDS), ("perhaps", trade_words.PERHAPS))
    tables: list[tuple[Sense, str, str]] = [
        *((sense, kind, words) for sense, table in by_kind for kind, words in table.items()),
        ("job", "other", trade_words.SHOOT),
        ("photography", "other", trade_words.PHOTOGRAPHY),
        ("consultation", "other", trade_words.CONSULTATION),
        ("misleading", "other", trade_words.MISLEADING),
        ("no_job", "other", trade_words.NO_JOB),
        ("private", "other", trade_words.PRIVATE),
        ("tentative", "other", trade_words.TENTATIVE),
        ("called_off", "other", trade_words.CALLED_OFF),
    ]
    for sense, kind, words in tables:
        for entry in words.split(","):
            yield " ".join(entry.split()), sense, kind


def _as_found(entry: str) -> str:
    """The part of a folded text that an entry of the tables matches."""
    return entry.strip("-") if entry.startswith("-") else f" {entry.strip('-')}"


def _any_of(texts: Iterable[str]) -> str:
    """An expression that matches any of these texts, the longest first; common prefixes are matched only once.

    A text that ends with `$` matches only at the end of a word.
    """
    rests: dict[str, set[str]] = {}
    for text in texts:
        rests.setdefault(text[:1], set()).add(text[1:])
    may_end = rests.pop("", None) is not None
    branches = [
        "(?= )" if first == "$" else re.escape(first) + _any_of(rests[first])
        for first in sorted(rests, key=lambda letter: (letter == "$", letter))
    ]
    return f"(?:{'|'.join(branches + [''] * may_end)})" if len(branches) + may_end > 1 else "".join(branches)


def word_pattern(words: str) -> re.Pattern[str]:
    """Finds any of these words, written as in `trade_words`, in a folded text."""
    entries = (" ".join(entry.split()) for entry in words.split(","))
    return re.compile(_any_of(_as_found(entry) + ("" if entry.endswith("-") else "$") for entry in entries))


def find_job_word(folded: str) -> str | None:
    """The first word in a folded text that names a job of the trade."""
    words = compiled_words()
    found = [(words.meanings[match[0]][0], match[0].strip()) for match in words.pattern.finditer(folded)]
    senses = {sense for sense, _ in found}
    return next(
        (word for sense, word in found if sense == "job" or (sense == "perhaps" and "photography" in senses)), None
    )


def find_perhaps_word(folded: str) -> str | None:
    """The first word that names a job of the trade only beside other signs."""
    words = compiled_words()
    found = ((words.meanings[match[0]][0], match[0].strip()) for match in words.pattern.finditer(folded))
    return next((word for sense, word in found if sense in ("perhaps", "photography")), None)


class Words(msgspec.Struct, frozen=True):
    """The tables, compiled."""

    pattern: re.Pattern[str]
    meanings: dict[str, tuple[Sense, int]]
    """By the text that the pattern found: its sense, and the index in KIND_ORDER of the kind it names"""


@cache
def compiled_words() -> Words:
    """Takes some milliseconds, so it waits until a calendar is read."""
    entries = list(_entries())
    texts = (_as_found(entry) + ("" if entry.endswith("-") else "$") for entry, _, _ in entries)
    meanings = {_as_found(entry): (sense, KIND_ORDER.index(kind)) for entry, sense, kind in entries}
    return Words(re.compile(_any_of(texts)), meanings)
