"""How well leads, waiting people and bookings of a corpus are judged."""

from collections import Counter
from datetime import datetime, timedelta
from functools import cached_property

import msgspec

from tests.leads.corpus import Corpus
from tests.leads.judged import Judged, Judgement

LABELS = ("lead", "perhaps", "not_a_lead")
LONGEST_UNLISTED = timedelta(hours=24)
"""Whoever waits longer must be on the waiting list."""


class Share(msgspec.Struct, frozen=True):
    part: float
    whole: int

    @property
    def value(self) -> float:
        return self.part / self.whole if self.whole else 1.0

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.part:g} of {self.whole})"


class WaitingList(msgspec.Struct, frozen=True):
    at: str
    right: list[str]
    wrong: list[str]
    """Listed, but nobody waits, or it is no lead"""
    missed: list[str]
    """Waiting for more than a day"""


class Bookings(msgspec.Struct, frozen=True):
    right: int
    wrong: list[str]
    missed: list[str]

    @property
    def precision(self) -> Share:
        return Share(self.right, self.right + len(self.wrong))

    @property
    def recall(self) -> Share:
        return Share(self.right, self.right + len(self.missed))


class Measured:
    """All figures of a corpus. What is wrong is listed with the reasons of the label and of the product."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._labels = {label["conversation"]: label for label in corpus.labels}

    @cached_property
    def judged(self) -> dict[str, Judgement]:
        return Judged(self._corpus).judgements()

    @cached_property
    def confusion(self) -> Counter[tuple[str, str]]:
        """By label and verdict."""
        return Counter((self._labels[key]["label"], found.certainty) for key, found in self.judged.items())

    @cached_property
    def by_kind(self) -> Counter[tuple[str, str, str]]:
        """By label, kind and verdict."""
        labelled = ((self._labels[key], found.certainty) for key, found in self.judged.items())
        return Counter((label["label"], label["kind"], certainty) for label, certainty in labelled)

    @property
    def precision(self) -> Share:
        return Share(self.confusion["lead", "lead"], sum(self.confusion[label, "lead"] for label in LABELS))

    @property
    def recall(self) -> Share:
        """A lead that is judged to be one perhaps counts half."""
        found = self.confusion["lead", "lead"] + self.confusion["lead", "perhaps"] / 2
        return Share(found, sum(self.confusion["lead", verdict] for verdict in LABELS))

    @property
    def perhaps(self) -> Share:
        return Share(sum(self.confusion[label, "perhaps"] for label in LABELS), len(self._labels))

    @cached_property
    def wrong(self) -> list[str]:
        """Leads that are not judged as such, and what is judged a lead but is none."""
        pairs = ((key, found, self._labels[key]) for key, found in self.judged.items())
        return [
            f"{key} {label['label']} -> {found.certainty} ({found.reason}): {label['kind']}: {label['reason']}"
            for key, found, label in pairs
            if found.certainty != label["label"] and "lead" in (found.certainty, label["label"])
        ]

    @cached_property
    def waiting(self) -> list[WaitingList]:
        return [self._waiting_at(row["at"], set(row["lead"])) for row in self._corpus.rows("waiting")]

    def _waiting_at(self, stamp: str, true: set[str]) -> WaitingList:
        at = datetime.fromisoformat(stamp)
        judged = Judged(self._corpus, at).judgements()
        listed = {key for key, found in judged.items() if found.certainty == "lead" and found.waiting_since}
        heard = self._last_heard(at)
        late = {key for key in true if at - heard[key] > LONGEST_UNLISTED}
        return WaitingList(stamp, sorted(listed & true), sorted(listed - true), sorted(late - listed))

    def _last_heard(self, at: datetime) -> dict[str, datetime]:
        came = {
            message.external_id: message.sent_at
            for thread in self._corpus.threads(at)
            for message in thread.messages
            if message.direction == "in"
        }
        times = {key: [came[each] for each in label["messages"] if each in came] for key, label in self._labels.items()}
        return {key: max(each) for key, each in times.items() if each}

    @property
    def waiting_precision(self) -> Share:
        right = sum(len(each.right) for each in self.waiting)
        return Share(right, right + sum(len(each.wrong) for each in self.waiting))

    @cached_property
    def bookings(self) -> Bookings:
        batches = self._corpus.calendars()
        booked = {record.external_id for batch in batches for record in batch.records}
        left_out = {each.external_id: each.reason for batch in batches for each in batch.skipped}
        labels = {label["event"]: label for label in self._corpus.rows("event_labels")}
        true = {event for event, label in labels.items() if label["label"] == "booking"}
        names = {event: f"{event} {label['kind']}: {label['reason']}" for event, label in labels.items()}
        return Bookings(
            right=len(booked & true),
            wrong=[names[event] for event in sorted(booked - true)],
            missed=[f"{names[event]} ({left_out.get(event, 'gone')})" for event in sorted(true - booked)],
        )
