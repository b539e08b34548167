"""Who a mail comes from: the header fields and labels of people, form relays, portals, newsletters and machines."""

import re
from random import Random
from typing import Any

from tests.leads.corpora.gmail import Headers
from tests.leads.corpora.people import Person, fill, plain
from tests.leads.corpora.seeds import Seed

PEOPLE = ("person", "client", "past", "known")
PARTIES = {"person": "person", "client": "person", "past": "person", "known": "person", "relay": "person"}
INBOX = {
    "news": ["INBOX", "CATEGORY_PROMOTIONS", "UNREAD"],
    "machine": ["INBOX", "CATEGORY_UPDATES"],
    "spam": ["SPAM", "UNREAD"],
    "person": ["INBOX", "IMPORTANT", "CATEGORY_PERSONAL"],
    "business": ["INBOX", "CATEGORY_PERSONAL"],
    "relay": ["INBOX", "CATEGORY_PERSONAL"],
}


def sort_of(seed: Seed) -> str:
    return seed.sender.partition(":")[0].strip()


def party_of(seed: Seed) -> str:
    sort = sort_of(seed)
    default = PARTIES.get(sort, "business" if sort in ("business", "spam") else "machine")
    return seed.options.get("party", default)


def labels_of(seed: Seed, rng: Random) -> list[str]:
    sort = sort_of(seed)
    if "cat" in seed.options:
        return ["INBOX", f"CATEGORY_{seed.options['cat'].upper()}"]
    if sort == "relay" and rng.random() < 0.35:
        return ["INBOX", "CATEGORY_UPDATES"]
    return INBOX.get(sort, INBOX["person"])


def written_name(person: Person) -> str:
    """A person's From field, as their program writes it."""
    rng = Random(person.email)
    if person.role not in ("stranger", "client", "past"):
        return f"{person.name} <{person.email}>"
    shapes = (
        f"{person.name} <{person.email}>",
        f"{person.name} <{person.email}>",
        f'"{person.last}, {person.first}" <{person.email}>',
        f"{person.first} <{person.email}>",
        f"{person.first} & {person.partner} <{person.email}>",
        person.email,
    )
    return rng.choice(shapes)


def incoming_headers(seed: Seed, person: Person, studio: dict[str, Any], rng: Random) -> Headers:
    """Without Subject, Date and the ids."""
    sort, _, detail = seed.sender.partition(":")
    own = rng.choice((studio["address"], f"{studio['name']} <{studio['address']}>"))
    to = ("To", fill(seed.options.get("to", own), person, rng, studio))
    if sort == "relay":
        return _relay(studio["relays"][detail.strip()], person, studio, rng)
    if sort in PEOPLE:
        headers = [("From", written_name(person)), to]
        return [*headers, ("Cc", fill(seed.options["cc"], person, rng, studio))] if "cc" in seed.options else headers
    headers = [("From", fill(detail.strip(), person, rng, studio)), to]
    address = _address(headers[0][1])
    domain = address.rpartition("@")[2]
    if "reply" in seed.options:
        headers.append(("Reply-To", fill(seed.options["reply"], person, rng, studio)))
    if sort == "news":
        headers += [
            ("List-Unsubscribe", f"<https://click.{domain}/u/{rng.randrange(16**8):08x}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]
    if sort == "news" and rng.random() < 0.5:
        headers.append(("Precedence", "bulk"))
    if "list" in seed.options:
        headers.append(("List-Id", f"<{seed.options['list']}>"))
    if "auto" in seed.options:
        headers.append(("Auto-Submitted", seed.options["auto"] or "auto-generated"))
    if sort == "bounce":
        headers += [
            ("Auto-Submitted", "auto-replied"),
            ("Return-Path", "<>"),
            ("Content-Type", "multipart/report; report-type=delivery-status"),
        ]
    return headers


def _relay(relay: dict[str, str], person: Person, studio: dict[str, Any], rng: Random) -> Headers:
    """A form's or a portal's mail: From is the relay, and Reply-To the person if the relay is so kind."""
    token = f"{rng.randrange(16**12):012x}"
    mailbox = f"{plain(person.first)}.{plain(person.last)}"
    headers = []
    for name, value in relay.items():
        written = value.replace("{token}", token).replace("{mailbox}", mailbox)
        headers.append((name, fill(written, person, rng, studio)))
    return headers if any(name == "To" for name, _ in headers) else [*headers, ("To", studio["address"])]


def outgoing_headers(seed: Seed, person: Person, to: str, studio: dict[str, Any], rng: Random) -> Headers:
    sender = studio["senders"][seed.options["by"]] if "by" in seed.options else rng.choice(studio["writesAs"])
    return [("From", sender), ("To", to or f"{person.name} <{person.email}>")]


def automatic(by_studio: bool) -> Headers:
    headers = [("Auto-Submitted", "auto-replied")]
    return [*headers, ("Precedence", "bulk"), ("X-Autoreply", "yes")] if by_studio else headers


def reply_address(headers: Headers, studio: dict[str, Any]) -> str:
    """Empty if an answer to the mail would reach nobody."""
    fields = dict(headers)
    answerable = not any(part in fields["From"] for part in studio["cannotAnswer"])
    return fields.get("Reply-To") or (fields["From"] if answerable else "")


def stays_in_relay(seed: Seed, studio: dict[str, Any]) -> bool:
    """Whether the portal also passes on what follows."""
    return sort_of(seed) == "relay" and seed.sender.partition(":")[2].strip() in studio["staysInRelay"]


def _address(written: str) -> str:
    match = re.search(r"<([^>]+)>", written)
    return match[1] if match else written
