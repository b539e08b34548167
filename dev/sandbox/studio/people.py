"""The studio, where it is, and the people who write to it and book it."""

from dataclasses import dataclass
from random import Random
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
SEED = 20

FIRST_NAMES = """
    Mara Jonas Aylin Theo Greta Samuel Noor Felix Ines Bastian Yara Leon Priya Anton Chiara Malte Hanna Emre Lucía Jakob
    Sofie Kwame Nele Tom Zofia Paul Ida Mateo Lotte Rafael
"""
LAST_NAMES = """
    Keller Okafor Brandt Nguyen Schäfer Ruiz Lindqvist Yilmaz Hartmann Novak Rossi Weber Adeyemi Fischer Moreau Krüger
    Patel Sommer Jansen Haddad Vogel O'Brien Winkler Santos Berger Kowalska Ahmadi Frank Dietrich Park
"""
MAIL_HOSTS = ("example.com", "example.org", "example.net", "mail.example")


@dataclass(frozen=True)
class Person:
    name: str
    email: str


def _clients() -> list[Person]:
    """All combinations of the names, always in the same order."""
    full_names = [(first, last) for last in LAST_NAMES.split() for first in FIRST_NAMES.split()]
    Random(SEED).shuffle(full_names)
    return [
        Person(f"{first} {last}", _address(first, last, MAIL_HOSTS[number % len(MAIL_HOSTS)]))
        for number, (first, last) in enumerate(full_names)
    ]


def _address(first: str, last: str, host: str) -> str:
    plain = str.maketrans({"ä": "ae", "ü": "ue", "í": "i", "'": ""})
    return f"{first}.{last}@{host}".lower().translate(plain)


STUDIO = Person("Linden & Light Photography", "hello@lindenandlight.example")
CLIENTS = _clients()
