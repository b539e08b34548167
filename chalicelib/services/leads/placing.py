"""Places the threads of a page: which person and conversation each belongs to, and what follows for their leads.

Only values come in and go out. The result does not depend on the order in which threads are read: a mailbox is first
read from its newest thread to its oldest.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from chalicelib.data.leads import Known, KnownInquiry, KnownThread
from chalicelib.platforms.core.records import MessageRecord, ThreadRecord
from chalicelib.services.leads.candidates import Context, StudioRule, normalized
from chalicelib.services.leads.inquiries import as_thread, begun, first_of, is_stronger, new_inquiry, with_verdict
from chalicelib.services.leads.judging import (
    BY_CONTACT,
    CONTINUING,
    KNOWN,
    NOTHING_LEFT,
    STARTED_BY_STUDIO,
    Verdict,
    judge,
    leave_out,
)
from chalicelib.services.leads.people import NO_CONTACT, Hashes, People
from chalicelib.services.leads.rows import Placed, Rows, Source, message_row, thread_row
from chalicelib.services.leads.waiting import Marks, Turn, effects_of, first_response, waiting_since

ONE_MATTER = timedelta(days=60)
"""A person's new thread continues an open conversation that ended, or began, at most this long before or after it."""
CLOSED = frozenset({"lost", "spam", "not_a_lead"})
NOT_CHANGED = ("last_at", "answered_by_hand_at", "no_answer_needed_at", "decided_at", "status")
"""What is known of an inquiry, and no page changes"""
_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Of threads without messages"""

MessageKey = tuple[UUID, str]
"""A thread's id, and the message's external id"""


def place(
    threads: Sequence[ThreadRecord], known: Known, source: Source, hashes: Hashes, *, fetched_at: datetime | None = None
) -> Placed:
    """With `fetched_at`, threads that were changed since then stay as they are."""
    return _Placing(known, source, hashes).place(threads, fetched_at)


class _Placing:
    def __init__(self, known: Known, source: Source, hashes: Hashes) -> None:
        self._source = source
        self._ids = iter(known.ids)
        self._people = People(known, self._ids, hashes)
        self._threads = {thread.external_id: thread for thread in known.threads}
        self._inquiries = {inquiry.conversation_id: inquiry for inquiry in known.inquiries}
        self._conversations: dict[UUID, list[UUID]] = defaultdict(list)
        """By person"""
        for inquiry in known.inquiries:
            self._conversations[inquiry.person_id].append(inquiry.conversation_id)
        self._turns: dict[UUID, dict[MessageKey, Turn]] = defaultdict(dict)
        for turn in known.turns:
            self._turns[turn.conversation_id][turn.thread_id, turn.external_id] = Turn(turn.at, turn.effect)
        self._rules = [StudioRule(rule.kind, rule.value, rule.verdict) for rule in known.rules]
        self._rows = Rows(self._people.rows, self._people.identity_rows)
        self._placed = Placed(self._rows)

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
            self._inquiries[inquiry.conversation_id] = begun(inquiry, thread, verdict, self._source)
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
        if inquiry is None:
            inquiry = self._begin(thread, verdict)
        elif verdict.is_stored:
            # What came before it in the same conversation is no earlier contact.
            verdict = self._judge(thread, within=inquiry)
        thread_id = stored.id if stored is not None else next(self._ids)
        first = None
        began_at = (inquiry.received_at, inquiry.external_id)
        if verdict.first is not None and (verdict.first.sent_at, thread.external_id) <= began_at:
            first = verdict.first
            inquiry = self._inquiries[inquiry.conversation_id] = begun(inquiry, thread, verdict, self._source)
        elif is_stronger(verdict, inquiry):
            inquiry = self._inquiries[inquiry.conversation_id] = with_verdict(inquiry, verdict)
        self._store(thread, thread_id, inquiry.conversation_id, first)

    def _judge(self, thread: ThreadRecord, *, within: KnownInquiry | None = None) -> Verdict:
        """`within` is the inquiry that the thread belongs to."""
        writers = {normalized(each.person_address or each.sender_address) for each in thread.messages} - {""}
        beginnings = {address: self._beginnings(address, within) for address in writers}
        contacts = {address: self._people.contact_since(address, times) for address, times in beginnings.items()}
        context = Context(
            self._rules,
            {address: at for address, at in contacts.items() if at is not None},
            {address: min(times) for address, times in beginnings.items() if times},
        )
        return judge(thread, context)

    def _beginnings(self, address: str, within: KnownInquiry | None = None) -> list[datetime]:
        """Of a person's other inquiries."""
        person_id = self._people.find(address)
        others = self._inquiries_of(person_id) if person_id is not None else []
        began = [each for each in others if each.skip_reason not in NO_CONTACT and (not within or each.id != within.id)]
        return [inquiry.received_at for inquiry in began]

    def _inquiries_of(self, person_id: UUID) -> list[KnownInquiry]:
        return [self._inquiries[each] for each in self._conversations[person_id]]

    def _continued(self, thread: ThreadRecord, verdict: Verdict) -> KnownInquiry | None:
        """The open inquiry of the same person that this thread continues."""
        by_studio = verdict.reason == STARTED_BY_STUDIO
        if not (verdict.is_stored or verdict.reason in CONTINUING):
            return None
        named = _recipients(thread) if by_studio else [verdict.first.person_address if verdict.first else None]
        people = {person_id for address in named if (person_id := self._people.find(address)) is not None}
        began_at = _began_at(thread)[0] if verdict.first is None else verdict.first.sent_at
        ended_at = _ended_at(thread)
        near = [
            inquiry
            for person_id in people
            for inquiry in self._inquiries_of(person_id)
            if inquiry.status not in CLOSED
            and inquiry.skip_reason is None
            and began_at <= inquiry.last_at + ONE_MATTER
            and (began_at >= inquiry.received_at if by_studio else ended_at >= inquiry.received_at - ONE_MATTER)
        ]
        return max(near, key=lambda each: (each.received_at, each.external_id), default=None)

    def _begin(self, thread: ThreadRecord, verdict: Verdict) -> KnownInquiry:
        """A new inquiry, of a new person unless the address is known."""
        person_id = self._people.find_or_add(first_of(verdict))
        conversation_id = next(self._ids)
        self._rows.conversations.append({"id": conversation_id, "person_id": person_id})
        inquiry_id = next(self._ids)
        made = new_inquiry(thread, verdict, self._source, id=inquiry_id, person=person_id, conversation=conversation_id)
        self._inquiries[conversation_id] = made
        self._conversations[person_id].append(conversation_id)
        return made

    def _store(self, thread: ThreadRecord, thread_id: UUID, conversation_id: UUID, first: MessageRecord | None) -> None:
        inquiry = self._inquiries[conversation_id]
        effects = effects_of(thread, first, self._people.addresses(inquiry.person_id))
        turns = self._turns[conversation_id]
        for message, effect in zip(thread.messages, effects, strict=True):
            key = (thread_id, message.external_id)
            was_stored = turns.pop(key, None) is not None
            if message.discarded != "spam" or was_stored:
                self._rows.messages.append(message_row(message, thread_id, effect))
            if effect is not None:
                turns[key] = Turn(message.sent_at, effect)
        self._rows.threads.append(thread_row(thread, thread_id, conversation_id))
        self._placed.stored.append((thread_id, inquiry.id))
        self._placed.kept.add(thread.external_id)
        last_at = max(inquiry.last_at, _ended_at(thread))
        self._inquiries[conversation_id] = replace(inquiry, last_at=last_at)

    def _leave_out(self, thread: ThreadRecord, verdict: Verdict) -> None:
        skipped = leave_out(thread, verdict)
        self._placed.skipped.append(skipped)
        self._people.meet(skipped)

    def _judge_again(self) -> None:
        """Older mail that is read later may show that a lead's person was known before."""
        for conversation_id, inquiry in self._inquiries.items():
            if inquiry.decided_at is not None or inquiry.reason not in BY_CONTACT:
                continue
            address = normalized(inquiry.contact_email)
            since = self._people.contact_since(address, self._beginnings(address))
            if since is None or since >= inquiry.received_at:
                continue
            verdict = self._judge(as_thread(inquiry))
            if verdict.is_stored:
                self._inquiries[conversation_id] = with_verdict(inquiry, verdict)
            elif verdict.reason == KNOWN:
                self._inquiries[conversation_id] = replace(inquiry, skip_reason=KNOWN)

    def _inquiry_row(self, inquiry: KnownInquiry) -> dict[str, Any]:
        met = [turn for meeting in self._people.meetings(inquiry.person_id) for turn in meeting.turns()]
        mine = self._turns[inquiry.conversation_id].values()
        turns = [turn for each in self._conversations[inquiry.person_id] for turn in self._turns[each].values()]
        answered = [turn for turn in (*turns, *met) if turn.effect == "answers"]
        asked = [turn for turn in mine if turn.effect == "asks"]
        asked += [turn for turn in met if turn.effect == "asks" and turn.at > inquiry.received_at]
        marks = Marks(inquiry.answered_by_hand_at, inquiry.no_answer_needed_at)
        is_open = inquiry.skip_reason is None and inquiry.status not in CLOSED
        row = {name: value for name, value in msgspec.structs.asdict(inquiry).items() if name not in NOT_CHANGED}
        row["first_response_at"] = first_response(answered, inquiry.received_at, marks)
        row["waiting_since"] = waiting_since([*asked, *answered], marks) if is_open else None
        return row


def _began_at(thread: ThreadRecord) -> tuple[datetime, str]:
    times = (message.sent_at for message in thread.messages)
    return min(times, default=_LATEST), thread.external_id


def _ended_at(thread: ThreadRecord) -> datetime:
    return max((message.sent_at for message in thread.messages), default=_EARLIEST)


def _recipients(thread: ThreadRecord) -> list[str]:
    return [address for each in thread.messages if each.direction == "out" for address in each.recipients]
