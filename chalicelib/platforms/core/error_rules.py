"""Platform errors: how their bodies are read, which rule says what they mean, and what a log may repeat of them.

Each platform has one table of rules. The first rule that shares a word with an error decides: its kind determines what
happens to the run and the connection, its code and message are what the studio sees.
"""

import json
import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec

from chalicelib.errors import LimitScope, PlatformError
from chalicelib.platforms.core.faults import Fault

Json = dict[str, Any]

_NUMBER = re.compile(r"-?[0-9]{1,8}(?:/-?[0-9]{1,10})?", re.ASCII)
_TRACE_ID = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)


class ErrorRule(msgspec.Struct, frozen=True):
    """What an error means that contains one of these words.

    A word is a status, a code, a reason, or a phrase of the message.
    """

    kind: type[PlatformError]
    signals: frozenset[str]
    code: str = ""
    """Empty: the default of its kind."""
    message: str = ""
    """For the studio: what happened, and what to do. Empty: the default of its kind."""
    scope: LimitScope = "account"

    def fault(self, reason: str = "", resume_at: datetime | None = None) -> Fault:
        return Fault(self.kind, reason, resume_at, self.scope, self.code, self.message)


Rules = tuple[ErrorRule, ...]


def judge(rules: Rules, words: Collection[str], *, otherwise: type[PlatformError]) -> ErrorRule:
    """The first rule that contains one of the words."""
    return next((rule for rule in rules if not rule.signals.isdisjoint(words)), ErrorRule(otherwise, frozenset()))


def words_of(rules: Rules) -> frozenset[str]:
    """Every word in the rules."""
    return frozenset().union(*(rule.signals for rule in rules))


def loggable(words: Iterable[str], vocabulary: Collection[str], *, trace_id: str = "") -> str:
    """What a log may repeat of an error: words of the platform's known vocabulary, numbers, and the id that the
    platform's support asks for. Everything else may quote an address, a name, or a customer's words.
    """
    known = [word for word in dict.fromkeys(words) if word in vocabulary or _NUMBER.fullmatch(word)]
    return " ".join([*known, trace_id] if _TRACE_ID.fullmatch(trace_id) else known)


def read_object(body: bytes) -> Json:
    """The members of a JSON object; empty for anything else. Invalid UTF-8 is ignored."""
    try:
        value = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def member(of: Json, name: str) -> Json:
    """The object under this name, or an empty one if the value is missing or of another type, like the functions
    below."""
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def members(of: Json, name: str) -> list[Json]:
    """The objects in the list under this name."""
    value = of.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text(of: Json, name: str) -> str:
    value = of.get(name)
    return value if isinstance(value, str) else ""


def number(of: Json, name: str) -> int:
    """A whole number, also if it is written as text; otherwise 0."""
    value = of.get(name)
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"-?[0-9]{1,10}", value, re.ASCII) else 0
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
