"""The studio's correspondence: inquiries and their follow-ups, and everything else that fills an inbox."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from dev.sandbox.studio.letter import Letter
from dev.sandbox.studio.people import CLIENTS, STUDIO, ZONE, Person
from dev.sandbox.studio.robots import of_forms, of_machines

INQUIRIES = 42
SPAN_DAYS = 350

QUESTIONS = (
    (
        "Wedding photography on a Saturday in June?",
        "Hello, we're getting married at a small farm near Beelitz next June and love your pictures. Are you still "
        "free, and what does a full day cost? We'd be around 80 guests.",
    ),
    (
        "Family photos",
        "Hi! My sister recommended you. We are two adults, three kids & a dog, and would like photos outdoors this "
        "month. What do you offer?",
    ),
    (
        "Anfrage Hochzeit",
        "Guten Tag, wir heiraten im August im Standesamt Charlottenburg und suchen eine Begleitung für etwa vier "
        "Stunden. Haben Sie noch einen Termin frei?",
    ),
    (
        "Newborn shoot",
        "Dear team, our baby is due in three weeks. How soon after the birth should we come, and do you also "
        "photograph at home?",
    ),
    (
        "Engagement session + wedding",
        "Hey, we just got engaged <3 Could you tell us about combining an engagement session with a wedding package?",
    ),
    (
        "Headshots for our office",
        "Hello, we need portraits of nine colleagues for our website, ideally in one morning. Could you send a quote?",
    ),
)
ANSWER = "Thank you for writing! Yes, that date is still open. I've attached our prices; shall we talk on Thursday?"
THANKS = "That sounds great, Thursday works. Could we also see a complete gallery of a comparable day?"
GALLERY = "Of course, here is the link to a full gallery. I'll hold the date for you until the end of next week."

OTHERS = (
    (
        Person("Fotobuch Druckerei", "service@fotobuch.example"),
        "20 % off all layflat albums until Sunday",
        ("INBOX", "CATEGORY_PROMOTIONS"),
    ),
    (
        Person("LensHire", "offers@lenshire.example"),
        "Weekend rates on fast primes",
        ("INBOX", "CATEGORY_PROMOTIONS", "UNREAD"),
    ),
    (Person("Prize Office", "winner@prize.example"), "You have been selected!!!", ("SPAM",)),
    (Person("SEO Experts", "rank@seo.example"), "Page one of the search results, guaranteed", ("SPAM", "UNREAD")),
    (Person("Parcel Service", "noreply@parcel.example"), "Your parcel was delivered", ("TRASH",)),
)
NEWSLETTER = Person("The Weekly Frame", "editor@weeklyframe.example")


def conversations(monday: date) -> list[list[Letter]]:
    """Conversations of the year before this Monday, in order of their start; each has its oldest letter first."""
    end = datetime.combine(monday, time(), ZONE)
    found = [*_inquiries(end), *_own(end), *_others(end), *_newsletters(end), *of_machines(end), *of_forms(end)]
    return sorted(found, key=lambda letters: letters[0].sent_at)


def _inquiries(end: datetime) -> list[list[Letter]]:
    """The newer, the closer together: about a third are from the last 30 days."""
    return [_inquiry(number, person, end) for number, person in enumerate(CLIENTS[:INQUIRIES])]


def _inquiry(number: int, person: Person, end: datetime) -> list[Letter]:
    asked_at = end - timedelta(
        days=SPAN_DAYS * (number / INQUIRIES) ** 2, hours=5 + number % 9, minutes=number * 11 % 60
    )
    subject, text = QUESTIONS[number % len(QUESTIONS)]
    signed = f"{text}\n\n{person.name}"
    asked = Letter(sender=person, to=STUDIO, sent_at=asked_at, subject=subject, text=signed, labels=_read(number))
    steps = () if number < 2 else ((STUDIO, ANSWER, 3), (person, THANKS, 26), (STUDIO, GALLERY, 31))[: number % 4]
    latest = (end - asked_at) / timedelta(hours=1)
    return [asked, *(_reply(asked, who, what, min(hours, latest * hours / 40)) for who, what, hours in steps)]


def _read(number: int) -> tuple[str, ...]:
    return ("INBOX", "UNREAD") if number < 4 else ("INBOX", "IMPORTANT") if number % 3 else ("INBOX",)


def _reply(first: Letter, sender: Person, text: str, hours: float) -> Letter:
    client = first.sender if first.sender != STUDIO else first.to
    return Letter(
        sender=sender,
        to=client if sender == STUDIO else STUDIO,
        sent_at=first.sent_at + timedelta(hours=hours),
        subject=f"Re: {first.subject}",
        text=text,
        labels=("SENT",) if sender == STUDIO else ("INBOX",),
    )


def _own(end: datetime) -> list[list[Letter]]:
    """Conversations the studio started; some were answered."""
    found = []
    for number, person in enumerate(CLIENTS[:5]):
        sent_at = end - timedelta(days=6 + 31 * number, hours=7)
        first = Letter(
            sender=STUDIO, to=person, sent_at=sent_at, subject="Your gallery is ready", text=GALLERY, labels=("SENT",)
        )
        replies: Sequence[Letter] = [_reply(first, person, "They are wonderful, thank you!", 20)] if number % 2 else []
        found.append([first, *replies])
    return found


def _others(end: datetime) -> list[list[Letter]]:
    found = []
    for number in range(10):
        sender, subject, labels = OTHERS[number % len(OTHERS)]
        subject = f"Reminder: {subject}" if number < len(OTHERS) else subject
        sent_at = end - timedelta(days=2 + 9 * number, hours=number)
        text = f"{subject}. Read more on our website."
        found.append([Letter(sender=sender, to=STUDIO, sent_at=sent_at, subject=subject, text=text, labels=labels)])
    return found


def _newsletters(end: datetime) -> list[list[Letter]]:
    unsubscribe = ("List-Unsubscribe", "<https://weeklyframe.example/unsubscribe>, <mailto:leave@weeklyframe.example>")
    return [
        [
            Letter(
                sender=NEWSLETTER,
                to=STUDIO,
                sent_at=end - timedelta(days=3 + 7 * number, hours=8),
                subject=f"The Weekly Frame, issue {118 - number}",
                text="This week: backlight without flare, and five questions to ask before a wedding.",
                headers=(unsubscribe,),
            )
        ]
        for number in range(4)
    ]
