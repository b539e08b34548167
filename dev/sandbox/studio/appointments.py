"""The studio's calendar: two years of weddings, sessions and everything around them."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from dev.sandbox.studio.people import CLIENTS, ZONE, Person

SATURDAY = 5

# Weeks from now; there are always some in the last month.
WEDDING_WEEKS = (
    -49,
    -44,
    -38,
    -33,
    -29,
    -26,
    -22,
    -17,
    -12,
    -8,
    -4,
    -3,
    -2,
    -1,
    1,
    4,
    9,
    16,
    23,
    26,
    28,
    31,
    35,
    41,
    46,
)
CALLED_OFF = (-26, 16)
UNDECIDED_FROM = 35
SESSION_WEEKS = (-47, -41, -36, -31, -24, -19, -14, -9, -6, -4, -3, -2, -1, 0, 1, 2, 3, 6, 11, 18)

VENUES = (
    "Gutshof Lindenau, Dorfstraße 4, 14547 Beelitz",
    "Spreespeicher Loft, Stralauer Allee 2, 10245 Berlin",
    "Villa Seeblick, Am Sandwerder 11, 14109 Berlin",
    "Rathaus Charlottenburg, Otto-Suhr-Allee 100, 10585 Berlin",
    "Remise im Birkenhof, Parkweg 9, 14467 Potsdam",
)
PACKAGES = (
    "<p>Package: <b>Full day</b>, two photographers</p><p>First look at the lake, family list by mail</p>",
    "<p>Package: <b>Half day</b></p><ul><li>Ceremony &amp; couple shoot</li><li>Deposit paid</li></ul>",
    "Package: Reportage, 10 hours. Album option still open.",
)
SESSIONS = (
    ("Portrait session", "Studio A, Weserstraße 48, 12045 Berlin", 60),
    ("Family shoot", "Treptower Park, Berlin", 90),
    ("Newborn shoot", "Studio A, Weserstraße 48, 12045 Berlin", 120),
    ("Maternity session", "Tempelhofer Feld, Berlin", 60),
    ("Business headshots", "Studio A, Weserstraße 48, 12045 Berlin", 45),
)

Status = Literal["confirmed", "tentative", "cancelled"]
Kind = Literal["default", "birthday", "focusTime"]
Response = Literal["needsAction", "declined", "tentative", "accepted"]


@dataclass(frozen=True, kw_only=True)
class Appointment:
    """One entry of the calendar. Days without a time are dates, and `ends` is exclusive. `key` never changes."""

    key: str
    title: str
    starts: datetime | date
    ends: datetime | date
    booked_at: datetime
    status: Status = "confirmed"
    client: Person | None = None
    host: Person | None = None
    """The organizer who invites the studio, unless it is the studio's own."""
    response: Response = "accepted"
    """The studio's reply."""
    location: str = ""
    notes: str = ""
    kind: Kind = "default"
    blocks_time: bool = True
    series: str = ""
    """The key of the series it is an instance of."""
    repeats: str = ""
    """The rule of a series, as RFC 5545 writes it; its instances are appointments of their own."""


def appointments(monday: date) -> list[Appointment]:
    """Everything from a year before to a year after the week of this Monday, in no particular order."""
    return [
        *_weddings(monday),
        *_sessions(monday),
        *_around(monday),
        *_invitations(monday),
        *_in_other_words(monday),
        *_open_studio(monday),
    ]


def _weddings(monday: date) -> list[Appointment]:
    found: list[Appointment] = []
    for number, week in enumerate(WEDDING_WEEKS):
        client, partner = CLIENTS[number], CLIENTS[-1 - number]
        names = f"{client.name.split()[0]} & {partner.name.split()[0]}"
        day = monday + timedelta(weeks=week, days=SATURDAY)
        found.append(
            Appointment(
                key=f"wedding-{number}",
                title=f"Wedding {names}",
                starts=_at(day, 13),
                ends=_at(day, 23),
                booked_at=_booked(monday, day, number),
                status=_wedding_status(week),
                client=client,
                location=VENUES[number % len(VENUES)],
                notes=PACKAGES[number % len(PACKAGES)],
            )
        )
        if number % 2:
            found.append(_engagement(number, names, client, day - timedelta(weeks=7, days=2), monday))
    return found


def _wedding_status(week: int) -> Status:
    if week in CALLED_OFF:
        return "cancelled"
    return "tentative" if week >= UNDECIDED_FROM else "confirmed"


def _engagement(number: int, names: str, client: Person, day: date, monday: date) -> Appointment:
    return Appointment(
        key=f"engagement-{number}",
        title=f"Engagement shoot {names}",
        starts=_at(day, 17, 30),
        ends=_at(day, 19),
        booked_at=_booked(monday, day, number),
        client=client,
        location="Landwehrkanal, Paul-Lincke-Ufer, Berlin",
    )


def _sessions(monday: date) -> list[Appointment]:
    people = CLIENTS[len(WEDDING_WEEKS) :]
    found = []
    for number, (week, client) in enumerate(zip(SESSION_WEEKS, people, strict=False)):
        title, location, minutes = SESSIONS[number % len(SESSIONS)]
        starts = _at(monday + timedelta(weeks=week, days=number % 5), 10 + number % 6)
        found.append(
            Appointment(
                key=f"session-{number}",
                title=f"{title}, {client.name.split()[-1]}",
                starts=starts,
                ends=starts + timedelta(minutes=minutes),
                booked_at=_booked(monday, starts.date(), number),
                status="tentative" if week in (6, 18) else "confirmed",
                client=client,
                location=location,
            )
        )
    return found


