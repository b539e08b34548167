"""Inquiries as their threads tell: how one begins, and what its threads make it."""

from typing import Any
from uuid import UUID

from msgspec.structs import replace

from chalicelib.data.leads import KnownInquiry
from chalicelib.platforms.core.records import MessageRecord, ThreadRecord
from chalicelib.services.leads.judging import BY_CONTACT, MARKED, REPEATS, Verdict
from chalicelib.services.leads.rows import Source


def new_inquiry(
    thread: ThreadRecord, verdict: Verdict, source: Source, *, id: UUID, person: UUID, conversation: UUID
) -> KnownInquiry:
    return KnownInquiry(
        id=id,
        person_id=person,
        conversation_id=conversation,
        certainty="lead" if verdict.certainty == "lead" else "perhaps",
        reason=verdict.reason,
        reason_detail=verdict.detail,
        decided_at=None,
        last_at=first_of(verdict).sent_at,
        answered_by_hand_at=None,
        no_answer_needed_at=None,
        status="new",
        **_beginning(thread, verdict, source),
    )


def begun(inquiry: KnownInquiry, thread: ThreadRecord, verdict: Verdict, source: Source) -> KnownInquiry:
    """The inquiry with this thread as its first one."""
    return replace(with_verdict(inquiry, verdict), **_beginning(thread, verdict, source))


def _beginning(thread: ThreadRecord, verdict: Verdict, source: Source) -> dict[str, Any]:
    """What an inquiry has from its first thread."""
    first = first_of(verdict)
    return {
        "connection_id": source.connection_id,
        "platform": source.platform,
        "external_id": thread.external_id,
        "channel": thread.channel,
        "contact_name": first.person_name,
        "contact_email": first.person_address,
        "subject": first.subject,
        "message": first.preview,
        "url": thread.url,
        "received_at": first.sent_at,
        "skip_reason": None,
    }


def with_verdict(inquiry: KnownInquiry, verdict: Verdict) -> KnownInquiry:
    """What the studio decided itself stays. Whichever of its threads makes a conversation a lead, it stays one, unless
    that depended on a first contact, and the person was known before."""
    if inquiry.decided_at is not None or verdict.certainty == "not_a_lead":
        return inquiry
    was_known = verdict.reason in REPEATS and inquiry.reason in BY_CONTACT
    is_weaker = _strength(verdict.certainty, verdict.reason) < _strength(inquiry.certainty, inquiry.reason)
    if is_weaker and not (was_known or verdict.reason == MARKED):
        return inquiry
    return replace(inquiry, certainty=verdict.certainty, reason=verdict.reason, reason_detail=verdict.detail)


def is_stronger(verdict: Verdict, inquiry: KnownInquiry) -> bool:
    return _strength(verdict.certainty, verdict.reason) > _strength(inquiry.certainty, inquiry.reason)


def _strength(certainty: str, reason: str) -> int:
    """A lead whose reason does not depend on a first contact is the strongest."""
    return 0 if certainty == "perhaps" else 1 if reason in BY_CONTACT else 2


def as_thread(inquiry: KnownInquiry) -> ThreadRecord:
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


def first_of(verdict: Verdict) -> MessageRecord:
    if verdict.first is None:
        raise ValueError(f"the verdict {verdict.reason} names no first message")
    return verdict.first
