"""Gmail threads as Google writes them, whole; the formats a client may ask for are cut from them."""

import base64
import hashlib
import html
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime

from dev.sandbox.clock import milliseconds
from dev.sandbox.store import Generated
from dev.sandbox.studio import ZONE, Letter, Person
from dev.sandbox.wire import Json

BULK_FIRST_ID = 0x1900_0000_0000_0000
SNIPPET_LENGTH = 120
SPECIAL = frozenset('"(),.:;<>@[]\\')


def of_studio(conversations: Sequence[Sequence[Letter]]) -> list[Json]:
    return [_thread(letters) for letters in conversations]


def in_bulk(count: int, owner: Person, monday: date) -> Generated:
    """`count` threads of one inquiry each, spread evenly over the year before this Monday, the last one newest."""
    end = datetime.combine(monday, time(), UTC)

    def make(thread_id: str, index: int) -> Json:
        letter = Letter(
            sender=Person(f"Client {index}", f"client{index}@example.com"),
            to=owner,
            sent_at=end - timedelta(minutes=(count - index) * 525_600 // count),
            subject=f"Wedding inquiry {index}",
            text="Hello, are you still free on our date, and what would a full day cost?",
            labels=("INBOX", "UNREAD"),
        )
        sent_ms = milliseconds(letter.sent_at)
        return grown(None, message(letter, message_id=thread_id, thread_id=thread_id, position=sent_ms))

    return Generated(count, BULK_FIRST_ID, make)


def message(letter: Letter, *, message_id: str, thread_id: str, position: int) -> Json:
    """One message; `position` becomes its history id."""
    content = letter.text.encode()
    return {
        "id": message_id,
        "threadId": thread_id,
        "labelIds": list(letter.labels),
        "snippet": _snippet(letter.text),
        "historyId": str(position),
        "internalDate": str(milliseconds(letter.sent_at)),
        "sizeEstimate": len(content) + 900,
        "payload": {
            "partId": "",
            "mimeType": "text/plain",
            "filename": "",
            "headers": [{"name": name, "value": value} for name, value in _headers(letter, message_id)],
            "body": {"size": len(content), "data": base64.urlsafe_b64encode(content).decode()},
        },
    }


def grown(thread: Json | None, added: Json) -> Json:
    """The thread with one more message at its end, or a new thread of it."""
    messages = [*thread["messages"], added] if thread else [added]
    return {"id": added["threadId"], "historyId": added["historyId"], "messages": messages}


def arrival(message: Json, position: int) -> Json:
    """The history record of a message that was added; the list names messages by their ids only."""
    names = {"id": message["id"], "threadId": message["threadId"]}
    added = [{"message": {**names, "labelIds": message["labelIds"]}}]
    return {"id": str(position), "messages": [names], "messagesAdded": added}


def _thread(letters: Sequence[Letter]) -> Json:
    thread_id = _id(letters[0])
    messages = [
        message(letter, message_id=_id(letter), thread_id=thread_id, position=milliseconds(letter.sent_at))
        for letter in letters
    ]
    return {"id": thread_id, "historyId": messages[-1]["historyId"], "messages": messages}


def _headers(letter: Letter, message_id: str) -> list[tuple[str, str]]:
    return [
        ("From", _address(letter.sender)),
        ("To", _address(letter.to)),
        ("Subject", letter.subject),
        ("Date", format_datetime(letter.sent_at.astimezone(ZONE))),
        ("Message-ID", f"<{message_id}@mail.example>"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=UTF-8"),
        *letter.headers,
    ]


def _address(person: Person) -> str:
    """The API shows names decoded, not as RFC 2047 words; an address without a name stands alone."""
    if not person.name:
        return person.email
    name = f'"{person.name}"' if SPECIAL & set(person.name) else person.name
    return f"{name} <{person.email}>"


def _snippet(text: str) -> str:
    return html.escape(" ".join(text.split())[:SNIPPET_LENGTH]).replace("&#x27;", "&#39;")


def _id(letter: Letter) -> str:
    # Not of the time: the same letter keeps its id when the year of letters moves on by a week.
    seed = f"{letter.sender.email} {letter.to.email} {letter.subject} {letter.text}"
    return "19" + hashlib.sha256(seed.encode()).hexdigest()[:14]
