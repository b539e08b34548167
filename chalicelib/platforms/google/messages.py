"""Gmail messages, read as far as possible: an odd field affects only what depends on it."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Literal, TypeGuard

from chalicelib.platforms.core.records import MessageRecord
from chalicelib.platforms.core.text import from_entities
from chalicelib.platforms.mail.addresses import mailbox_of
from chalicelib.platforms.mail.headers import Head
from chalicelib.platforms.mail.mailboxes import from_header, parse_mailbox, parse_mailboxes
from chalicelib.platforms.mail.senders import AUTO_REPLY, OWN, Sender, is_automatic, who_wrote

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
LONGEST_ID = 64
"""Gmail's ids, of messages and of threads, have 16 characters."""
LONGEST_REFERENCES = 4_000
"""Characters of a header that are searched for Message-IDs"""
MOST_ANSWERED = 20
WRITERS = ("from", "reply-to", "x-original-from")
_IDS = re.compile(r"<[^<>\s]+>")
LONGEST_MESSAGE_ID = 998
"""Characters of a line: RFC 5322, 2.1.1"""
LATEST_MS = (LATEST - EARLIEST) // timedelta(milliseconds=1)


class Message:
    """One message and its role in its thread. `own` is the studio's address, empty if unknown."""

    def __init__(self, message_id: str, sent_at: datetime, head: Head, own: str) -> None:
        self.id = message_id
        self.sent_at = sent_at
        self.head = head
        self._is_sent = "SENT" in head.labels
        # The studio may also send under other addresses than the mailbox's.
        by_name = parse_mailbox(head.get("from")).address if self._is_sent else None
        self._own = tuple(filter(None, (own, by_name)))

    @cached_property
    def sender(self) -> Sender:
        return who_wrote(self.head, self._own)

    @cached_property
    def addressees(self) -> frozenset[str]:
        """The mailboxes it was sent to."""
        return frozenset(map(mailbox_of, self.addresses("to", "cc")))

    @cached_property
    def writers(self) -> frozenset[str]:
        """The mailboxes that a reply to it may go to."""
        return frozenset(map(mailbox_of, self.addresses(*WRITERS)))

    @cached_property
    def is_own(self) -> bool:
        """Sent by the studio. Mail that its website sends through its Gmail also has the label SENT, but is incoming:
        https://github.com/n8n-io/n8n/issues/19302. Once archived it has lost INBOX, but is still addressed to the
        studio."""
        if not self._is_sent:
            return self.sender.reason == OWN
        to_itself = self.sender.is_person and not self.addressees.isdisjoint(map(mailbox_of, self._own))
        arrived = "INBOX" in self.head.labels or to_itself
        return not arrived or self.sender.reason == OWN

    @property
    def is_person(self) -> bool:
        """Written by a person outside the studio."""
        return not self.is_own and self.sender.is_person

    @property
    def is_relayed(self) -> bool:
        return self.is_person and self.sender.is_relayed and not self.is_spam

    def to_record(self) -> MessageRecord:
        sender, contact = parse_mailbox(self.head.get("from")), self.sender.contact
        outside = not self.is_own
        return MessageRecord(
            external_id=self.id or f"at-{(self.sent_at - EARLIEST) // timedelta(milliseconds=1)}",
            direction="in" if outside else "out",
            kind=self._kind,
            sent_at=self.sent_at,
            reason=self.sender.reason if outside else "",
            sender_name=sender.name,
            sender_address=sender.address,
            person_name=contact.name if self.is_person else None,
            person_address=contact.address if self.is_person else None,
            writers=tuple(self.addresses(*WRITERS)) if outside else (),
            recipients=tuple(self.addresses("to", "cc")),
            subject=from_header(self.head.get("subject")),
            preview=self.head.text or None,
            message_id=self.message_id[:LONGEST_MESSAGE_ID],
            answered_ids=self.answered_ids,
            discarded="spam" if self.is_spam else "trash" if "TRASH" in self.head.labels else "",
        )

    @property
    def _kind(self) -> Literal["person", "machine", "auto_reply", "relay"]:
        if self.is_own:
            return "auto_reply" if is_automatic(self.head) else "person"
        if self.is_person:
            return "relay" if self.sender.is_form else "person"
        return "auto_reply" if self.sender.reason == AUTO_REPLY else "machine"

    @property
    def is_draft(self) -> bool:
        return "DRAFT" in self.head.labels

    @property
    def is_spam(self) -> bool:
        return "SPAM" in self.head.labels

    @cached_property
    def answered_ids(self) -> tuple[str, ...]:
        """The Message-IDs of the messages it answers: the direct one, then those before it, newest first."""
        direct = _IDS.findall((self.head.get("in-reply-to") or "")[:LONGEST_REFERENCES])
        before = _IDS.findall((self.head.get("references") or "")[-LONGEST_REFERENCES:])
        return tuple(dict.fromkeys([*direct[:1], *reversed(before)]))[:MOST_ANSWERED]

    @property
    def answered_id(self) -> str:
        """The Message-ID of the message it answers; empty if none."""
        match = _IDS.search(self.head.get("in-reply-to") or "")
        return match[0] if match else ""

    @property
    def message_id(self) -> str:
        return (self.head.get("message-id") or "").strip()

    def addresses(self, *names: str) -> list[str]:
        """As written in these header fields."""
        named = (mailbox.address for name in names for mailbox in parse_mailboxes(self.head.get(name)))
        return [address for address in named if address]


def is_id(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isprintable()


def read_message(plain: Any, own: str) -> Message | None:
    """None for a message without a time."""
    if not isinstance(plain, dict):
        return None
    snippet = _text(plain.get("snippet"))
    labels = frozenset(_texts(plain.get("labelIds")))
    head = Head(_fields(plain.get("payload")), labels, from_entities(snippet) or "")
    sent_at = _moment(plain.get("internalDate")) or _date(head.get("date"))
    if sent_at is None:
        return None
    message_id = plain.get("id")
    return Message(message_id if is_id(message_id) else "", sent_at, head, own)


def _fields(payload: Any) -> dict[str, str]:
    """If several fields have the same name, the first one counts."""
    headers = payload.get("headers") if isinstance(payload, dict) else None
    pairs = ((_text(each.get("name")), _text(each.get("value"))) for each in _list(headers) if isinstance(each, dict))
    named = [(name.strip().lower(), value) for name, value in pairs if name is not None and value is not None]
    return dict(reversed(named))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [each for each in _list(value) if isinstance(each, str)]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _moment(milliseconds: Any) -> datetime | None:
    """64-bit integers are strings on the wire."""
    if isinstance(milliseconds, str) and re.fullmatch("[0-9]{1,15}", milliseconds):
        milliseconds = int(milliseconds)
    if type(milliseconds) is not int or not 0 <= milliseconds < LATEST_MS:
        return None
    return EARLIEST + timedelta(milliseconds=milliseconds)


def _date(header: str | None) -> datetime | None:
    """The sender's own date: less reliable than the time at which Google received it, but better than nothing."""
    try:
        moment = parsedate_to_datetime((header or "")[:100])
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if EARLIEST <= moment < LATEST else None
