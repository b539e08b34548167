"""Builds Gmail threads for tests."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from chalicelib.platforms.core.items import Batch, Skipped
from chalicelib.platforms.core.records import MessageRecord, Record, ThreadRecord
from chalicelib.platforms.google.threads import MailContext, Thread, add_threads, parse_thread
from chalicelib.services.leads.candidates import NOTHING_KNOWN
from chalicelib.services.leads.judging import Verdict, judge, leave_out
from chalicelib.services.leads.waiting import first_response, turns_of, waiting_since

OWN = "hello@studio.example"
ANA, BEN = "Ana Ruiz <ana@example.org>", "Ben Novak <ben@example.net>"


def message(at: int, *labels: str, **headers: str) -> dict[str, Any]:
    """Its id is `m` and its time; `from_` is From, and the studio's mail goes to Ana."""
    sent = "SENT" in labels
    named = {"from": OWN if sent else ANA, "to": ANA if sent else OWN, "message-id": f"<m{at}@mail.example>"}
    named |= {name.strip("_").replace("_", "-"): value for name, value in headers.items()}
    fields = [{"name": name, "value": value} for name, value in named.items()]
    return {"id": f"m{at}", "internalDate": str(at), "labelIds": list(labels), "payload": {"headers": fields}}


def form(at: int, person: str, *labels: str, **headers: str) -> dict[str, Any]:
    """A submission of the form on the studio's site, which sends through the studio's own Gmail."""
    return message(at, *(labels or ("SENT", "INBOX")), from_=OWN, to=OWN, reply_to=person, **headers)


def thread(*messages: Any, thread_id: str = "") -> dict[str, Any]:
    """Gmail's threads have the id of their first message."""
    first = messages[0] if messages else None
    return {"id": thread_id or (first.get("id") if isinstance(first, dict) else "") or "t", "messages": list(messages)}


class Lead(msgspec.Struct, frozen=True):
    """A thread that is a lead, or perhaps one, and what follows from its messages alone."""

    thread: ThreadRecord
    verdict: Verdict

    @property
    def first(self) -> MessageRecord:
        assert self.verdict.first is not None
        return self.verdict.first

    @property
    def received_at(self) -> datetime:
        return self.first.sent_at

    @property
    def contact_email(self) -> str | None:
        return self.first.person_address

    @property
    def replied_at(self) -> datetime | None:
        return first_response(turns_of(self.thread, self.first), self.received_at)

    @property
    def waits_since(self) -> datetime | None:
        return waiting_since(turns_of(self.thread, self.first))


def judged(*messages: Any, own: str = OWN) -> Lead | Skipped:
    return judge_record(parse_thread(msgspec.convert(thread(*messages), Thread), MailContext(own)))


def judge_record(record: Record) -> Lead | Skipped:
    assert isinstance(record, ThreadRecord)
    verdict = judge(record, NOTHING_KNOWN)
    return Lead(record, verdict) if verdict.is_stored else leave_out(record, verdict)


def inquiry(*messages: Any) -> Lead:
    outcome = judged(*messages)
    assert isinstance(outcome, Lead), outcome
    return outcome


def reason(*messages: Any) -> str:
    outcome = judged(*messages)
    return outcome.reason if isinstance(outcome, Skipped) else "an inquiry"


def read(*threads: Any) -> Batch:
    batch = Batch()
    add_threads(batch, [Raw(msgspec.json.encode(each)) for each in threads], OWN)
    return batch


def leads(batch: Batch) -> dict[str, Lead]:
    return leads_of(batch.records)


def leads_of(records: Sequence[Record]) -> dict[str, Lead]:
    """By external id."""
    judgements = [judge_record(record) for record in records]
    return {each.thread.external_id: each for each in judgements if isinstance(each, Lead)}


def left_out(batch: Batch) -> list[tuple[str, str]]:
    """External ids and reasons."""
    judgements = [judge_record(record) for record in batch.records]
    return [(each.external_id, each.reason) for each in judgements if isinstance(each, Skipped)]
