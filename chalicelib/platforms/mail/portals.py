"""Portals, marketplaces and studio software: which of their mail a person wrote through them.

They are known by sender and shape, because they send their own notices from the same addresses. The header and the
beginning of the text are enough.
"""

import re
from collections.abc import Callable
from typing import Literal

import msgspec

from chalicelib.platforms.mail.headers import Mail
from chalicelib.platforms.mail.mailboxes import NOBODY, Mailbox

Kind = Literal["form", "message", "machine"]
"""What a person wrote through a form, in a conversation that the portal passes on, or nothing of a person"""

# What portals write around a person's words or answers. Their own notices have none of it.
_QUOTING = (
    r"sent you an? (?:message|inquiry|enquiry)|\b(?:wants|requested|is requesting) a quote|\bsays:"
    r"|their note to you|personal email:|guest count:|new inquiry (?:from|:)|is interested in your services"
)
_OBSERVED = "observed in their mail to venues and studios; not documented"


class Portal(msgspec.Struct, frozen=True):
    name: str
    sender: re.Pattern[str]
    """Of the address in From"""
    kind: Kind
    source: str
    shape: re.Pattern[str] | None = None
    """Of the subject and the extract; None: all of this sender's mail"""
    contact: Callable[[Mail], Mailbox] = lambda mail: NOBODY

    def holds(self, mail: Mail) -> bool:
        """What answers a mail of the studio is a person's, whatever its shape."""
        if self.sender.fullmatch(mail.address) is None:
            return False
        if self.shape is None or (self.kind != "machine" and mail.get("in-reply-to")):
            return True
        return self.shape.search(f"{mail.get('subject') or ''}\n{mail.text}") is not None


def _sender(mail: Mail) -> Mailbox:
    """An address for one person, to which answers go."""
    return mail.sender


def _from(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _says(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


PORTALS = (
    Portal("The Knot", _from(r".+@member\.theknot\.com"), "message", _OBSERVED, contact=_sender),
    Portal("WeddingWire", _from(r"messages@weddingwire\.com"), "form", _OBSERVED, _says(r"\bsays:|reply directly to")),
    Portal("WeddingPro", _from(r"pros@weddingpro\.com"), "form", _OBSERVED, _says(_QUOTING)),
    Portal("Zola", _from(r"weddingvendors@zola\.com"), "form", _OBSERVED, _says(_QUOTING)),
    Portal("Yelp", _from(r"(?:reply|leadsapi)\+.+@messaging\.yelp\.com"), "message", _OBSERVED),
    Portal(
        "Thumbtack",
        _from(r".+@(?:.+\.)?thumbtack\.com"),
        "form",
        "what is read of other portals' mail; theirs is not documented",
        _says(_QUOTING),
    ),
    Portal(
        "HoneyBook",
        _from(r".+@reply\.honeybook\.com"),
        "form",
        "its aliases for one person's answers; contracts and invoices come from other addresses",
        _says(r"new inquiry|\bmessage:|contact form"),
        contact=_sender,
    ),
    Portal("Bark", _from(r".+@(?:.+\.)?bark\.com"), "machine", "offers of contacts for sale: nobody wrote"),
    Portal(
        "their own notices",
        _from(r".+@(?:.+\.)?(?:theknot|weddingwire|weddingpro|zola|yelp|thumbtack|honeybook)\.com"),
        "machine",
        "reports, reviews, invoices, advertising",
    ),
)
"""In this order: the first row that holds decides."""


def find_portal(mail: Mail) -> Portal | None:
    return next((portal for portal in PORTALS if portal.holds(mail)), None)
