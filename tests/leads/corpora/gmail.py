"""Messages as Gmail's API gives them with format=metadata: labels, header fields and a short plain extract."""

import hashlib
import html
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

SNIPPET = 200
"""Characters of an extract, at most."""

Headers = list[tuple[str, str]]


@dataclass
class Mail:
    at: datetime
    labels: list[str]
    headers: Headers
    text: str
    is_html: bool = False
    id: str = ""
    thread: str = ""
    message_id: str = field(default="", repr=False)

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


def identifier(*parts: object) -> str:
    """16 hexadecimal digits, as Gmail's ids have."""
    return hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()[:16]


def message_json(mail: Mail, zone: ZoneInfo) -> dict[str, Any]:
    written = [("Date", format_datetime(mail.at.astimezone(zone))), ("Message-ID", mail.message_id), *mail.headers]
    return {
        "id": mail.id,
        "threadId": mail.thread,
        "labelIds": mail.labels,
        "snippet": snippet(mail.text),
        "historyId": str(int(mail.at.timestamp()) // 7),
        "internalDate": str(int(mail.at.timestamp()) * 1000),
        "sizeEstimate": 2_000 + 3 * len(mail.text) + 61 * len(mail.headers),
        "payload": {
            "mimeType": "text/html" if mail.is_html else "multipart/alternative",
            "headers": [{"name": name, "value": value} for name, value in written if value],
        },
    }


def snippet(text: str) -> str:
    joined = " ".join(text.split())
    if len(joined) > SNIPPET:
        joined = joined[:SNIPPET].rsplit(" ", 1)[0]
    return html.escape(joined, quote=True).replace("&#x27;", "&#39;")


def thread_json(mails: list[Mail], zone: ZoneInfo) -> dict[str, Any]:
    ordered = sorted(mails, key=lambda mail: mail.at)
    messages = [message_json(mail, zone) for mail in ordered]
    return {"id": ordered[0].thread, "historyId": messages[-1]["historyId"], "messages": messages}
