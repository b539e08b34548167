"""Pages, split by the tables that store their records, parents before children."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chalicelib.data.postgres.database import Transaction
from chalicelib.data.sync import store as rows
from chalicelib.data.sync.leases import LeasedRun
from chalicelib.data.sync.store import FullRead, Removed, Upserted
from chalicelib.data.sync.tables import SYNCED
from chalicelib.platforms.core.contract import Page, Stream
from chalicelib.platforms.core.items import SetAside, Skipped
from chalicelib.platforms.core.records import Record, ThreadRecord
from chalicelib.services.leads.rows import Source
from chalicelib.services.leads.storing import store_threads
from chalicelib.services.streams import TABLES


class Part(msgspec.Struct):
    """A page's records of one table."""

    table: str
    records: list[Record] = []
    deleted: list[str] = []
    skipped: list[Skipped] = []
    set_aside: list[SetAside] = []

    @property
    def known(self) -> list[str]:
        """External ids of decoded and deleted records: entries that left them out before are cleared."""
        return [*(record.external_id for record in self.records), *self.deleted]

    @property
    def seen(self) -> list[str]:
        """External ids of records that exist at the platform, whether or not they were stored."""
        return [each.external_id for of_kind in (self.records, self.skipped, self.set_aside) for each in of_kind]

    def __len__(self) -> int:
        return len(self.records) + len(self.deleted) + len(self.skipped) + len(self.set_aside)


def split(stream: Stream[Any], page: Page[Any]) -> list[Part]:
    """One part per record type of the stream. Raises TypeError for a type that the stream does not declare."""
    parts = {record: Part(TABLES[record]) for record in stream.records}
    for record in page.records:
        _part(parts, stream, type(record)).records.append(record)
    for gone in page.deleted:
        _part(parts, stream, gone.record).deleted.append(gone.external_id)
    for skipped in page.skipped:
        _part(parts, stream, skipped.record).skipped.append(skipped)
    for odd in page.set_aside:
        _part(parts, stream, odd.record).set_aside.append(odd)
    return sorted(parts.values(), key=lambda part: SYNCED[part.table].depth)


def _part(parts: dict[type[Record], Part], stream: Stream[Any], record: type[Record] | None) -> Part:
    record = record or stream.records[0]
    if record not in parts:
        raise TypeError(f"the stream {stream.name} yields {record.__name__}, which it does not declare")
    return parts[record]


def threads_of(parts: Sequence[Part]) -> list[ThreadRecord]:
    return [record for part in parts for record in part.records if isinstance(record, ThreadRecord)]


def store(
    tx: Transaction,
    run: LeasedRun,
    account_id: UUID,
    parts: Sequence[Part],
    hashes: Mapping[str, str],
    fetched_at: datetime | None,
) -> Upserted:
    """Stores the records of all parts; returns the total counts. Threads that are no leads are then among the skipped
    records of their part; `hashes` are those of the addresses in them."""
    studio_id, platform = run.connection.studio_id, run.platform
    of_page = {"connection_id": run.connection.id, "account_id": account_id}
    stored = [
        _store_judged(tx, run, part, hashes, fetched_at)
        if SYNCED[part.table].is_judged
        else rows.upsert(tx, part.table, studio_id, platform, part.records, fetched_at=fetched_at, **of_page)
        for part in parts
    ]
    return Upserted(
        created=sum(outcome.created for outcome in stored),
        updated=sum(outcome.updated for outcome in stored),
        unchanged=sum(outcome.unchanged for outcome in stored),
    )


def _store_judged(
    tx: Transaction, run: LeasedRun, part: Part, hashes: Mapping[str, str], fetched_at: datetime | None
) -> Upserted:
    threads = threads_of([part])
    if not threads:
        return Upserted()
    source = Source(run.connection.id, run.platform)
    outcome = store_threads(tx, run.connection.studio_id, source, threads, hashes, fetched_at=fetched_at)
    part.records = list(outcome.kept)
    part.skipped += outcome.skipped
    return Upserted(created=outcome.created, updated=outcome.updated, unchanged=outcome.unchanged)


def remove(tx: Transaction, run: LeasedRun, account_id: UUID, parts: Sequence[Part]) -> Removed:
    """Removes the records that the platform reports as gone."""
    connection_id = run.connection.id
    removed = [rows.remove(tx, part.table, connection_id, part.deleted, account_id=account_id) for part in parts]
    return Removed(count=sum(removed))


def sweep(tx: Transaction, run: LeasedRun, account_id: UUID, parts: Sequence[Part], *, at_end: bool) -> Removed:
    """Notes the records that a page of a complete read has seen and, at the end of the read, removes those that no page
    contained. Each table is judged separately: implausibly many deletions in one say nothing about another."""
    reading = FullRead(run.id, account_id, run.stream)
    removed = []
    for part in parts:
        rows.remember_seen(tx, part.table, reading, run.connection.studio_id, part.seen)
        if at_end:
            removed.append(rows.sweep(tx, part.table, run.connection.id, reading, confirmed=run.deletions_confirmed))
    return Removed(count=sum(each.count for each in removed), refused=sum(each.refused for each in removed))
