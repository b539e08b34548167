"""Places the threads of a page: which person and conversation each belongs to, and what follows for their leads.

Only values come in and go out. The result does not depend on the order in which threads are read: a mailbox is first
read from its newest thread to its oldest.
"""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from chalicelib.data.leads import Known, KnownInquiry, KnownThread
from chalicelib.platforms.core.items import Skipped
from chalicelib.platforms.core.records import MessageRecord, ThreadRecord
from chalicelib.services.leads.candidates import Context, StudioRule, normalized
from chalicelib.services.leads.judging import (
    BY_CONTACT,
    NOTHING_LEFT,
    STARTED_BY_STUDIO,
    Verdict,
    judge,
    leave_out,
)
from chalicelib.services.leads.waiting import Marks, Turn, effects_of, first_response, waiting_since

ONE_MATTER = timedelta(days=60)
"""A person's new thread continues an open conversation that ended, or began, at most this long before or after it."""
_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Of threads without messages"""
CLOSED = frozenset({"lost", "spam", "not_a_lead"})
NO_CONTACT = frozenset({"spam", "trash", "deleted"})
"""Left-out threads that do not show that the studio and the person knew each other."""

MessageKey = tuple[UUID, str]
"""A thread's id, and the message's external id"""
Hashes = Mapping[str, str]
"""The keyed hash of each address, as base64"""


class Source(msgspec.Struct, frozen=True):
    connection_id: UUID
    platform: str


class Rows(msgspec.Struct):
    """What a page stores, by table."""

    people: list[dict[str, Any]] = []
    identities: list[dict[str, Any]] = []
    conversations: list[dict[str, Any]] = []
    threads: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    inquiries: list[dict[str, Any]] = []


class Placed(msgspec.Struct):
    """The page's rows, what it leaves out, and the thread and inquiry of each record that is stored."""

    rows: Rows
    skipped: list[Skipped]
    stored: list[tuple[UUID, UUID]]
    kept: set[str] = set()
    """The external ids of threads that are stored, now or before"""
    unchanged: int = 0
    """Threads that were changed after they were fetched"""


class Meeting(msgspec.Struct, frozen=True):
    """A thread with a person that is no lead: when each side wrote."""

    reason: str
    first_in_at: datetime | None
    last_in_at: datetime | None
    first_out_at: datetime | None
    last_out_at: datetime | None

    @property
    def since(self) -> datetime | None:
        return min((at for at in (self.first_in_at, self.first_out_at) if at), default=None)

    def turns(self) -> Iterable[Turn]:
        """A person whom the studio wrote to, and who answered, waits as well."""
        yield from (Turn(at, "answers") for at in (self.first_out_at, self.last_out_at) if at is not None)
        if self.reason == STARTED_BY_STUDIO and self.last_in_at is not None:
            yield Turn(self.last_in_at, "asks")


def addresses_of(threads: Sequence[ThreadRecord]) -> list[str]:
    """All addresses of a page that may belong to a person."""
    named = (
        address
        for thread in threads
        for message in thread.messages
        for address in (message.person_address, message.sender_address, *message.recipients)
    )
    return sorted({normalized(address) for address in named if address})


def place(
    threads: Sequence[ThreadRecord], known: Known, source: Source, hashes: Hashes, *, fetched_at: datetime | None = None
) -> Placed:
    """With `fetched_at`, threads that were changed since then stay as they are."""
    return _Placing(known, source, hashes).place(threads, fetched_at)


