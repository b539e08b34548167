"""What a mail's header says about its author, independent of the mail's source."""

import re
from collections.abc import Collection, Mapping
from functools import cached_property

import msgspec

from chalicelib.platforms.mail.addresses import domain_of, is_form, is_robot, is_role, is_same_organisation, mailbox_of
from chalicelib.platforms.mail.mailboxes import Mailbox, parse_mailbox, parse_mailboxes

HEADERS = (
    *("From", "Reply-To", "Sender", "To", "Cc", "Subject", "In-Reply-To", "References", "Return-Path", "Content-Type"),
    *("Auto-Submitted", "Precedence", "List-Id", "List-Unsubscribe", "X-Autoreply", "X-Autorespond"),
    *("X-Original-From", "X-Mailer", "X-PHP-Originating-Script"),
)
"""The fields that the rules use. Not X-Auto-Response-Suppress: it asks for no automatic reply, and people's mail has it
too (https://github.com/osTicket/osTicket/issues/726, https://github.com/sisimai/p5-sisimai/issues/491)."""

_PORTAL_DOMAINS = re.compile(r"(?:.+\.)?(?:theknot|weddingwire|weddingpro|authsolic|zola|yelp)\.com")
_REMINDERS = re.compile(r"don.t (?:leave|keep) .+ (?:hanging|waiting)", re.IGNORECASE)
_PHP_MAILERS = re.compile(r"PHPMailer|WPMailSMTP|WordPress", re.IGNORECASE)
_WRITTEN = re.compile(
    r"\b(?:e-?mail|email address|mail|correo|courriel|posta elettronica)(?: address|-adresse)?\s*[:：]?\s*"
    r"<?(?P<address>[^\s<>()\[\],;:\"']+@[^\s<>()\[\],;:\"']+\.[^\s<>()\[\],;:\"']+)|<(?P<bracketed>[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+)>",
    re.IGNORECASE,
)
"""An address in a form's mail: after a label such as `E-Mail:`, or in brackets after a name"""
_VIA = re.compile(r"'?(?P<name>.+?)'? via .+")
_CATEGORIES = frozenset({"CATEGORY_PROMOTIONS", "CATEGORY_SOCIAL", "CATEGORY_FORUMS", "CATEGORY_UPDATES"})


class Head(msgspec.Struct, frozen=True):
    """A mail's header fields, by lower-case name, the labels its mailbox assigned, and the beginning of its text."""

    fields: Mapping[str, str] = {}
    labels: frozenset[str] = frozenset()
    text: str = ""

    def get(self, name: str) -> str | None:
        return self.fields.get(name)


class Mail:
    """The properties of a mail that the rules test. `own` holds the studio's known addresses."""

    def __init__(self, head: Head, own: Collection[str]) -> None:
        self.own = [address for address in own if address]
        self.labels = head.labels
        self.text = head.text
        self.get = head.get
        self.sender = parse_mailbox(head.get("from"))
        self.address = (self.sender.address or "").casefold()
        self.content_type = (head.get("content-type") or "").casefold()
        self.precedence = (head.get("precedence") or "").strip().casefold()

    @cached_property
    def auto_submitted(self) -> str:
        """The keyword alone: comments and parameters may follow it."""
        match = re.match(r"[\w-]+", (self.get("auto-submitted") or "").strip())
        return match[0].casefold() if match else "no"

    @cached_property
    def is_report(self) -> bool:
        return self.content_type.startswith("multipart/report")

    @cached_property
    def is_reminder(self) -> bool:
        portal = _PORTAL_DOMAINS.fullmatch(domain_of(self.address)) is not None
        return portal and (".reminder@" in self.address or _REMINDERS.search(self.get("subject") or "") is not None)

    @cached_property
    def is_own(self) -> bool:
        return bool(self.address) and mailbox_of(self.address) in map(mailbox_of, self.own)

    @cached_property
    def list_domain(self) -> str:
        """`studio.example` of the list `<bookings.studio.example>`."""
        match = re.search(r"<[^<>.]+\.([^<>]+)>", self.get("list-id") or "")
        return match[1] if match else ""

    @cached_property
    def is_own_list(self) -> bool:
        """A group of the studio's own domain, which several people read."""
        return self._is_of_studio(f"@{self.list_domain}")

    @cached_property
    def is_listed(self) -> bool:
        return self.precedence == "list" or any(self.get(name) is not None for name in ("list-id", "list-unsubscribe"))

    @cached_property
    def via(self) -> re.Match[str] | None:
        """`'Anna' via Bookings`, as groups write for senders whose domain does not let others send."""
        return _VIA.fullmatch(self.sender.name or "")

    @cached_property
    def stands_for_others(self) -> bool:
        """Whether From is not the author: a robot, a form, a list, the studio's own site, or an unknown portal."""
        return (
            is_robot(self.address)
            or is_form(self.address)
            or self.via is not None
            or self.is_own
            or self._is_of_studio(self.address)
            or self.get("x-php-originating-script") is not None
            or _PHP_MAILERS.search(self.get("x-mailer") or "") is not None
            or (self.is_listed and not self.precedence and "CATEGORY_PROMOTIONS" not in self.labels)
        )

    @cached_property
    def person(self) -> Mailbox | None:
        """The person in Reply-To, if different from From."""
        named = parse_mailboxes(self.get("reply-to"))
        if self.via or self.is_listed:
            named += parse_mailboxes(self.get("x-original-from"))
        contact = next((each for each in named if each.address and self._is_person(each.address)), None)
        if contact is not None and contact.name is None and self.via is not None:
            return contact._replace(name=self.via["name"])
        return contact

    @cached_property
    def written(self) -> Mailbox | None:
        """The person's address as a form's mail names it in its text."""
        found = (parse_mailbox(match["address"] or match["bracketed"]) for match in _WRITTEN.finditer(self.text))
        return next((each for each in found if each.address and self._is_person(each.address)), None)

    @cached_property
    def is_to_several(self) -> bool:
        """As people write to them; advertising names each reader alone."""
        return len(self.addressees) + len(parse_mailboxes(self.get("cc"))) > 1

    @cached_property
    def addressees(self) -> list[str]:
        to = (mailbox.address for mailbox in parse_mailboxes(self.get("to")))
        return [address for address in to if address]

    def _is_person(self, address: str) -> bool:
        if is_robot(address) or is_form(address) or self._is_of_studio(address):
            return False
        if mailbox_of(address) in {mailbox_of(other) for other in (self.address, *self.own, *self.addressees)}:
            return False  # no one new: the sender, the studio under another address, or the list
        domain = domain_of(address)
        if _PORTAL_DOMAINS.fullmatch(domain) or is_same_organisation(address, f"@{self.list_domain}"):
            return False
        is_marked = self.is_listed or any(label in _CATEGORIES for label in self.labels)
        return not (is_same_organisation(address, self.address) and (is_marked or is_role(address)))

    def _is_of_studio(self, address: str) -> bool:
        return any(is_same_organisation(own, address) for own in self.own)
