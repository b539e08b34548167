"""Writes the corpora from their seeds: `python -m tests.leads.corpora.generate`. The same seeds make the same files."""

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.leads.corpora.calendars import Calendars
from tests.leads.corpora.clock import Window
from tests.leads.corpora.conversations import Conversation, answers_by_person, waiting_at
from tests.leads.corpora.direct import DirectMessages
from tests.leads.corpora.gmail import Mail, thread_json
from tests.leads.corpora.mailbox import Mailbox, threads_of
from tests.leads.corpora.people import People
from tests.leads.corpora.seeds import Seed, read_seeds

FOLDER = Path(__file__).parent
CORPORA = ("berlin", "texas")
MAILS, DIRECT_MESSAGES, EVENTS = 1_500, 300, 400


def corpus_files(corpus: str, chance: str = "") -> dict[str, str]:
    """The content of each generated file, by its name without `.gz`. The committed files have no `chance`; another one
    draws other names, days, texts and answers."""
    folder = FOLDER / corpus
    studio = json.loads((folder / "studio.json").read_text("utf-8"))
    seeded = f"{corpus}:{chance}" if chance else corpus
    people = People(studio, seeded)
    calendars = _calendars(seeded, studio, people, read_seeds(folder / "events.txt"))
    mailbox = _mailbox(seeded, studio, people, read_seeds(folder / "mails.txt"))
    direct = _direct(seeded, studio, people, read_seeds(folder / "direct.txt"))
    conversations = [*mailbox.conversations, *direct.conversations]
    answers = answers_by_person(conversations)
    zone = Window.of(studio).zone
    instants = [datetime.fromisoformat(text).replace(tzinfo=zone) for text in studio["instants"]]
    return {
        "people.jsonl": _lines(_known(people)),
        "mails.jsonl": _lines([thread_json(thread, zone) for thread in threads_of(mailbox.mails)]),
        "direct.jsonl": _lines(
            sorted(direct.threads, key=lambda thread: thread["messages"]["data"][-1]["created_time"])
        ),
        "events.jsonl": _lines(calendars.events),
        "labels.jsonl": _lines([one.label(answers[one.person.key]) for one in conversations]),
        "event_labels.jsonl": _lines(calendars.labels),
        "waiting.jsonl": _lines(waiting_at(conversations, instants)),
    }


def _known(people: People) -> list[dict[str, Any]]:
    """Whom the studio knows when the 90 days begin; clients with the day of their job."""
    return [
        {"key": one.key, "name": one.name, "email": one.email, "role": one.role, "since": str(one.since)}
        | ({"day": str(one.day)} if one.role in ("client", "past") else {})
        for one in people.known.values()
    ]


def _mailbox(corpus: str, studio: dict[str, Any], people: People, seeds: list[Seed]) -> Mailbox:
    mailbox = Mailbox(corpus, studio, people)
    for seed in seeds:
        for turn in range(seed.times):
            mailbox.expand(seed, turn)
    fillers = [seed for seed in seeds if seed.is_filler]
    for count in range(MAILS):
        if len(mailbox.mails) >= MAILS:
            break
        mailbox.add_filler(fillers[count % len(fillers)], count // len(fillers))
    _name_threads(mailbox.mails, mailbox.conversations)
    return mailbox


def _name_threads(mails: list[Mail], conversations: list[Conversation]) -> None:
    """A thread has the id of its oldest message, also where several forms were grouped into one."""
    names = {}
    for thread in threads_of(mails):
        oldest = min(thread, key=lambda mail: mail.at)
        names[oldest.thread] = oldest.id
    for mail in mails:
        mail.thread = names[mail.thread]
    for conversation in conversations:
        conversation.threads = [names[thread] for thread in conversation.threads]


def _direct(corpus: str, studio: dict[str, Any], people: People, seeds: list[Seed]) -> DirectMessages:
    direct = DirectMessages(corpus, studio, people)
    for seed in seeds:
        for turn in range(seed.times):
            direct.expand(seed, str(turn))
    fillers = [seed for seed in seeds if seed.is_filler]
    for count in range(DIRECT_MESSAGES):
        if direct.count >= DIRECT_MESSAGES:
            break
        direct.add_filler(fillers[count % len(fillers)], count // len(fillers))
    return direct


def _calendars(corpus: str, studio: dict[str, Any], people: People, seeds: list[Seed]) -> Calendars:
    calendars = Calendars(corpus, studio, people)
    for seed in seeds:
        for turn in range(seed.times):
            calendars.expand(seed, str(turn))
    fillers = [seed for seed in seeds if seed.is_filler]
    for count in range(EVENTS):
        if len(calendars.events) >= EVENTS:
            break
        calendars.add_filler(fillers[count % len(fillers)], count // len(fillers))
    return calendars


def _lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)


def main() -> None:
    for corpus in CORPORA:
        for name, text in corpus_files(corpus).items():
            path = FOLDER / corpus / f"{name}.gz"
            path.write_bytes(gzip.compress(text.encode(), mtime=0))
            print(f"{path.relative_to(FOLDER)}: {text.count(chr(10))} rows, {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
