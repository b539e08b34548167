"""Turns seeds into direct messages as Meta's API gives them: conversations of a Page, the newest message first."""

from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import Any

from tests.leads.corpora.clock import Window, later
from tests.leads.corpora.conversations import ASKS, Conversation, Move
from tests.leads.corpora.gmail import identifier
from tests.leads.corpora.mailbox import MARKS, NATURES, answer_later
from tests.leads.corpora.people import People, Person, fill, plain
from tests.leads.corpora.seeds import Line, Seed

PLATFORM_SHAPES = ("{one}.{other}", "{one}_{other}", "{one}{other}", "_{one}.{other}_", "{one}.x.{other}")


class DirectMessages:
    def __init__(self, corpus: str, studio: dict[str, Any], people: People) -> None:
        self._corpus = corpus
        self._studio = studio
        self._people = people
        self._window = Window.of(studio)
        self._turns: Counter[str] = Counter()
        self.threads: list[dict[str, Any]] = []
        self.conversations: list[Conversation] = []
        self.count = 0

    def expand(self, seed: Seed, turn: str) -> None:
        singles = [line for line in seed.lines if line.mark == "-"]
        for number, line in enumerate(singles):
            self._tell(seed, [Line(_mark_of(seed), line.text)], f"{turn}.{number}")
        if not singles:
            self._tell(seed, seed.lines, turn)

    def add_filler(self, seed: Seed, count: int) -> None:
        singles = [line for line in seed.lines if line.mark == "-"]
        self._tell(seed, [Line(_mark_of(seed), singles[count % len(singles)].text)], f"filler.{count}")

    def _tell(self, seed: Seed, lines: list[Line], turn: str) -> None:
        rng = Random(f"{self._corpus}:direct:{seed.kind}:{seed.lines[0].text}:{turn}")
        person = self._people.in_conversation(self._person(seed, rng), rng)
        number = len(self.conversations) + 1
        party = seed.options.get("party", "person")
        conversation = Conversation(f"d{number:04d}", "direct", person, party, seed)
        ids = _Sides(seed.sender, person, self._studio, identifier(self._corpus, "direct", number))
        messages = self._messages(seed, lines, conversation, ids, rng)
        if messages:
            conversation.threads.append(ids.thread)
            self.conversations.append(conversation)
            self.threads.append(ids.thread_json(messages))
            self.count += len(messages)

    def _person(self, seed: Seed, rng: Random) -> Person:
        role, language = seed.options.get("who"), seed.language or self._studio["language"]
        if role is None:
            return self._people.make(rng, language)
        if role not in ("client", "past"):
            return self._people.known[role]
        self._turns[role] += 1
        return self._people.rotate(role, 3 * self._turns[role], language)

    def _messages(
        self, seed: Seed, lines: list[Line], conversation: Conversation, ids: "_Sides", rng: Random
    ) -> list[dict[str, Any]]:
        day = int(seed.options["day"]) if "day" in seed.options else None
        at, messages = self._window.some_moment(rng, day), []
        for number, line in enumerate(lines):
            if number:
                hours = (0, 9) if line.mark.startswith(">") else (0, 20)
                at = self._window.awake(later(at, line.delay, rng, hours))
            if at >= self._window.end:
                break
            if line.mark in MARKS:
                conversation.moves.append(Move(at, incoming=False, mark=MARKS[line.mark]))
                continue
            text = fill(line.text, conversation.person, rng, self._studio)
            message = ids.message_json(line, text, at, number)
            nature = NATURES.get(line.mark, ASKS)
            conversation.moves.append(Move(at, line.mark.startswith("<"), nature, message["id"]))
            messages.append(message)
        if later_answer := answer_later(conversation, self._studio, self._window, rng):
            at, text = later_answer
            message = ids.message_json(Line(">", text), fill(text, conversation.person, rng, self._studio), at, 99)
            conversation.moves.append(Move(at, incoming=False, message_id=message["id"]))
            messages.append(message)
        return messages


def _mark_of(seed: Seed) -> str:
    """Nobody waits for an answer to a heart."""
    return "<~" if "reacts" in seed.options else "<"


class _Sides:
    """The two participants, as their platform names them."""

    def __init__(self, platform: str, person: Person, studio: dict[str, Any], token: str) -> None:
        self.platform = platform
        self.thread = f"t_{int(token, 16) % 10**17}" if platform == "messenger" else f"aWdfZAG06MTpJR0{token}"
        self._token = token
        number = str(int(token, 16) % 10**16 + 10**15)
        page = studio["page"]
        if platform == "instagram":
            one, other = plain(person.first), plain(person.last)
            shape = PLATFORM_SHAPES[int(token, 16) % len(PLATFORM_SHAPES)]
            self._person = {"username": shape.format(one=one, other=other), "id": number}
            self._studio = {"username": page["username"], "id": page["instagramId"]}
        else:
            self._person = {"name": person.name, "email": f"{number}@facebook.com", "id": number}
            self._studio = {"name": page["name"], "email": f"{page['id']}@facebook.com", "id": page["id"]}

    def message_json(self, line: Line, text: str, at: datetime, number: int) -> dict[str, Any]:
        """A text may begin with @story, @mention, @share or @photo: then it came with one."""
        incoming = line.mark.startswith("<")
        sender, receiver = (self._person, self._studio) if incoming else (self._studio, self._person)
        word, _, rest = text.partition(" ")
        extra = self._attached(word, number)
        return {
            "id": f"m_{self._token}{number:02d}",
            "created_time": meta_time(at),
            "from": sender,
            "to": {"data": [receiver]},
            "message": rest if extra else text,
            **extra,
        }

    def _attached(self, word: str, number: int) -> dict[str, Any]:
        link = f"https://lookaside.example/{self._token}/{number}"
        story_id = str(int(self._token, 16) % 10**17)
        if word == "@story":
            return {"story": {"reply_to": {"link": link, "id": story_id}}}
        if word == "@mention":
            return {"story": {"mention": {"link": link, "id": story_id}}}
        if word == "@share":
            return {"shares": {"data": [{"link": link}]}}
        if word == "@photo":
            return {"attachments": {"data": [{"id": story_id, "mime_type": "image/jpeg", "image_data": {"url": link}}]}}
        return {}

    def thread_json(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        newest = messages[::-1]
        unread = next((place for place, each in enumerate(newest) if each["from"] != self._person), len(newest))
        return {
            "platform": self.platform,
            "id": self.thread,
            "updated_time": newest[0]["created_time"],
            "snippet": newest[0]["message"],
            "message_count": len(newest),
            "unread_count": unread,
            "participants": {"data": [self._studio, self._person]},
            "messages": {"data": newest},
        }


def meta_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
