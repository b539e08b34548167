"""Automated mail to a studio: some on behalf of people who filled in a form, most on its own."""

from datetime import datetime, timedelta

from dev.sandbox.studio.letter import Letter
from dev.sandbox.studio.people import CLIENTS, STUDIO, Person

SITE = "Linden & Light Photography"
QUESTION = "We love your pictures. Are you free on the second Saturday in May, and what does a day cost?"
INBOX = ("INBOX",)
UPDATES = ("INBOX", "CATEGORY_UPDATES")
GROUP = (
    ("Precedence", "list"),
    ("List-ID", "<bookings.lindenandlight.example>"),
    ("List-Unsubscribe", "<mailto:bookings+unsubscribe@lindenandlight.example>"),
)

Robot = tuple[Person, str, tuple[str, ...], tuple[tuple[str, str], ...]]
"""From, subject, labels, and further headers."""

MACHINES: tuple[Robot, ...] = (
    (
        Person("Mail Delivery Subsystem", "mailer-daemon@googlemail.com"),
        "Delivery Status Notification (Failure)",
        INBOX,
        (
            ("Content-Type", 'multipart/report; boundary="b"; report-type=delivery-status'),
            ("Return-Path", "<>"),
            ("Auto-Submitted", "auto-replied"),
        ),
    ),
    (CLIENTS[50], "Automatische Antwort: Your gallery is ready", INBOX, (("Auto-Submitted", "auto-replied"),)),
    (CLIENTS[51], "Away until Monday", INBOX, (("X-Autoreply", "yes"), ("Precedence", "bulk"))),
    (Person("Card Payments", "receipts@payments.example"), "Your receipt for November", UPDATES, ()),
    (
        CLIENTS[52],
        "Invitation: Planning call @ Thu 10:00",
        INBOX,
        (
            ("Sender", "Google Calendar <calendar-notification@google.com>"),
            ("Reply-To", f"{CLIENTS[52].name} <{CLIENTS[52].email}>"),
            ("Content-Type", 'multipart/mixed; boundary="b"'),
        ),
    ),
    (
        Person("Facebook", "notification@facebookmail.com"),
        "Mara and 3 others like your page",
        ("INBOX", "CATEGORY_SOCIAL"),
        (),
    ),
    (
        Person("Ben Novak", "ben.novak@example.net"),
        "[photographers] Which tripod?",
        ("INBOX", "CATEGORY_FORUMS"),
        (("Precedence", "list"), ("List-ID", "<photographers.lists.example>")),
    ),
    (CLIENTS[53], "Chat with a client", ("CHAT",), ()),
    (Person("Parcel Service", "noreply@parcel.example"), "Your parcel is on its way", INBOX, ()),
)


def of_machines(end: datetime) -> list[list[Letter]]:
    """None of them was written by a person."""
    return [
        [_letter(sender, subject, f"{subject}.", end, days=4 + 7 * number, labels=labels, headers=headers)]
        for number, (sender, subject, labels, headers) in enumerate(MACHINES)
    ]


def of_forms(end: datetime) -> list[list[Letter]]:
    """People who filled in a form, or wrote to a group: Reply-To has the address to answer."""
    squarespace, first, second, grouped, couple = CLIENTS[60:65]
    return [
        [
            _letter(
                Person("Squarespace", "form-submission@squarespace.info"),
                "Form Submission - Contact",
                QUESTION,
                end,
                days=5,
                labels=UPDATES,
                headers=(("Reply-To", squarespace.email),),
            )
        ],
        # Gmail puts mail with the same subject into one thread, and labels mail sent through it SENT.
        [_own_form(first, end, days=12), _own_form(second, end, days=11)],
        [
            _letter(
                Person(f"'{grouped.name}' via Bookings", "bookings@lindenandlight.example"),
                "Photos of our golden wedding",
                QUESTION,
                end,
                days=20,
                labels=("INBOX", "CATEGORY_FORUMS"),
                headers=(("Reply-To", f"{grouped.name} <{grouped.email}>"), *GROUP),
            )
        ],
        [
            _letter(
                Person(couple.name, f"{couple.email.partition('@')[0]}.772357@member.theknot.com"),
                f"{couple.name} requested information",
                QUESTION,
                end,
                days=27,
                headers=(("List-Unsubscribe", "<https://portal.example/unsubscribe>"),),
            )
        ],
    ]


def _own_form(person: Person, end: datetime, *, days: int) -> Letter:
    return _letter(
        Person(SITE, STUDIO.email),
        f'New message from "{SITE}"',
        f"{QUESTION} {person.name}",
        end,
        days=days,
        labels=("SENT", "INBOX"),
        headers=(("Reply-To", f"{person.name} <{person.email}>"), ("X-Mailer", "WPMailSMTP/Mailer/gmail 4.7.1")),
    )


def _letter(
    sender: Person,
    subject: str,
    text: str,
    end: datetime,
    *,
    days: int,
    labels: tuple[str, ...] = INBOX,
    headers: tuple[tuple[str, str], ...] = (),
) -> Letter:
    return Letter(
        sender=sender,
        to=STUDIO,
        sent_at=end - timedelta(days=days, hours=6),
        subject=subject,
        text=text,
        labels=labels,
        headers=headers,
    )
