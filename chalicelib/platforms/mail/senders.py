"""Who wrote a mail: a person, and where to answer, or a machine, and of what kind. Decided by the header alone."""

import re
from collections.abc import Callable, Collection

import msgspec

from chalicelib.platforms.mail.addresses import domain_of, is_form, is_robot
from chalicelib.platforms.mail.headers import Head, Mail
from chalicelib.platforms.mail.mailboxes import NOBODY, Mailbox, parse_mailbox
from chalicelib.platforms.mail.portals import Kind, find_portal

PERSON = ""
"""The reason of rules that recognize a person."""
OWN = "own_mail"
AUTO_REPLY = "auto_reply"
AUTOMATIC = frozenset({"bounce", "read_receipt", AUTO_REPLY, "auto_generated", "calendar"})
"""Sent in a person's name without being that person's answer."""

# Addresses that send form submissions and nothing else.
_FORM_SENDERS = re.compile(
    r"form-submission@squarespace\.info|.+@wix-forms\.com|no-reply-forms@webflow\.com|formresponses@netlify\.com"
)

_CALENDARS = re.compile(r"(?:calendar-notification|noreply-calendar-sync)@google\.com")
_SOCIAL = re.compile(r"(?:.+\.)?(?:facebookmail\.com|mail\.instagram\.com)")
# Their Reply-To names the person that the notification is about.
_SERVICES = re.compile(r"(?!local-services).+-noreply@(?:docs\.)?google\.com|.+@docusign\.net")
_AWAY = re.compile(
    r"(?:automatic reply|auto[- ]?reply|out of (?:the )?office|automatische antwort|respuesta autom[aá]tica"
    r"|r[eé]ponse automatique|risposta automatica|resposta autom[aá]tica)\s*:|abwesenheitsnotiz\b",
    re.IGNORECASE,
)


class Sender(msgspec.Struct, frozen=True):
    """Who wrote. `is_relayed`: the mail came through a relay, so that From stands for many people. `is_form`: it came
    through a form or a portal, with which people write to a studio."""

    reason: str
    contact: Mailbox
    is_relayed: bool = False
    is_form: bool = False

    @property
    def is_person(self) -> bool:
        return self.reason == PERSON


class SenderRule(msgspec.Struct, frozen=True):
    """The category of a mail for which it `holds`. `contact` is the person to answer."""

    reason: str
    holds: Callable[[Mail], bool]
    source: str = ""
    contact: Callable[[Mail], Mailbox] = lambda mail: mail.sender
    is_relayed: bool = False
    is_form: bool = False


def _matches(pattern: re.Pattern[str]) -> Callable[[Mail], bool]:
    return lambda mail: pattern.fullmatch(mail.address) is not None


def _labelled(label: str) -> Callable[[Mail], bool]:
    return lambda mail: label in mail.labels


def _of_portal(*kinds: Kind) -> Callable[[Mail], bool]:
    return lambda mail: (portal := find_portal(mail)) is not None and portal.kind in kinds


def _asking_through_portal(mail: Mail) -> Mailbox:
    portal = find_portal(mail)
    contact = portal.contact(mail) if portal is not None else NOBODY
    return mail.person or (contact if contact.address else mail.written or NOBODY)


