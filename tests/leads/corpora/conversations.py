"""What a corpus knows of each conversation: its messages in order, its label, and from them who waits when."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.leads.corpora.people import Person
from tests.leads.corpora.seeds import Seed

ASKS, THANKS, AUTOMATIC, FORWARDED = "asks", "thanks", "automatic", "forwarded"


@dataclass
class Move:
    """A message, or a mark that the studio made by hand. `nature` is one of the four above."""

    at: datetime
    incoming: bool
    nature: str = ASKS
    message_id: str = ""
    mark: str = ""


@dataclass
class Conversation:
    id: str
    source: str
    person: Person
    party: str
    seed: Seed
    threads: list[str] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)

    def waits(self, at: datetime, answers: Iterable[datetime]) -> bool:
        """`answers` are all the studio's answers to this person, in any conversation."""
        heard = [move for move in self.moves if move.incoming and move.nature != AUTOMATIC and move.at <= at]
        if not heard or heard[-1].nature == THANKS:
            return False
        last = heard[-1].at
        marks = (move.at for move in self.moves if move.mark)
        return not any(last <= answer <= at for answer in (*answers, *marks))

    def first_in(self) -> datetime | None:
        return next((move.at for move in self.moves if move.incoming and move.nature != AUTOMATIC), None)

    def label(self, answers: Iterable[datetime]) -> dict[str, Any]:
        first, seed = self.first_in(), self.seed
        begun = bool(self.moves) and self.moves[0].incoming
        answered = min((answer for answer in answers if first and answer >= first), default=None)
        timed = first is not None and answered is not None and begun and self.party == "person"
        facts: dict[str, Any] = {
            "conversation": self.id,
            "source": self.source,
            "threads": self.threads,
            "messages": [move.message_id for move in self.moves if move.message_id],
            "person": self.person.key,
            "party": self.party,
            "label": seed.label,
            "kind": seed.kind,
            "reason": seed.reason,
            "seed": seed.number,
        }
        if seed.hard:
            facts["hard"] = seed.hard
        if first is not None:
            facts["firstInAt"] = stamp(first)
        if first is not None and answered is not None and timed:
            facts["firstAnswerAt"] = stamp(answered)
            facts["firstResponseSeconds"] = int((answered - first).total_seconds())
        if marks := [{"at": stamp(move.at), "mark": move.mark} for move in self.moves if move.mark]:
            facts["marks"] = marks
        return facts


def answers_by_person(conversations: Iterable[Conversation]) -> dict[str, list[datetime]]:
    """Messages of the studio's people, and calls noted by hand; no machine's reply."""
    answers: dict[str, list[datetime]] = {}
    for conversation in conversations:
        times = answers.setdefault(conversation.person.key, [])
        for move in conversation.moves:
            by_hand = move.mark == "answered_by_call"
            if by_hand or (not move.incoming and not move.mark and move.nature == ASKS):
                times.append(move.at)
    return {key: sorted(times) for key, times in answers.items()}


def waiting_at(conversations: Iterable[Conversation], instants: Iterable[datetime]) -> list[dict[str, Any]]:
    listed = list(conversations)
    answers = answers_by_person(listed)
    rows = []
    for at in instants:
        waiting = [one for one in listed if one.party == "person" and one.waits(at, answers[one.person.key])]
        by_label = {label: [each.id for each in waiting if each.seed.label == label] for label in LABELS}
        rows.append({"at": stamp(at), **by_label})
    return rows


LABELS = ("lead", "perhaps", "not_a_lead")


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
