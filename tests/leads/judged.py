"""A corpus judged by the product's own code: threads are placed as a page of a sync is, with what was known before."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from chalicelib.data.leads import Client, Known, MetRecord
from chalicelib.platforms.core.records import ThreadRecord
from chalicelib.services.leads.people import addresses_of
from chalicelib.services.leads.placing import place
from chalicelib.services.leads.rows import Placed, Source
from chalicelib.services.leads.storing import IDS_PER_THREAD
from chalicelib.services.leads.waiting import Marks, Turn, waiting_since
from tests.leads.corpus import Corpus

SOURCE = Source(UUID(int=1), "google")
CLIENTS = ("client", "past")
MARKS = {"answered_by_call": "answered_at", "no_answer_needed": "no_answer_needed_at"}


class Judgement(msgspec.Struct, frozen=True):
    """What the product says of a labelled conversation."""

    certainty: str = "not_a_lead"
    reason: str = ""
    waiting_since: datetime | None = None


class Judged:
    """The state of the product at a moment, by labelled conversation."""

    def __init__(self, corpus: Corpus, until: datetime | None = None) -> None:
        self._until = until
        self._labels = {label["conversation"]: label for label in corpus.labels}
        threads = corpus.threads(until)
        self._threads = {thread.external_id: thread for thread in threads}
        self._conversation_of = {message: key for key, label in self._labels.items() for message in label["messages"]}
        self.placed = _place(threads, corpus)

    def judgements(self) -> dict[str, Judgement]:
        """What began a lead, and why the others began none."""
        found = dict.fromkeys(self._labels, Judgement())
        for skipped in self.placed.skipped:
            first = self._threads[skipped.external_id].messages[0]
            found[self._conversation_of[first.external_id]] = Judgement(reason=skipped.reason)
        for row in self.placed.rows.inquiries:
            if row["skip_reason"] is None:
                found[self._began(row)] = Judgement(row["certainty"], row["reason"], self._waiting_since(row))
        return found

    def _began(self, row: dict[str, Any]) -> str:
        messages = self._threads[row["external_id"]].messages
        first = next(each for each in messages if each.sent_at == row["received_at"])
        conversation: str = self._conversation_of[first.external_id]
        return conversation

    def _waiting_since(self, row: dict[str, Any]) -> datetime | None:
        """With the marks that the studio made by hand until then."""
        since: datetime | None = row["waiting_since"]
        marks = self._marks(self._began(row))
        return waiting_since(self._turns(row["conversation_id"]), marks) if since and marks != Marks() else since

    def _marks(self, conversation: str) -> Marks:
        made = [
            (mark["mark"], datetime.fromisoformat(mark["at"])) for mark in self._labels[conversation].get("marks", ())
        ]
        return Marks(**{MARKS[mark]: at for mark, at in made if self._until is None or at <= self._until})

    def _turns(self, conversation_id: UUID) -> list[Turn]:
        rows = self.placed.rows
        threads = {thread["id"] for thread in rows.threads if thread["conversation_id"] == conversation_id}
        mine = (message for message in rows.messages if message["thread_id"] in threads)
        return [Turn(message["sent_at"], message["effect"]) for message in mine if message["effect"]]


def _place(threads: list[ThreadRecord], corpus: Corpus) -> Placed:
    hashes = {address: b64encode(address.encode()).decode() for address in addresses_of(threads)}
    return place(threads, _known(corpus, IDS_PER_THREAD * len(threads)), SOURCE, hashes)


def _known(corpus: Corpus, ids: int) -> Known:
    """Clients are known by their bookings, others by earlier mail that is no lead."""
    people = [(row, datetime.fromisoformat(row["since"]).replace(tzinfo=UTC)) for row in corpus.rows("people")]
    return Known(
        ids=[UUID(int=number) for number in range(1, ids + 1)],
        threads=[],
        addresses=[],
        inquiries=[],
        turns=[],
        met=[
            MetRecord(row["email"].encode(), "started_by_studio", None, None, since, since)
            for row, since in people
            if row["role"] not in CLIENTS
        ],
        clients=[Client(row["email"], since) for row, since in people if row["role"] in CLIENTS],
        rules=[],
    )
