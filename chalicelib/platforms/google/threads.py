"""Gmail threads as messages: which of them belong together. Whether they are a lead is not decided here."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw

from chalicelib import logs
from chalicelib.platforms.core.decoding import decode_leniently
from chalicelib.platforms.core.items import Batch, Items, Outcome, UnreadableRecord
from chalicelib.platforms.core.records import ThreadRecord
from chalicelib.platforms.core.text import clean
from chalicelib.platforms.google.messages import LONGEST_ID, Message, is_id, read_message
from chalicelib.platforms.mail.addresses import mailbox_of


class Thread(msgspec.Struct, frozen=True):
    id: str
    messages: list[Any] = []


class MailContext(msgspec.Struct, frozen=True):
    """`own` is the studio's address, empty if unknown."""

    own: str = ""


class Conversation(msgspec.Struct):
    """Messages with one person, oldest first. `part` is the id of the message that started it inside a thread, else
    empty."""

    part: str
    messages: list[Message]


def add_threads(batch: Batch, raws: Sequence[Raw], own: str) -> None:
    """Adds the outcome of each thread: several records if one thread holds several form submissions."""
    for raw in raws:
        try:
            outcomes: Sequence[Outcome] = parse_conversations(decode_leniently(raw, Thread), own)
        except (UnreadableRecord, ValueError, TypeError, ArithmeticError, LookupError, RecursionError):
            outcomes = [THREADS.read_one(raw, MailContext(own))]  # which sets it aside
        for outcome in outcomes:
            batch.add(outcome)


def parse_thread(thread: Thread, context: MailContext) -> ThreadRecord:
    """Its first conversation; usually the only one."""
    return parse_conversations(thread, context.own)[0]


def parse_conversations(thread: Thread, own: str) -> list[ThreadRecord]:
    if not is_id(thread.id):
        raise UnreadableRecord("id", f"must have 1 to {LONGEST_ID} characters that can be printed")
    messages = read_messages(thread, own)
    if unreadable := len(thread.messages) - len(messages):
        logs.event("inquiry.messages_unreadable", level=logging.WARNING, messages=unreadable, of=len(thread.messages))
    if not messages:
        raise UnreadableRecord("messages", "has no message with a time")
    return [_record(thread.id, conversation, own) for conversation in _conversations(thread.id, messages)]


def read_messages(thread: Thread, own: str) -> list[Message]:
    """The readable messages, oldest first."""
    read = (read_message(plain, own) for plain in thread.messages)
    return sorted((message for message in read if message), key=lambda message: message.sent_at)


def _conversations(thread_id: str, messages: Sequence[Message]) -> list[Conversation]:
    """A thread is one conversation, unless a form or similar wrote for several people in it: Gmail groups such mail
    into one thread because its subject is the same (https://github.com/Automattic/jetpack/issues/7638).

    A conversation that started inside a thread is permanently identified by the thread and its first message: Gmail's
    threads have the id of their first message, and that message may be deleted one day.
    """
    mails = [message for message in messages if not message.is_draft]
    relayed: dict[str, Conversation] = {}
    for message in mails:
        if message.is_relayed:
            part = "" if message.id == thread_id else message.id
            relayed.setdefault(_person(message), Conversation(part, [])).messages.append(message)
    if len(relayed) < 2:
        first = next((message for message in mails if message.is_person), None)
        begun = first is not None and first.is_relayed and first.id != thread_id
        return [Conversation(first.id if first and begun else "", mails)]
    rest = _distribute([message for message in mails if not message.is_relayed], relayed)
    others = [Conversation("", rest)] if any(message.is_person for message in rest) else []
    return list({each.part: each for each in (*others, *relayed.values())}.values())


def _person(message: Message) -> str:
    """Who wrote through a relay. If that is unknown, each message counts as a different person."""
    address = message.sender.contact.address
    return mailbox_of(address) if address else f"#{message.id}"


def _distribute(messages: Sequence[Message], conversations: Mapping[str, Conversation]) -> list[Message]:
    """Adds each message to the conversation it answers, else to those of its writer or addressees. Returns the rest."""
    rest, by_id = [], {each.message_id: each for one in conversations.values() for each in one.messages}
    for message in messages:
        answered = by_id.get(message.answered_id) if message.answered_id else None
        people = {_person(answered)} if answered else message.addressees if message.is_own else message.writers
        targets = [conversations[person] for person in people if person in conversations]
        for conversation in targets:
            conversation.messages.append(message)
            conversation.messages.sort(key=lambda each: each.sent_at)
        if not targets:
            rest.append(message)
    return rest


def _record(thread_id: str, conversation: Conversation, own: str) -> ThreadRecord:
    return ThreadRecord(
        external_id=f"{thread_id}/{conversation.part}" if conversation.part else thread_id,
        channel="email",
        url=clean(f"https://mail.google.com/mail/u/0/#all/{quote(thread_id, safe='')}"),
        own=(own,) if own else (),
        messages=tuple(message.to_record() for message in conversation.messages),
    )


THREADS = Items(record=ThreadRecord, shape=Thread, context=MailContext, parse=parse_thread)