RULES = (
    # Sent by machines, whoever they name.
    SenderRule("chat", _labelled("CHAT"), "Gmail keeps chats as messages with this label"),
    SenderRule(
        "read_receipt", lambda mail: mail.is_report and "disposition-notification" in mail.content_type, "RFC 8098, 3.1"
    ),
    SenderRule(
        "bounce",
        lambda mail: mail.is_report or mail.address.partition("@")[0] in ("mailer-daemon", "postmaster"),
        "RFC 6522, RFC 3464; postmaster: RFC 5321, 4.5.1",
    ),
    SenderRule(
        "auto_reply",
        lambda mail: mail.auto_submitted in ("auto-replied", "auto-notified"),
        "RFC 3834, 5; RFC 5436, 2.7.1",
    ),
    SenderRule(
        "auto_reply",
        lambda mail: (
            mail.precedence == "auto_reply"
            or mail.get("x-autorespond") is not None
            or (mail.get("x-autoreply") or "no").strip().casefold() != "no"
        ),
        "https://github.com/jpmckinney/multi_mail/wiki/Detecting-autoresponders",
    ),
    SenderRule("auto_reply", lambda mail: _AWAY.match(mail.get("subject") or "") is not None, "Outlook's subjects"),
    SenderRule(
        "calendar",
        lambda mail: (
            mail.content_type.startswith("text/calendar")
            or _CALENDARS.fullmatch(mail.address) is not None
            or _CALENDARS.fullmatch((parse_mailbox(mail.get("sender")).address or "").casefold()) is not None
        ),
        "RFC 6047; Google Calendar writes in the organizer's name and names itself in Sender",
    ),
    SenderRule("social", lambda mail: _SOCIAL.fullmatch(domain_of(mail.address)) is not None, "Meta's own senders"),
    SenderRule("notification", _matches(_SERVICES), "Google Drive, Docs and Forms, DocuSign"),
    SenderRule("reminder", lambda mail: mail.is_reminder, "The Knot and WeddingWire, about unanswered leads"),
    # Sent by a person through a portal, or by the portal itself.
    SenderRule("portal", _of_portal("machine"), "`portals`: reports, reviews, invoices, contacts for sale"),
    SenderRule(
        PERSON,
        _of_portal("form", "message"),
        "`portals`: a person's own words in a portal's mail",
        contact=_asking_through_portal,
        is_form=True,
    ),
    # Sent by a person through a relay.
    SenderRule(
        PERSON,
        lambda mail: mail.person is not None and mail.stands_for_others and (mail.via is not None or mail.is_own_list),
        "RFC 5322, 3.6.2, for mail to a group that several people of the studio read",
        contact=lambda mail: mail.person or NOBODY,
        is_relayed=True,
    ),
    SenderRule(
        PERSON,
        lambda mail: mail.person is not None and mail.stands_for_others,
        "RFC 5322, 3.6.2: where its author wants answers to go",
        contact=lambda mail: mail.person or NOBODY,
        is_relayed=True,
        is_form=True,
    ),
    SenderRule(
        PERSON,
        lambda mail: _FORM_SENDERS.fullmatch(mail.address) is not None or is_form(mail.address),
        "support.squarespace.com/hc/en-us/articles/115010449067, wishlist.webflow.com/ideas/WEBFLOW-I-32378; "
        "Wix and Netlify, and the addresses that other forms send from; the person is named in the text, if at all",
        contact=lambda mail: mail.written or NOBODY,
        is_relayed=True,
        is_form=True,
    ),
    # Sent by a machine, unless a person was recognized above.
    SenderRule(
        "bounce", lambda mail: (mail.get("return-path") or "").replace(" ", "") == "<>", "RFC 5321, 4.5.5: of reports"
    ),
    SenderRule("auto_generated", lambda mail: mail.auto_submitted != "no", "RFC 3834, 5"),
    SenderRule(OWN, lambda mail: mail.is_own),
    SenderRule(
        PERSON,
        lambda mail: mail.is_own_list and not is_robot(mail.address),
        "RFC 2919: mail to a group of the studio's own",
    ),
    SenderRule("bulk", lambda mail: mail.precedence in ("bulk", "junk"), "RFC 2076"),
    SenderRule("list", lambda mail: mail.precedence == "list" or mail.get("list-id") is not None, "RFC 2919"),
    SenderRule("newsletter", lambda mail: mail.get("list-unsubscribe") is not None, "RFC 2369, 3.2"),
    SenderRule(
        "promotion",
        lambda mail: "CATEGORY_PROMOTIONS" in mail.labels and (mail.is_listed or not mail.is_to_several),
        "Gmail's categories; what a person writes to several studios at once may also be sorted there",
    ),
    SenderRule("social", _labelled("CATEGORY_SOCIAL"), "Gmail's categories"),
    SenderRule("forum", _labelled("CATEGORY_FORUMS"), "Gmail's categories"),
    SenderRule(
        "notification", _labelled("CATEGORY_UPDATES"), "Gmail's categories: receipts, statements, confirmations"
    ),
    SenderRule("robot", lambda mail: is_robot(mail.address), "unattended addresses"),
    SenderRule(PERSON, lambda mail: True),
)
"""In this order: the first rule that holds decides."""


def who_wrote(head: Head, own: Collection[str]) -> Sender:
    """`own` holds the studio's known addresses."""
    mail = Mail(head, own)
    rule = next(rule for rule in RULES if rule.holds(mail))
    return Sender(rule.reason, rule.contact(mail), rule.is_relayed, rule.is_form)


def is_automatic(head: Head) -> bool:
    """Whether a machine sent it in anyone's name."""
    mail = Mail(head, ())
    return any(rule.holds(mail) for rule in RULES if rule.reason in AUTOMATIC)