class _Placing:
    def __init__(self, known: Known, source: Source, hashes: Hashes) -> None:
        self._source = source
        self._ids = iter(known.ids)
        self._threads = {thread.external_id: thread for thread in known.threads}
        self._person_of = {address.value: address.person_id for address in known.addresses}
        self._addresses: dict[UUID, set[str]] = defaultdict(set)
        for address in known.addresses:
            self._addresses[address.person_id].add(address.value)
        self._inquiries = {inquiry.conversation_id: inquiry for inquiry in known.inquiries}
        self._turns: dict[UUID, dict[MessageKey, Turn]] = defaultdict(dict)
        for turn in known.turns:
            self._turns[turn.conversation_id][turn.thread_id, turn.external_id] = Turn(turn.at, turn.effect)
        self._rules = [StudioRule(rule.kind, rule.value, rule.verdict) for rule in known.rules]
        self._clients = {client.email: client.since for client in known.clients}
        self._hashes = hashes
        self._met = _meetings(known, hashes)
        self._rows = Rows()
        self._placed = Placed(self._rows, [], [])
        for address in known.addresses:
            if (digest := hashes.get(address.value)) and address.hash != b64decode(digest):
                self._identify(address.value, address.person_id)

    def place(self, threads: Sequence[ThreadRecord], fetched_at: datetime | None) -> Placed:
        distinct = {thread.external_id: thread for thread in threads}
        for thread in sorted(distinct.values(), key=_began_at):
            stored = self._threads.get(thread.external_id)
            if stored is not None and fetched_at is not None and stored.updated_at >= fetched_at:
                self._placed.unchanged += 1
                self._placed.kept.add(thread.external_id)
            elif stored is not None and (inquiry := self._inquiries.get(stored.conversation_id)):
                self._place_again(thread, stored, inquiry)
            else:
                self._place_new(thread, stored)
        self._judge_again()
        self._rows.inquiries = [self._inquiry_row(inquiry) for inquiry in self._inquiries.values()]
        return self._placed

    def _place_again(self, thread: ThreadRecord, stored: KnownThread, inquiry: KnownInquiry) -> None:
        verdict = self._judge(thread)
        if verdict.reason == NOTHING_LEFT:
            return
        began = inquiry.external_id == thread.external_id and inquiry.connection_id == self._source.connection_id
        if not verdict.is_stored and (began or verdict.reason in NO_CONTACT):
            if began and self._goes_on(inquiry, stored):
                self._placed.kept.add(thread.external_id)  # elsewhere, so this thread stays as it was stored
                return
            self._leave_out(thread, verdict)
            if began:
                self._inquiries[inquiry.conversation_id] = replace(inquiry, skip_reason=verdict.reason)
            return
        if began:
            self._inquiries[inquiry.conversation_id] = self._begun(inquiry, thread, verdict)
        self._store(thread, stored.id, stored.conversation_id, verdict.first if began else None)

    def _goes_on(self, inquiry: KnownInquiry, stored: KnownThread) -> bool:
        """Whether the person, or the studio, wrote in another thread of the conversation as well."""
        return any(thread_id != stored.id for thread_id, _ in self._turns[inquiry.conversation_id])

    def _place_new(self, thread: ThreadRecord, stored: KnownThread | None) -> None:
        verdict = self._judge(thread)
        if verdict.reason == NOTHING_LEFT:
            return
        inquiry = self._continued(thread, verdict)
        if inquiry is None and not verdict.is_stored:
            self._leave_out(thread, verdict)
            return
        inquiry = inquiry or self._begin(thread, verdict)
        thread_id = stored.id if stored is not None else next(self._ids)
        first = None
        if verdict.first is not None and verdict.first.sent_at <= inquiry.received_at:
            first = verdict.first
            inquiry = self._inquiries[inquiry.conversation_id] = self._begun(inquiry, thread, verdict)
        self._store(thread, thread_id, inquiry.conversation_id, first)

    def _judge(self, thread: ThreadRecord) -> Verdict:
        return judge(thread, Context(self._rules, _Contacts(self)))

    def _continued(self, thread: ThreadRecord, verdict: Verdict) -> KnownInquiry | None:
        """The open inquiry of the same person that this thread continues."""
        by_studio = verdict.reason == STARTED_BY_STUDIO
        if not (verdict.is_stored or by_studio):
            return None
        named = _recipients(thread) if by_studio else [verdict.first.person_address if verdict.first else None]
        people = {self._person_of.get(normalized(address)) for address in named if address}
        began_at, ended_at = _began_at(thread)[0], _ended_at(thread)
        near = [
            inquiry
            for inquiry in self._inquiries.values()
            if inquiry.person_id in people
            and inquiry.status not in CLOSED
            and inquiry.skip_reason is None
            and began_at <= inquiry.last_at + ONE_MATTER
            and (began_at >= inquiry.received_at if by_studio else ended_at >= inquiry.received_at - ONE_MATTER)
        ]
        return max(near, key=lambda each: (each.received_at, each.external_id), default=None)

    def _begin(self, thread: ThreadRecord, verdict: Verdict) -> KnownInquiry:
        """A new inquiry, of a new person unless the address is known."""
        first = _first_of(verdict)
        address = normalized(first.person_address)
        person_id = self._person_of.get(address) if address else None
        if person_id is None:
            person_id = next(self._ids)
            self._addresses[person_id] = {address} if address else set()
            if address:
                self._person_of[address] = person_id
                self._identify(address, person_id)
        if not any(person["id"] == person_id for person in self._rows.people):
            self._rows.people.append({"id": person_id, "name": first.person_name})
        conversation_id = next(self._ids)
        self._rows.conversations.append({"id": conversation_id, "person_id": person_id})
        made = KnownInquiry(
            id=next(self._ids),
            connection_id=self._source.connection_id,
            platform=self._source.platform,
            external_id=thread.external_id,
            person_id=person_id,
            conversation_id=conversation_id,
            channel=thread.channel,
            certainty="perhaps",
            reason=verdict.reason,
            reason_detail=None,
            decided_at=None,
            contact_name=None,
            contact_email=None,
            subject=None,
            message=None,
            url=None,
            received_at=first.sent_at,
            last_at=first.sent_at,
            answered_by_hand_at=None,
            no_answer_needed_at=None,
            status="new",
            skip_reason=None,
        )
        self._inquiries[conversation_id] = made
        return made

    def _identify(self, address: str, person_id: UUID) -> None:
        digest = self._hashes.get(address)
        self._rows.identities.append({"value": address, "person_id": person_id, "hash": digest})

    def _begun(self, inquiry: KnownInquiry, thread: ThreadRecord, verdict: Verdict) -> KnownInquiry:
        """The inquiry as this thread, its first one, tells."""
        first = _first_of(verdict)
        return replace(
            _with_verdict(inquiry, verdict),
            connection_id=self._source.connection_id,
            platform=self._source.platform,
            external_id=thread.external_id,
            channel=thread.channel,
            contact_name=first.person_name,
            contact_email=first.person_address,
            subject=first.subject,
            message=first.preview,
            url=thread.url,
            received_at=first.sent_at,
            skip_reason=None,
        )

    def _store(self, thread: ThreadRecord, thread_id: UUID, conversation_id: UUID, first: MessageRecord | None) -> None:
        inquiry = self._inquiries[conversation_id]
        effects = effects_of(thread, first, self._addresses.get(inquiry.person_id, ()))
        turns = self._turns[conversation_id]
        for message, effect in zip(thread.messages, effects, strict=True):
            key = (thread_id, message.external_id)
            was_stored = turns.pop(key, None) is not None
            if message.discarded != "spam" or was_stored:
                self._rows.messages.append(_message_row(message, thread_id, effect))
            if effect is not None:
                turns[key] = Turn(message.sent_at, effect)
        self._rows.threads.append(
            {
                "id": thread_id,
                "external_id": thread.external_id,
                "conversation_id": conversation_id,
                "channel": thread.channel,
                "url": thread.url,
            }
        )
        self._placed.stored.append((thread_id, inquiry.id))
        self._placed.kept.add(thread.external_id)
        last_at = max(inquiry.last_at, _ended_at(thread))
        self._inquiries[conversation_id] = replace(inquiry, last_at=last_at)

    def _leave_out(self, thread: ThreadRecord, verdict: Verdict) -> None:
        skipped = leave_out(thread, verdict)
        self._placed.skipped.append(skipped)
        if skipped.counterpart:
            times = (skipped.first_in_at, skipped.last_in_at, skipped.first_out_at, skipped.last_out_at)
            self._met[normalized(skipped.counterpart)].append(Meeting(skipped.reason, *times))

    def _judge_again(self) -> None:
        """Older mail that is read later may show that a lead's person was known before."""
        for conversation_id, inquiry in self._inquiries.items():
            if inquiry.decided_at is None and inquiry.reason in BY_CONTACT:
                verdict = self._judge(_as_thread(inquiry))
                if verdict.is_stored:
                    self._inquiries[conversation_id] = _with_verdict(inquiry, verdict)

    def contact_since(self, address: str) -> datetime | None:
        person_id = self._person_of.get(address)
        times = [
            inquiry.received_at
            for inquiry in self._inquiries.values()
            if inquiry.person_id == person_id and inquiry.skip_reason not in NO_CONTACT
        ]
        times += [met.since for met in self._met[address] if met.since and met.reason not in NO_CONTACT]
        times += [self._clients[address]] if address in self._clients else []
        return min(times, default=None)

    def _inquiry_row(self, inquiry: KnownInquiry) -> dict[str, Any]:
        met = [met for address in self._addresses.get(inquiry.person_id, ()) for met in self._met[address]]
        mine = self._turns[inquiry.conversation_id].values()
        asked = [turn for turn in mine if turn.effect == "asks"]
        asked += [
            turn for each in met for turn in each.turns() if turn.effect == "asks" and turn.at > inquiry.received_at
        ]
        conversations = [
            each.conversation_id for each in self._inquiries.values() if each.person_id == inquiry.person_id
        ]
        answered = [turn for each in conversations for turn in self._turns[each].values() if turn.effect == "answers"]
        answered += [turn for each in met for turn in each.turns() if turn.effect == "answers"]
        marks = Marks(inquiry.answered_by_hand_at, inquiry.no_answer_needed_at)
        row = msgspec.structs.asdict(inquiry)
        for name in ("last_at", "answered_by_hand_at", "no_answer_needed_at", "decided_at", "status"):
            del row[name]
        row["first_response_at"] = first_response(answered, inquiry.received_at, marks)
        is_open = inquiry.skip_reason is None and inquiry.status not in CLOSED
        row["waiting_since"] = waiting_since([*asked, *answered], marks) if is_open else None
        return row


