"""Gmail threads as inquiries: which messages belong together, who began, and when the studio answered."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw

from chalicelib import logs
from chalicelib.platforms.decoding import decode_leniently
from chalicelib.platforms.google.messages import Message, read_message
from chalicelib.platforms.items import Batch, Items, Skipped, UnreadableRecord
from chalicelib.platforms.mailboxes import from_header
from chalicelib.platforms.records import InquiryRecord
from chalicelib.platforms.text import clean, from_entities

STUDIO_BEGAN = "started_by_studio"
NOTHING_LEFT = "nothing_left"
"""What somebody wrote is no longer there, only answers to it are: what is stored of it stays as it is."""


class Thread(msgspec.Struct, frozen=True):
    id: str
    messages: list[Any] = []


class MailContext(msgspec.Struct, frozen=True):
    """`own` is the studio's address, empty when it is not known. `part` is the id of the message that begins the
    conversation which is meant; empty for the one that is known by the thread's id."""

    own: str = ""
    part: str = ""


class Conversation(msgspec.Struct):
    """Messages with one person, oldest first. `part` is as in MailContext, `person` the address, if it is known."""

    part: str
    messages: list[Message]
    person: str = ""


def add_threads(batch: Batch, raws: Sequence[Raw], own: str) -> None:
    """Adds what each thread turns out to be, conversation by conversation."""
    for raw in raws:
        for part in _parts(raw, own):
            outcome = THREADS.read_one(raw, MailContext(own, part))
            if not (isinstance(outcome, Skipped) and outcome.reason == NOTHING_LEFT):
                batch.add(outcome)


def read_messages(thread: Thread, own: str) -> list[Message]:
    """Those that can be read, oldest first."""
    read = (read_message(plain, own) for plain in thread.messages)
    return sorted((message for message in read if message), key=lambda message: message.sent_at)


def _parts(raw: Raw, own: str) -> list[str]:
    try:
        thread = decode_leniently(raw, Thread)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return [""]
    return [conversation.part for conversation in _conversations(thread.id, read_messages(thread, own))]


def _conversations(thread_id: str, messages: Sequence[Message]) -> list[Conversation]:
    """A thread is one, unless a form or the like wrote for several people in it: Gmail puts such mail into one thread,
    since its subject is the same (https://github.com/Automattic/jetpack/issues/7638).

    What was begun that way amid a thread is known by its first message beside the thread, for good: Gmail's threads
    have the id of their first message, and that message may be deleted one day.
    """
    said = [message for message in messages if not message.is_draft]
    relayed: dict[str, Conversation] = {}
    for message in said:
        if message.is_relayed:
            person = (message.sender.contact.address or "").casefold()
            part = "" if message.id == thread_id else message.id
            relayed.setdefault(person or f"#{message.id}", Conversation(part, [], person)).messages.append(message)
    if len(relayed) < 2:
        first = next((message for message in said if message.is_person), None)
        begun = first is not None and first.is_relayed and first.id != thread_id
        return [Conversation(first.id if first and begun else "", said)]
    rest = Conversation("", [])
    for message in said:
        for conversation in [] if message.is_relayed else _of(message, list(relayed.values())) or [rest]:
            conversation.messages.append(message)
    found = [rest] if any(message.is_person for message in rest.messages) else []
    found += relayed.values()
    for conversation in found:
        conversation.messages.sort(key=lambda message: message.sent_at)
    return list({conversation.part: conversation for conversation in found}.values())


def _of(message: Message, conversations: list[Conversation]) -> list[Conversation]:
    """Those that a message belongs to: an answer to the one it answers, else by its writer or its addressees."""
    answered = [each for each in conversations if any(message.answers(other) for other in each.messages)]
    if answered or (message.is_own and not message.addressees):
        return answered
    people = message.addressees if message.is_own else message.writers
    return [each for each in conversations if each.person in {address.casefold() for address in people}]


def parse_thread(thread: Thread, context: MailContext) -> InquiryRecord | Skipped:
    messages = read_messages(thread, context.own)
    if unreadable := len(thread.messages) - len(messages):
        logs.event("inquiry.messages_unreadable", level=logging.WARNING, messages=unreadable, of=len(thread.messages))
    if not messages:
        raise UnreadableRecord("messages", "has no message with a time")
    conversations = _conversations(thread.id, messages)
    chosen = next((each for each in conversations if each.part == context.part), conversations[0])
    external_id = f"{thread.id}/{chosen.part}" if chosen.part else thread.id
    reason, first = _judge(chosen.messages)
    if first is None:
        return _skipped(external_id, reason, chosen.messages)
    name, address = first.sender.contact
    return InquiryRecord(
        external_id=external_id,
        channel="email",
        received_at=first.sent_at,
        contact_name=name,
        contact_email=address,
        subject=from_header(first.head.get("subject")),
        message=from_entities(first.snippet),
        url=clean(f"https://mail.google.com/mail/u/0/#all/{quote(thread.id, safe='')}"),
        replied_at=_replied_at(chosen.messages, first),
    )


def _judge(messages: Sequence[Message]) -> tuple[str, Message | None]:
    """The message with which somebody wrote to the studio; or why there is none.

    What lies in the trash still tells who wrote, as long as not all of the conversation lies there; spam never does.
    """
    if messages and all(message.is_left_out for message in messages):
        return "spam" if messages[0].is_spam else "trash", None
    heard = [message for message in messages if not message.is_spam]
    if not heard or (heard[0].is_own and heard[0].answered_id):
        first = next((message for message in heard if message.is_person), None)
        return ("", first) if first else (NOTHING_LEFT, None)
    for message in heard:
        if message.is_person:
            return "", message
        if message.is_answer and _is_beginning(message, heard):
            return STUDIO_BEGAN, None
    return next((message.sender.reason for message in heard if not message.is_own), STUDIO_BEGAN), None


def _is_beginning(message: Message, heard: Sequence[Message]) -> bool:
    """Whether the others answer it, and did not come by another's hand into a thread about something else."""
    first = next((other for other in heard if other.is_person), None)
    return first is None or not first.is_relayed or message.is_to(first.writers)


def _replied_at(messages: Sequence[Message], first: Message) -> datetime | None:
    """Of the first answer to whoever wrote: what is sent on to a colleague is none."""
    known = first.sender.contact.address is not None
    people = [address for message in messages if known and not message.is_own for address in message.writers]
    answers = (message for message in messages if message.is_answer and message.sent_at >= first.sent_at)
    return next((message.sent_at for message in answers if message.is_to(people)), None)


def _skipped(external_id: str, reason: str, messages: Sequence[Message]) -> Skipped:
    came = [message for message in messages if not message.is_own]
    went = [message for message in messages if message.is_own]
    others = [address for message in came for address in (message.sender.contact.address, *message.writers) if address]
    others += [address for message in went for address in message.addressees]
    return Skipped(
        external_id=external_id,
        reason=reason,
        counterpart=next(iter(others), None),
        last_in_at=max((message.sent_at for message in came), default=None),
        last_out_at=max((message.sent_at for message in went), default=None),
    )


THREADS = Items(shape=Thread, context=MailContext, parse=parse_thread)
