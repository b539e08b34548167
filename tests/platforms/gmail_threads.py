"""Builds Gmail threads for tests."""

from typing import Any

import msgspec
from msgspec import Raw

from chalicelib.platforms.core.items import Batch, Skipped
from chalicelib.platforms.core.records import InquiryRecord
from chalicelib.platforms.google.threads import MailContext, Thread, add_threads, parse_thread

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


def judged(*messages: Any, own: str = OWN) -> InquiryRecord | Skipped:
    return parse_thread(msgspec.convert(thread(*messages), Thread), MailContext(own))


def inquiry(*messages: Any) -> InquiryRecord:
    outcome = judged(*messages)
    assert isinstance(outcome, InquiryRecord), outcome
    return outcome


def reason(*messages: Any) -> str:
    outcome = judged(*messages)
    return outcome.reason if isinstance(outcome, Skipped) else "an inquiry"


def read(*threads: Any) -> Batch:
    batch = Batch()
    add_threads(batch, [Raw(msgspec.json.encode(each)) for each in threads], OWN)
    return batch