def _meetings(known: Known, hashes: Hashes) -> dict[str, list[Meeting]]:
    """Threads that are no leads, by address."""
    by_hash = defaultdict(list)
    for met in known.met:
        times = (met.first_in_at, met.last_in_at, met.first_out_at, met.last_out_at)
        by_hash[met.counterpart].append(Meeting(met.reason, *times))
    digests = {address.value: address.hash for address in known.addresses if address.hash is not None}
    digests |= {address: b64decode(digest) for address, digest in hashes.items()}
    return defaultdict(
        list, {address: list(by_hash[digest]) for address, digest in digests.items() if digest in by_hash}
    )


class _Contacts(dict[str, datetime]):
    """The earliest contact of an address, looked up when a rule asks for it."""

    def __init__(self, placing: _Placing) -> None:
        self._placing = placing

    def get(self, address: str, default: Any = None) -> Any:
        return self._placing.contact_since(address) or default


def _first_of(verdict: Verdict) -> MessageRecord:
    if verdict.first is None:
        raise ValueError(f"the verdict {verdict.reason} names no first message")
    return verdict.first


def _with_verdict(inquiry: KnownInquiry, verdict: Verdict) -> KnownInquiry:
    """What the studio decided itself stays."""
    if inquiry.decided_at is not None or verdict.certainty == "not_a_lead":
        return inquiry
    return replace(inquiry, certainty=verdict.certainty, reason=verdict.reason, reason_detail=verdict.detail)


