"""Conversations as the rules see them: who began, who first wrote to the studio, and what is known of that person."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal

import msgspec

from chalicelib.platforms.core.records import MessageRecord, ThreadRecord
from chalicelib.platforms.core.titles import fold
from chalicelib.platforms.mail.addresses import domain_of, is_same_organisation, mailbox_of
from chalicelib.services.leads.matters import UNSURE, Matter, find_matter
from chalicelib.services.leads.words import Signs, read_signs

Certainty = Literal["lead", "perhaps", "not_a_lead"]
DIRECT_CHANNELS = frozenset({"instagram_dm", "facebook_message"})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StudioRule(msgspec.Struct, frozen=True):
    """The studio's own decision about a sender or a domain."""

    kind: Literal["sender", "domain"]
    value: str
    verdict: Certainty


class Context(msgspec.Struct, frozen=True):
    """What is known besides the messages of a thread."""

    rules: Sequence[StudioRule] = ()
    contacts: Mapping[str, datetime] = {}
    """When the studio and an address first had contact in another conversation; a booking is one too"""
    inquiries: Mapping[str, datetime] = {}
    """When an address first inquired"""


NOTHING_KNOWN = Context()


class Candidate:
    """A thread that may be a lead. Spam in it does not count; what is in the trash does."""

    def __init__(self, thread: ThreadRecord, context: Context) -> None:
        self.thread = thread
        self.messages = thread.messages
        self._context = context

    @cached_property
    def heard(self) -> list[MessageRecord]:
        return [message for message in self.messages if message.discarded != "spam"]

    @cached_property
    def first(self) -> MessageRecord | None:
        """The first message of a person."""
        return next((message for message in self.heard if is_of_person(message)), None)

    @cached_property
    def first_in(self) -> MessageRecord | None:
        """The first message that is not the studio's."""
        return self.first or next((message for message in self.heard if message.direction == "in"), None)

    @cached_property
    def is_answer_to_nothing(self) -> bool:
        """Whether the messages that the studio answers are gone."""
        return not self.heard or (self.heard[0].direction == "out" and bool(self.heard[0].answered_ids))

    @cached_property
    def is_begun_by_studio(self) -> bool:
        """Whether the studio wrote before any person did, and this person answered it."""
        for message in self.heard:
            if is_of_person(message):
                return False
            if is_of_studio(message) and self._is_beginning(message):
                return not self.is_answer_to_nothing
        return self.first_in is None

    def _is_beginning(self, message: MessageRecord) -> bool:
        """A message that came through a relay may have got into a thread about something else."""
        if self.first is None or not is_relayed(self.first):
            return True
        return is_to(message, mailboxes(self.first.writers))

    @cached_property
    def address(self) -> str:
        """Of the person, or of the machine if no person wrote; empty if unknown."""
        if self.first is not None:
            return normalized(self.first.person_address)
        return normalized(self.first_in.sender_address) if self.first_in else ""

    @cached_property
    def opening(self) -> str:
        """What the person wrote before the studio's first answer: short messages often make one question."""
        written: list[str] = []
        for message in self.heard:
            if is_of_studio(message) and written:
                break
            if is_of_person(message):
                written += [message.subject or "", message.preview or ""]
        return "\n".join(written)

    @cached_property
    def signs(self) -> Signs:
        return read_signs(self.opening, self.first.sent_at if self.first else EPOCH)

    @cached_property
    def matter(self) -> tuple[Matter, str] | None:
        """What else than a job the person wants."""
        return find_matter(fold(self.opening))

    @cached_property
    def unsure_matter(self) -> tuple[Matter, str] | None:
        return find_matter(fold(self.opening), UNSURE)

    @property
    def is_direct(self) -> bool:
        return self.thread.channel in DIRECT_CHANNELS

    @cached_property
    def says_nothing(self) -> bool:
        """Only symbols, such as hearts, or nothing at all."""
        return not any(character.isalnum() for character in self.opening)

    @cached_property
    def is_reaction(self) -> bool:
        """To something that the studio showed, such as a story."""
        return self.first is not None and self.first.reaction != ""

    @cached_property
    def has_earlier_contact(self) -> bool:
        since = self._context.contacts.get(self.address) if self.address else None
        return since is not None and self.first_in is not None and since < self.first_in.sent_at

    @cached_property
    def has_asked_before(self) -> bool:
        """Whether an earlier contact was an inquiry."""
        since = self._context.inquiries.get(self.address) if self.address else None
        return since is not None and self.first_in is not None and since < self.first_in.sent_at

    @cached_property
    def is_of_own_domain(self) -> bool:
        return bool(self.address) and any(is_same_organisation(own, self.address) for own in self.thread.own)

    @cached_property
    def studio_rule(self) -> StudioRule | None:
        """That of the sender comes before that of the domain. A form's or portal's own domain has none: it stands for
        many people."""
        named = {"sender": self.address, "domain": domain_of(self.address)}
        matching = [rule for rule in self._context.rules if self.address and rule.value == named[rule.kind]]
        return min(matching, key=lambda rule: rule.kind == "domain", default=None)


def is_of_person(message: MessageRecord) -> bool:
    return message.direction == "in" and message.kind in ("person", "relay")


def is_of_studio(message: MessageRecord) -> bool:
    """Written by the studio itself, not by its machines, such as an out-of-office reply."""
    return message.direction == "out" and message.kind == "person"


def is_relayed(message: MessageRecord) -> bool:
    return normalized(message.person_address) != normalized(message.sender_address)


def is_to(message: MessageRecord, people: frozenset[str]) -> bool:
    """Whether it went to one of these mailboxes. Also true if it names no recipients, or if nobody is known."""
    addressees = mailboxes(message.recipients)
    return not (people and addressees) or not addressees.isdisjoint(people)


def mailboxes(addresses: Iterable[str]) -> frozenset[str]:
    return frozenset(map(mailbox_of, addresses))


def normalized(address: str | None) -> str:
    """As an identity of a person: in lower case, and nothing else."""
    return (address or "").strip().casefold()
