"""Complete Gmail threads in Google's format; the formats a client may request are derived from them."""

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime, parseaddr

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
    """The thread with one more message at its end, or a new thread with it."""
    messages = [*thread["messages"], added] if thread else [added]
    return {"id": added["threadId"], "historyId": added["historyId"], "messages": messages}


def replaced(thread: Json, changed: Json) -> Json:
    """The thread with the message's current state."""
    messages = [changed if message["id"] == changed["id"] else message for message in thread["messages"]]
    return {**thread, "historyId": changed["historyId"], "messages": messages}


def without(thread: Json, gone: Json, position: int) -> Json:
    messages = [message for message in thread["messages"] if message["id"] != gone["id"]]
    return {**thread, "historyId": str(position), "messages": messages}


def change(message: Json, position: int, member: str, labels: Sequence[str] = ()) -> Json:
    """A history record; the list names messages by their ids only."""
    names = {"id": message["id"], "threadId": message["threadId"]}
    entry: Json = {"message": {**names, "labelIds": message["labelIds"]}}
    if labels:
        entry["labelIds"] = list(labels)
    return {"id": str(position), "messages": [names], member: [entry]}


def other_party(thread: Json | None, owner: Person) -> Person | None:
    """The other party of the thread: the recipient of a reply to its first message."""
    if thread is None:
        return None
    headers = {header["name"]: header["value"] for header in thread["messages"][0]["payload"]["headers"]}
    parties = (Person(*parseaddr(headers.get(name, ""))) for name in ("Reply-To", "From", "To"))
    return next((party for party in parties if party.email not in ("", owner.email)), None)


def answering(message_id: str) -> tuple[str, str]:
    return "In-Reply-To", f"<{message_id}@mail.example>"


def _thread(letters: Sequence[Letter]) -> Json:
    thread_id, before, messages = _id(letters[0]), "", []
    for letter in letters:
        answers = letter.subject.startswith("Re: ") and before
        written = replace(letter, headers=(*letter.headers, answering(before))) if answers else letter
        before = _id(letter)
        position = milliseconds(letter.sent_at)
        messages.append(message(written, message_id=before, thread_id=thread_id, position=position))
    return {"id": thread_id, "historyId": messages[-1]["historyId"], "messages": messages}


def _headers(letter: Letter, message_id: str) -> list[tuple[str, str]]:
    usual = {
        "From": _address(letter.sender),
        "To": _address(letter.to),
        "Subject": letter.subject,
        "Date": format_datetime(letter.sent_at.astimezone(ZONE)),
        "Message-ID": f"<{message_id}@mail.example>",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
    }
    return list({**usual, **dict(letter.headers)}.items())


def _address(person: Person) -> str:
    """The API shows names decoded, not as RFC 2047 words; without a name, only the address."""
    if not person.name:
        return person.email
    name = f'"{person.name}"' if SPECIAL & set(person.name) else person.name
    return f"{name} <{person.email}>"


def _snippet(text: str) -> str:
    return html.escape(" ".join(text.split())[:SNIPPET_LENGTH]).replace("&#x27;", "&#39;")


def _id(letter: Letter) -> str:
    # Does not depend on the time: a letter keeps its id when the year of letters moves by a week.
    seed = f"{letter.sender.email} {letter.to.email} {letter.subject} {letter.text}"
    return "19" + hashlib.sha256(seed.encode()).hexdigest()[:14]
