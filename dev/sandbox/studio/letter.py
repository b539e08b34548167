"""One message of the studio's correspondence."""

from dataclasses import dataclass
from datetime import datetime

from dev.sandbox.studio.people import Person


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One message; `labels` are Gmail's labels."""

    sender: Person
    to: Person
    sent_at: datetime
    subject: str
    text: str
    labels: tuple[str, ...] = ("INBOX",)
    headers: tuple[tuple[str, str], ...] = ()
