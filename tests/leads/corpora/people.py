"""The invented people of a corpus: names by language, addresses under reserved domains, and what a text may say of
them."""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any

from tests.leads.corpora.dates import casual_date, day_name, long_date, month_name, short_date

SLOT = re.compile(r"\{([a-zA-Z])\}")
PHONES = {"berlin": "+49 1520 55{:05d}", "texas": "(512) 555-{:04d}"}


@dataclass
class Person:
    """One human, or a couple that shares an address. `day` is the day their texts are about."""

    key: str
    first: str
    last: str
    partner: str
    partner_last: str
    email: str
    phone: str
    day: date
    venue: str
    language: str
    role: str = "stranger"
    since: date | None = None

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}".strip()


class People:
    """Makes people. No two have the same address or name."""

    def __init__(self, studio: dict[str, Any], corpus: str) -> None:
        self._studio = studio
        self._corpus = corpus
        self._addresses: set[str] = set()
        self._names: set[str] = set()
        self._first_day = date.fromisoformat(studio["firstDay"])
        self.known: dict[str, Person] = {}
        self.count = 0
        for entry in studio["people"]:
            self._know(entry)
        for role in ("client", "past"):
            for number in range(1, studio[f"{role}s"] + 1):
                self._know_generated(role, number)

    def make(self, rng: Random, language: str) -> Person:
        names = self._studio["names"].get(language) or self._studio["names"][self._studio["language"]]
        firsts, lasts = names["first"].split(), names["last"].split()
        while True:
            first, last = rng.choice(firsts), rng.choice(lasts)
            if f"{first} {last}" not in self._names:
                break
        self._names.add(f"{first} {last}")
        partner = rng.choice([name for name in firsts if name != first])
        partner_last = rng.choice([name for name in lasts if name != last])
        self.count += 1
        return Person(
            key=f"p{self.count:04d}",
            first=first,
            last=last,
            partner=partner,
            partner_last=partner_last,
            email=self._address(rng, first, last),
            phone=PHONES[self._corpus.partition(":")[0]].format(rng.randrange(100, 10000)),
            day=self.day(rng),
            venue=rng.choice(self._studio["venues"]),
            language=language,
        )

    def rotate(self, role: str, turn: int, language: str) -> Person:
        """Clients in turn, among those who speak the language."""
        people = [one for one in self.known.values() if one.role == role and one.language == language]
        return people[turn % len(people)]

    def day(self, rng: Random) -> date:
        """A day that may be asked for: mostly a Saturday, from seven weeks after the first day to 15 months later."""
        day = self._first_day + timedelta(days=rng.randrange(140, 560))
        saturday = day + timedelta(days=(5 - day.weekday()) % 7)
        return saturday if rng.random() < 0.8 else saturday - timedelta(days=rng.choice((1, 2, 6)))

    def in_conversation(self, person: Person, rng: Random) -> Person:
        """Whoever is no client with a day of their own writes about another day each time."""
        return person if person.role in ("client", "stranger") else replace(person, day=self.day(rng))

    def _address(self, rng: Random, first: str, last: str) -> str:
        one, other = plain(first), plain(last)
        domain = rng.choice(self._studio["mailDomains"]).format(last=other)
        shapes = (f"{one}.{other}", f"{one}{other}", f"{one[0]}.{other}", f"{other}.{one}", f"{one}_{other}")
        local = rng.choice(shapes) + (str(rng.randrange(70, 100)) if rng.random() < 0.25 else "")
        while f"{local}@{domain}" in self._addresses:
            local += str(rng.randrange(10))
        self._addresses.add(f"{local}@{domain}")
        return f"{local}@{domain}"

    def _know(self, entry: dict[str, str]) -> None:
        rng = Random(f"{self._corpus}:{entry['key']}")
        person = self.make(rng, self._studio["language"])
        person.key, person.email, person.role = entry["key"], entry["email"], entry["role"]
        person.first, _, person.last = entry["name"].partition(" ")
        person.since = date.fromisoformat(entry["since"])
        self.known[person.key] = person

    def _know_generated(self, role: str, number: int) -> None:
        rng = Random(f"{self._corpus}:{role}:{number}")
        languages = self._studio["clientLanguages"]
        person = self.make(rng, languages[number % len(languages)])
        person.key, person.role = f"{role}{number:02d}", role
        age = rng.randrange(20, 300) if role == "client" else rng.randrange(300, 900)
        person.since = self._first_day - timedelta(days=age)
        if role == "past":
            person.day = person.since + timedelta(days=rng.randrange(60, 200))
        self.known[person.key] = person


def plain(name: str) -> str:
    """As a mailbox would spell it."""
    table = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ł": "l", "Ł": "L"})
    ascii_only = unicodedata.normalize("NFKD", name.translate(table)).encode("ascii", "ignore").decode()
    return re.sub("[^a-z0-9]", "", ascii_only.lower())


def fill(text: str, person: Person, rng: Random, studio: dict[str, Any]) -> str:
    """Replaces each slot in the order of the text."""
    facts = {
        "a": person.first,
        "A": person.last,
        "b": person.partner,
        "B": person.partner_last,
        "e": person.email,
        "p": person.phone,
        "v": person.venue,
        "d": short_date(person.day, person.language),
        "h": casual_date(person.day, person.language),
        "D": long_date(person.day, person.language),
        "m": month_name(person.day, person.language),
        "w": day_name(person.day, person.language),
        "y": str(person.day.year),
    }

    def replace(match: re.Match[str]) -> str:
        slot = match[1]
        if slot in facts:
            return facts[slot]
        if slot == "n":
            return str(rng.randrange(3, 18) * 10)
        if slot == "k":
            return str(rng.randrange(8, 60) * 50)
        if slot == "x":
            return str(rng.randrange(10_000, 99_999))
        if slot == "t":
            return f"{rng.randrange(9, 19)}:{rng.choice(('00', '15', '30', '45'))}"
        if slot == "s":
            return day_name(date(2026, 1, 1) + timedelta(days=rng.randrange(7)), person.language)
        return str(rng.choice(studio["slots"][slot].split("|")))

    return SLOT.sub(replace, text)
