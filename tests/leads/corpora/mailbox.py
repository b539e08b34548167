"""Turns the seeds of mails into Gmail threads and the truth about them."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.leads.corpora import senders
from tests.leads.corpora.clock import Window, later
from tests.leads.corpora.conversations import ASKS, AUTOMATIC, FORWARDED, THANKS, Conversation, Move
from tests.leads.corpora.gmail import Headers, Mail, identifier
from tests.leads.corpora.people import People, Person, fill
from tests.leads.corpora.seeds import Line, Seed

ANSWERED = 0.85
"""The share of open questions that the studio answers some days later, where the seed says nothing of it."""
MARKS = {"call": "answered_by_call", "done": "no_answer_needed"}
NATURES = {"<~": THANKS, "<!": AUTOMATIC, ">!": AUTOMATIC, ">f": FORWARDED}
STUDIO_HOURS, PERSON_HOURS = (1, 26), (2, 60)
AUTOMATIC_SUBJECTS = {"de": "Automatische Antwort: ", "es": "Respuesta automática: ", "fr": "Réponse automatique : "}


class Mailbox:
    """Grows seed by seed. The generator of chance is seeded for each expansion, so that a new seed changes no other."""

    def __init__(self, corpus: str, studio: dict[str, Any], people: People) -> None:
        self._corpus = corpus
        self._studio = studio
        self._people = people
        self._window = Window.of(studio)
        self._groups: dict[str, str] = {}
        self._turns: Counter[tuple[str, str]] = Counter()
        self.mails: list[Mail] = []
        self.conversations: list[Conversation] = []

    def expand(self, seed: Seed, round_number: int) -> None:
        singles = [line for line in seed.lines if line.mark == "-"]
        for number, line in enumerate(singles):
            self._tell(seed, [Line("<", line.text)], f"{round_number}.{number}")
        if not singles:
            self._tell(seed, seed.lines, str(round_number))

    def add_filler(self, seed: Seed, count: int) -> None:
        singles = [line for line in seed.lines if line.mark == "-"]
        self._tell(seed, [Line("<", singles[count % len(singles)].text)], f"filler.{count}")

    def _tell(self, seed: Seed, lines: list[Line], turn: str) -> None:
        rng = Random(f"{self._corpus}:{seed.kind}:{seed.lines[0].text}:{turn}")
        person = self._people.in_conversation(self._person(seed, rng), rng)
        number = len(self.conversations) + 1
        conversation = Conversation(f"m{number:04d}", "mail", person, senders.party_of(seed), seed)
        _Thread(self, conversation, rng).write(lines)
        if conversation.threads:
            self.conversations.append(conversation)

    def _person(self, seed: Seed, rng: Random) -> Person:
        sort, _, detail = seed.sender.partition(":")
        if sort == "known":
            return self._people.known[detail.strip()]
        language = seed.language or self._studio["language"]
        if sort in ("client", "past"):
            self._turns[sort, language] += 1
            return self._people.rotate(sort, self._turns[sort, language] - 1, language)
        return self._people.make(rng, language)

    @property
    def parts(self) -> tuple[str, dict[str, Any], Window, dict[str, str]]:
        return self._corpus, self._studio, self._window, self._groups


def answer_later(
    conversation: Conversation, studio: dict[str, Any], window: Window, rng: Random
) -> tuple[datetime, str] | None:
    """When and what the studio answers a person whose question the seed leaves open."""
    last = conversation.moves[-1] if conversation.moves else None
    asks = last is not None and last.incoming and last.nature == ASKS
    if last is None or not asks or conversation.party != "person" or "open" in conversation.seed.options:
        return None
    if rng.random() > ANSWERED:
        return None
    at = last.at + timedelta(seconds=rng.randrange(1_800, 3 * 86_400))
    answers = studio["answers"]
    text = rng.choice(answers.get(conversation.person.language, answers["en"]))
    return (at, text) if at < window.end else None


class _Thread:
    """Writes one conversation: usually one thread, several where somebody begins another."""

    def __init__(self, mailbox: Mailbox, conversation: Conversation, rng: Random) -> None:
        self._mailbox = mailbox
        self._corpus, self._studio, self._window, self._groups = mailbox.parts
        self._conversation = conversation
        self._rng = rng
        self._seed = conversation.seed
        self._thread = ""
        self._subject = ""
        self._last: Mail | None = None
        self._first: Headers = []
        self._reply_to = ""

    def write(self, lines: list[Line]) -> None:
        seed = self._seed
        day = int(seed.options["day"]) if "day" in seed.options else None
        at = self._window.some_moment(self._rng, day)
        for number, line in enumerate(lines):
            if number:
                hours = STUDIO_HOURS if line.mark.startswith(">") else PERSON_HOURS
                at = self._window.awake(later(at, line.delay, self._rng, hours))
            if at >= self._window.end:
                return
            if line.mark in MARKS:
                self._conversation.moves.append(Move(at, incoming=False, mark=MARKS[line.mark]))
            else:
                self._add(line, at, is_first=number == 0)
        if later_answer := answer_later(self._conversation, self._studio, self._window, self._rng):
            at, text = later_answer
            self._add(Line(">", text), at, is_first=False)

    def _add(self, line: Line, at: datetime, *, is_first: bool) -> None:
        incoming = line.mark.startswith("<")
        subject, text = line.subject_and_text
        text = "" if text == "(none)" else self._fill(text) + self._signature(line)
        if is_first or line.mark in ("<<", ">>"):
            self._thread, self._last = "", None
            self._subject = self._first_subject(subject)
        headers = self._headers(line, incoming=incoming, is_first=is_first)
        nature = NATURES.get(line.mark, ASKS)
        mail = self._mail(at, headers, text, self._labels(incoming=incoming, is_first=is_first))
        self._mailbox.mails.append(mail)
        if self._thread not in self._conversation.threads:
            self._conversation.threads.append(self._thread)
        self._conversation.moves.append(Move(at, incoming, nature, mail.id))
        self._last = mail

    def _first_subject(self, given: str) -> str:
        subjects = self._seed.subjects
        chosen = given or (self._rng.choice(subjects) if subjects else "")
        return "" if chosen == "(none)" else self._fill(chosen)

    def _headers(self, line: Line, *, incoming: bool, is_first: bool) -> Headers:
        person, studio = self._conversation.person, self._studio
        if not incoming:
            to = {">>": "", ">f": studio["forwardsTo"]}.get(line.mark, self._reply_to)
            headers = senders.outgoing_headers(self._seed, person, to, studio, self._rng)
        elif is_first:
            headers = senders.incoming_headers(self._seed, person, studio, self._rng)
            self._first, self._reply_to = headers, senders.reply_address(headers, studio)
        elif senders.stays_in_relay(self._seed, studio):
            headers = self._first
        elif senders.sort_of(self._seed) in ("relay", *senders.PEOPLE):
            headers = [("From", senders.written_name(person)), ("To", studio["address"])]
        else:
            headers = senders.incoming_headers(self._seed, person, studio, self._rng)
        automatic = senders.automatic(by_studio=not incoming) if line.mark.endswith("!") else []
        return [*headers, *automatic, *self._thread_headers(line)]

    def _thread_headers(self, line: Line) -> Headers:
        if self._last is None:
            return [("Subject", self._subject)] if self._subject else []
        prefix = AUTOMATIC_SUBJECTS.get(self._conversation.person.language, "Automatic reply: ")
        prefix = prefix if line.mark.endswith("!") else "AW: " if self._says_aw(line) else "Re: "
        prefix = "Fwd: " if line.mark == ">f" else prefix
        before = self._last.header("References")
        return [
            ("Subject", prefix + re.sub(r"^(Re|AW): ", "", self._subject)),
            ("In-Reply-To", self._last.message_id),
            ("References", f"{before} {self._last.message_id}".strip()),
        ]

    def _says_aw(self, line: Line) -> bool:
        return line.mark.startswith("<") and self._conversation.person.language == "de" and self._rng.random() < 0.5

    def _labels(self, *, incoming: bool, is_first: bool) -> list[str]:
        if not incoming:
            return ["SENT"]
        labels = senders.labels_of(self._seed, self._rng) if is_first else senders.INBOX["person"]
        is_self = self._seed.sender == "relay: self" and is_first
        return [*labels, "SENT"] if is_self else list(labels)

    def _mail(self, at: datetime, headers: Headers, text: str, labels: list[str]) -> Mail:
        mail = Mail(at, labels, headers, text, is_html=senders.sort_of(self._seed) in ("news", "machine", "relay"))
        mail.id = identifier(self._corpus, self._conversation.id, len(self._conversation.moves), at)
        host = mail.header("From").rpartition("@")[2].strip("> ") or "mail.example"
        mail.message_id = f"<{identifier('id', mail.id)}@{host}>"
        group = self._seed.options.get("group", "")
        if not self._thread:
            self._thread = self._groups.setdefault(group, mail.id) if group else mail.id
        mail.thread = self._thread
        return mail

    def _signature(self, line: Line) -> str:
        """What a telephone adds."""
        is_person = senders.sort_of(self._seed) in senders.PEOPLE and line.mark in ("<", "<~", "<<")
        if not is_person or self._rng.random() > 0.2:
            return ""
        return " " + str(self._rng.choice(self._studio["signatures"]))

    def _fill(self, text: str) -> str:
        return fill(text, self._conversation.person, self._rng, self._studio)


def threads_of(mails: list[Mail]) -> Iterator[list[Mail]]:
    """Oldest thread first. A thread has the id of its first message."""
    threads: dict[str, list[Mail]] = {}
    for mail in mails:
        threads.setdefault(mail.thread, []).append(mail)
    yield from sorted(threads.values(), key=lambda thread: (min(mail.at for mail in thread), thread[0].thread))
