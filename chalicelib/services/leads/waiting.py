"""Who waits: messages as turns that ask or answer, and what follows from them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from chalicelib.platforms.core.records import MessageRecord, ThreadRecord
from chalicelib.services.leads.candidates import is_of_person, is_of_studio, is_to, mailboxes
from chalicelib.services.leads.thanks import only_thanks

Effect = Literal["asks", "answers"]


class Turn(msgspec.Struct, frozen=True):
    """A message that asks for an answer, or gives one."""

    at: datetime
    effect: Effect


class Marks(msgspec.Struct, frozen=True):
    """What the studio noted by hand."""

    answered_at: datetime | None = None
    """Of an answer that no connected platform shows, such as a call"""
    no_answer_needed_at: datetime | None = None
    """Messages up to this time need no answer"""


NO_MARKS = Marks()


def effects_of(thread: ThreadRecord, first: MessageRecord | None, addresses: Iterable[str] = ()) -> list[Effect | None]:
    """The effect of each message; `first` began the lead, `addresses` are the person's known ones.

    What the studio wrote to somebody else, such as a forwarded mail, is no answer; neither is a machine's.
    """
    people = mailboxes(addresses)
    if first is None or first.person_address is not None:
        people |= mailboxes(writer for each in thread.messages if each.direction == "in" for writer in each.writers)
    return [_effect(message, first, people) for message in thread.messages]


def _effect(message: MessageRecord, first: MessageRecord | None, people: frozenset[str]) -> Effect | None:
    if message is first:
        return "asks"
    if message.discarded == "spam":
        return None
    if is_of_person(message):
        return None if only_thanks(message.preview, message.person_name) else "asks"
    return "answers" if is_of_studio(message) and is_to(message, people) else None


def turns_of(thread: ThreadRecord, first: MessageRecord | None, addresses: Iterable[str] = ()) -> list[Turn]:
    effects = zip(thread.messages, effects_of(thread, first, addresses), strict=True)
    return [Turn(message.sent_at, effect) for message, effect in effects if effect is not None]


def first_response(turns: Iterable[Turn], received_at: datetime, marks: Marks = NO_MARKS) -> datetime | None:
    """The first answer to a lead that came at this time."""
    answers = [turn.at for turn in turns if turn.effect == "answers"]
    return min((at for at in (*answers, marks.answered_at) if at is not None and at >= received_at), default=None)


def waiting_since(turns: Sequence[Turn], marks: Marks = NO_MARKS) -> datetime | None:
    """When the person wrote what is still unanswered. The times decide, not the order in which messages were read."""
    answered = [turn.at for turn in turns if turn.effect == "answers"]
    settled = max((at for at in (*answered, marks.answered_at, marks.no_answer_needed_at) if at), default=None)
    asked = (turn.at for turn in turns if turn.effect == "asks")
    return min((at for at in asked if settled is None or at > settled), default=None)
