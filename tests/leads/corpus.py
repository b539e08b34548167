"""A labelled corpus as the product reads it: threads of mail and direct messages, calendar events, and the truth."""

import gzip
import json
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Raw

from chalicelib.platforms.core.accounts import Rule
from chalicelib.platforms.core.items import Batch
from chalicelib.platforms.core.records import ThreadRecord
from chalicelib.platforms.google.events import EVENTS, CalendarContext
from chalicelib.platforms.google.threads import add_threads
from tests.leads.corpora.generate import FOLDER, corpus_files
from tests.leads.direct_threads import direct_thread


class CalendarRow(msgspec.Struct, frozen=True, rename="camel"):
    calendar_id: str
    event: Raw


class Corpus:
    def __init__(self, name: str, files: dict[str, str]) -> None:
        self.name = name
        self._files = files
        self.studio: dict[str, Any] = json.loads((FOLDER / name / "studio.json").read_text("utf-8"))

    @classmethod
    def committed(cls, name: str) -> "Corpus":
        paths = (FOLDER / name).glob("*.jsonl.gz")
        return cls(name, {path.name.removesuffix(".gz"): gzip.decompress(path.read_bytes()).decode() for path in paths})

    @classmethod
    def drawn_again(cls, name: str, chance: str) -> "Corpus":
        """The same seeds with other names, days, texts and answers."""
        return cls(name, corpus_files(name, chance))

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines(name)]

    def lines(self, name: str) -> list[str]:
        return self._files[f"{name}.jsonl"].splitlines()

    @cached_property
    def labels(self) -> list[dict[str, Any]]:
        return self.rows("labels")

    def threads(self, until: datetime | None = None) -> list[ThreadRecord]:
        """As they are read at that moment."""
        return [*self._mail(until), *self._direct(until)]

    def _mail(self, until: datetime | None) -> list[ThreadRecord]:
        batch, last = Batch(), int(until.timestamp() * 1000) if until else None
        for thread in self.rows("mails"):
            there = [each for each in thread["messages"] if last is None or int(each["internalDate"]) <= last]
            if there:
                raw = msgspec.json.encode(thread | {"messages": there})
                add_threads(batch, [Raw(raw)], self.studio["address"])
        if batch.set_aside:
            raise ValueError(f"unreadable threads: {batch.set_aside}")
        return [record for record in batch.records if isinstance(record, ThreadRecord)]

    def _direct(self, until: datetime | None) -> list[ThreadRecord]:
        page = self.studio["page"]
        read = (direct_thread(row, {page["id"], page["instagramId"]}, until) for row in self.rows("direct"))
        return [thread for thread in read if thread.messages]

    def calendars(self) -> list[Batch]:
        """The outcome of each calendar, read with the studio's own rule for it."""
        rows = [msgspec.json.decode(line, type=CalendarRow) for line in self.lines("events")]
        return [
            EVENTS.read(
                [row.event for row in rows if row.calendar_id == calendar["id"]], self._calendar_context(calendar)
            )
            for calendar in self.studio["calendars"].values()
        ]

    def _calendar_context(self, calendar: dict[str, Any]) -> CalendarContext:
        rule: Rule = calendar["rule"]
        return CalendarContext(
            calendar_id=calendar["id"],
            time_zone=self.studio["timeZone"],
            rule=rule,
            words=tuple(self.studio["words"]),
            own_address=self.studio["address"],
        )
