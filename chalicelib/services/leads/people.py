"""The people of a page: who has which address, and when the studio met them in threads that are no leads."""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chalicelib.data.leads import Known
from chalicelib.platforms.core.items import Skipped
from chalicelib.platforms.core.records import MessageRecord, ThreadRecord
from chalicelib.services.leads.candidates import normalized
from chalicelib.services.leads.judging import STARTED_BY_STUDIO
from chalicelib.services.leads.waiting import Turn

NO_CONTACT = frozenset({"spam", "trash", "deleted"})
"""Left-out threads that do not show that the studio and the person knew each other."""

Hashes = Mapping[str, str]
"""The keyed hash of each address, as base64"""


class Meeting(msgspec.Struct, frozen=True):
    """A thread with a person that is no lead: when each side wrote."""

    reason: str
    first_in_at: datetime | None
    last_in_at: datetime | None
    first_out_at: datetime | None
    last_out_at: datetime | None

    @property
    def since(self) -> datetime | None:
        """None if it does not show that they knew each other."""
        if self.reason in NO_CONTACT:
            return None
        return min((at for at in (self.first_in_at, self.first_out_at) if at), default=None)

    def turns(self) -> Iterator[Turn]:
        """A person whom the studio wrote to, and who answered, waits as well."""
        yield from (Turn(at, "answers") for at in (self.first_out_at, self.last_out_at) if at is not None)
        if self.reason == STARTED_BY_STUDIO and self.last_in_at is not None:
            yield Turn(self.last_in_at, "asks")


class People:
    def __init__(self, known: Known, ids: Iterator[UUID], hashes: Hashes) -> None:
        """`ids` are those of new rows."""
        self.rows: list[dict[str, Any]] = []
        self.identity_rows: list[dict[str, Any]] = []
        self._ids = ids
        self._hashes = hashes
        self._person_of = {address.value: address.person_id for address in known.addresses}
        self._addresses: dict[UUID, set[str]] = defaultdict(set)
        for address in known.addresses:
            self._addresses[address.person_id].add(address.value)
            if (digest := hashes.get(address.value)) and address.hash != b64decode(digest):
                self._identify(address.value, address.person_id)
        self._clients = {client.email: client.since for client in known.clients}
        self._met = _meetings(known, hashes)

    def find(self, address: str | None) -> UUID | None:
        return self._person_of.get(normalized(address)) if address else None

    def find_or_add(self, message: MessageRecord) -> UUID:
        """The person who wrote it. One without an address is always a new one."""
        person_id = self.find(message.person_address)
        if person_id is None:
            person_id = next(self._ids)
            if address := normalized(message.person_address):
                self._person_of[address] = person_id
                self._addresses[person_id].add(address)
                self._identify(address, person_id)
        if not any(person["id"] == person_id for person in self.rows):
            self.rows.append({"id": person_id, "name": message.person_name})
        return person_id

    def addresses(self, person_id: UUID) -> frozenset[str]:
        return frozenset(self._addresses.get(person_id, ()))

    def meetings(self, person_id: UUID) -> list[Meeting]:
        return [meeting for address in self.addresses(person_id) for meeting in self._met[address]]

    def meet(self, skipped: Skipped) -> None:
        """In a thread of the page that is no lead."""
        if skipped.counterpart:
            times = (skipped.first_in_at, skipped.last_in_at, skipped.first_out_at, skipped.last_out_at)
            self._met[normalized(skipped.counterpart)].append(Meeting(skipped.reason, *times))

    def contact_since(self, address: str, conversations: Iterable[datetime]) -> datetime | None:
        """The earliest contact with an address; `conversations` are the beginnings of the person's inquiries."""
        met = (meeting.since for meeting in self._met[address])
        return min((at for at in (*conversations, *met, self._clients.get(address)) if at is not None), default=None)

    def _identify(self, address: str, person_id: UUID) -> None:
        digest = self._hashes.get(address)
        self.identity_rows.append({"value": address, "person_id": person_id, "hash": digest})


def addresses_of(threads: Sequence[ThreadRecord]) -> list[str]:
    """All addresses of a page that may belong to a person."""
    named = (
        address
        for thread in threads
        for message in thread.messages
        for address in (message.person_address, message.sender_address, *message.recipients)
    )
    return sorted({normalized(address) for address in named if address})


def _meetings(known: Known, hashes: Hashes) -> dict[str, list[Meeting]]:
    """By address."""
    by_hash = defaultdict(list)
    for met in known.met:
        times = (met.first_in_at, met.last_in_at, met.first_out_at, met.last_out_at)
        by_hash[met.counterpart].append(Meeting(met.reason, *times))
    digests = {address.value: address.hash for address in known.addresses if address.hash is not None}
    digests |= {address: b64decode(digest) for address, digest in hashes.items()}
    return defaultdict(
        list, {address: list(by_hash[digest]) for address, digest in digests.items() if digest in by_hash}
    )
