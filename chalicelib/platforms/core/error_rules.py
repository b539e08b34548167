"""Refusals: how their bodies are read, which rule says what they mean, and what a log may repeat of them.

Each platform has one table of rules. The first one that shares a word with a refusal decides: its kind says what
happens to the run and the connection, its code and message what the studio is told.
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


class Rule(msgspec.Struct, frozen=True):
    """What a refusal means that has one of these words in it.

    A word is a status, a code, a reason, or a phrase of the message.
    """

    kind: type[PlatformError]
    signals: frozenset[str]
    code: str = ""
    """Empty: the kind's."""
    message: str = ""
    """For the studio: what happened, and what to do. Empty: the kind's."""
    scope: LimitScope = "account"

    def fault(self, reason: str = "", resume_at: datetime | None = None) -> Fault:
        return Fault(self.kind, reason, resume_at, self.scope, self.code, self.message)


Rules = tuple[Rule, ...]


def judge(rules: Rules, words: Collection[str], *, otherwise: type[PlatformError]) -> Rule:
    """The first rule that knows one of the words."""
    return next((rule for rule in rules if not rule.signals.isdisjoint(words)), Rule(otherwise, frozenset()))


def words_of(rules: Rules) -> frozenset[str]:
    """Every word that the rules know."""
    return frozenset().union(*(rule.signals for rule in rules))


def loggable(told: Iterable[str], vocabulary: Collection[str], *, trace_id: str = "") -> str:
    """What a log may repeat of a refusal: words of the platform's known vocabulary, numbers, and the id that the
    platform's support asks for. Everything else may quote an address, a name, or what a customer wrote.
    """
    kept = [word for word in dict.fromkeys(told) if word in vocabulary or _NUMBER.fullmatch(word)]
    return " ".join([*kept, trace_id] if _TRACE_ID.fullmatch(trace_id) else kept)


def read_object(body: bytes) -> Json:
    """The members of a JSON object; none of what is none. Bytes that are not UTF-8 are passed over."""
    try:
        found = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def member(of: Json, name: str) -> Json:
    """The object under the name; an empty one where something else is there, null included. As the three below."""
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def members(of: Json, name: str) -> list[Json]:
    """The objects of the list under the name."""
    found = of.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def text(of: Json, name: str) -> str:
    found = of.get(name)
    return found if isinstance(found, str) else ""


def number(of: Json, name: str) -> int:
    """A whole number, also one that is written as text; 0 otherwise."""
    found = of.get(name)
    if isinstance(found, str):
        return int(found) if re.fullmatch(r"-?[0-9]{1,10}", found, re.ASCII) else 0
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