def _around(monday: date) -> list[Appointment]:
    """Entries that are not bookings, or that take whole days."""
    booked_at = _at(monday - timedelta(weeks=20), 9)
    fair, trip, birthday = (monday + timedelta(weeks=week, days=day) for week, day in ((-10, 5), (8, 4), (5, 2)))
    editing, gallery = monday + timedelta(days=1), monday + timedelta(weeks=-1, days=3)
    return [
        _days("fair", "Wedding fair Arena Berlin", fair, 2, booked_at),
        _days("elopement", "Elopement shoot, Rügen", trip, 3, booked_at),
        _days("birthday", "Nele's birthday", birthday, 1, booked_at, kind="birthday", blocks_time=False),
        Appointment(
            key="editing",
            title="Editing, no calls",
            starts=_at(editing, 9),
            ends=_at(editing, 12),
            booked_at=booked_at,
            kind="focusTime",
        ),
        Appointment(
            key="gallery",
            title="Deliver gallery to last Saturday's couple",
            starts=_at(gallery, 16),
            ends=_at(gallery, 16, 30),
            booked_at=booked_at,
            blocks_time=False,
        ),
    ]


def _invitations(monday: date) -> list[Appointment]:
    """Invitations from others."""
    invited: tuple[tuple[str, str, Person, Response, int], ...] = (
        ("open-day", "Open day for photographers", Person("Gutshof Lindenau", "events@gutshof.example"), "declined", 2),
        (
            "styled-shoot",
            "Styled shoot, Villa Seeblick",
            Person("Ada Planner", "ada@planner.example"),
            "needsAction",
            7,
        ),
        ("second-shooter", "Wedding Iris & Omar", Person("Kim Lund", "kim@lundphoto.example"), "tentative", 10),
    )
    return [
        Appointment(
            key=key,
            title=title,
            starts=_at(monday + timedelta(weeks=week, days=SATURDAY), 14),
            ends=_at(monday + timedelta(weeks=week, days=SATURDAY), 18),
            booked_at=_at(monday - timedelta(weeks=2), 10),
            host=host,
            response=response,
        )
        for key, title, host, response, week in invited
    ]


def _in_other_words(monday: date) -> list[Appointment]:
    """German titles, a held date, a cancelled one, a consultation, and private appointments."""
    booked_at, client = _at(monday - timedelta(weeks=3), 11), CLIENTS[-len(WEDDING_WEEKS) - 1]
    saturday = monday + timedelta(days=SATURDAY)
    timed = (
        ("bump", "Babybauchshooting Sommer", 3, 15, None),
        ("talk", "Vorgespräch Hochzeit", 4, 18, client),
        ("dentist", "Zahnarzt", 2, 8, None),
        ("called-off", "Abgesagt: Familienshooting Park", 1, 16, None),
    )
    return [
        _days("held", "HOLD Hochzeit Vogel", saturday + timedelta(weeks=21), 1, booked_at, blocks_time=False),
        _days(
            "civil", "Standesamtliche Trauung Berger", saturday + timedelta(weeks=5), 1, booked_at, blocks_time=False
        ),
        *(
            Appointment(
                key=key,
                title=title,
                starts=_at(monday + timedelta(days=day), hour),
                ends=_at(monday + timedelta(days=day), hour + 1),
                booked_at=booked_at,
                client=guest,
            )
            for key, title, day, hour, guest in timed
        ),
    ]


def _days(
    key: str,
    title: str,
    first: date,
    count: int,
    booked_at: datetime,
    *,
    kind: Kind = "default",
    blocks_time: bool = True,
) -> Appointment:
    ends = first + timedelta(days=count)
    return Appointment(
        key=key, title=title, starts=first, ends=ends, booked_at=booked_at, kind=kind, blocks_time=blocks_time
    )


def _open_studio(monday: date) -> list[Appointment]:
    """A weekly series of eight, and its instances, of which the sixth was cancelled."""
    title, booked_at = "Mini portrait sessions, open studio", _at(monday - timedelta(weeks=6), 9)
    days = [monday + timedelta(weeks=week, days=2) for week in range(-4, 4)]
    series = Appointment(
        key="open-studio",
        title=title,
        starts=_at(days[0], 16),
        ends=_at(days[0], 18),
        booked_at=booked_at,
        repeats="RRULE:FREQ=WEEKLY;COUNT=8",
    )
    instances = [
        Appointment(
            key=f"open-studio-{number}",
            title=title,
            starts=_at(day, 16),
            ends=_at(day, 18),
            booked_at=booked_at,
            status="cancelled" if number == 5 else "confirmed",
            series=series.key,
        )
        for number, day in enumerate(days)
    ]
    return [series, *instances]


def _booked(monday: date, day: date, number: int) -> datetime:
    """When it was created or last changed: a while before, and never later than this week's start."""
    ahead = timedelta(weeks=6 + 5 * (number % 6), days=number % 5)
    return _at(min(day - ahead, monday - timedelta(days=1 + number % 25)), 9 + number % 9, number * 7 % 60)


def _at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), ZONE)