def _as_thread(inquiry: KnownInquiry) -> ThreadRecord:
    """What an inquiry keeps of its first message: enough to judge it again."""
    first = MessageRecord(
        external_id="",
        direction="in",
        kind="person",
        sent_at=inquiry.received_at,
        sender_address=inquiry.contact_email,
        person_name=inquiry.contact_name,
        person_address=inquiry.contact_email,
        subject=inquiry.subject,
        preview=inquiry.message,
    )
    return ThreadRecord(external_id=inquiry.external_id, channel=inquiry.channel, messages=(first,))


def _message_row(message: MessageRecord, thread_id: UUID, effect: str | None) -> dict[str, Any]:
    return {
        "thread_id": thread_id,
        "external_id": message.external_id,
        "direction": message.direction,
        "kind": message.kind,
        "effect": effect,
        "sent_at": message.sent_at,
        "sender_name": message.sender_name,
        "sender_address": message.sender_address,
        "person_address": message.person_address,
        "recipients": message.recipients,
        "subject": message.subject,
        "preview": message.preview,
        "message_id": message.message_id or None,
        "answered_ids": message.answered_ids,
    }


def _began_at(thread: ThreadRecord) -> tuple[datetime, str]:
    times = (message.sent_at for message in thread.messages)
    return min(times, default=_LATEST), thread.external_id


def _ended_at(thread: ThreadRecord) -> datetime:
    return max((message.sent_at for message in thread.messages), default=_EARLIEST)


def _recipients(thread: ThreadRecord) -> list[str]:
    return [address for each in thread.messages if each.direction == "out" for address in each.recipients]
