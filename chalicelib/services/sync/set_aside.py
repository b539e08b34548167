"""Records set aside: records that could not be decoded are listed, and decoded again without calling the platform."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from chalicelib import logs
from chalicelib.data.postgres.database import Transaction, read, transaction
from chalicelib.data.postgres.rows import Row
from chalicelib.data.sync import set_aside as rows
from chalicelib.data.sync import skipped as skipped_rows
from chalicelib.data.sync import store as record_rows
from chalicelib.data.sync.set_aside import KeptRecord, KeptRecords, SetAsideRecord
from chalicelib.errors import DecryptionFailed
from chalicelib.platforms.core.contract import Stream
from chalicelib.platforms.core.items import Gone, Items, Outcome, SetAside, Skipped
from chalicelib.platforms.core.records import Record, ThreadRecord
from chalicelib.platforms.registry import get_platform, require_known
from chalicelib.security.vault import vault
from chalicelib.services.leads.rows import Source
from chalicelib.services.leads.storing import store_threads
from chalicelib.services.streams import TABLES, not_chosen, syncable_platform, syncable_stream
from chalicelib.services.sync.left_out import content_data

RETRIED_AT_ONCE = 200
RETRY_AFTER = timedelta(days=1)
"""How long a run waits before it retries a record: a new release may be able to decode it."""


class Retried(Row):
    """The result of reading records again."""

    retried: int
    """How many records were read again."""
    stored: int
    """How many could be read; they were stored, skipped or deleted."""
    set_aside: int
    """How many still cannot be read."""


def list_set_aside(
    studio_id: UUID,
    *,
    platform: str | None,
    connection: UUID | None,
    sync_type: str | None,
    before: UUID | None,
    limit: int,
) -> list[SetAsideRecord]:
    """Newest first, starting with the one before `before`. Raises NotFound for an unknown platform."""
    if platform is not None:
        require_known(platform)
    which = {"platform": platform, "connection": connection, "stream": sync_type}
    return read(studio_id, rows.LIST_SET_ASIDE, before=before, limit=limit, **which)


def retry_set_aside(
    studio_id: UUID, platform_name: str, sync_type: str | None, connection: UUID | None = None
) -> Retried:
    """Retries the records that have waited longest, 200 at most, also for a disconnected platform. Raises as
    `not_chosen` does."""
    platform = syncable_platform(platform_name)
    stream = syncable_stream(platform.name, sync_type).name if sync_type is not None else None
    retried = _retry(studio_id, platform.name, connection, stream, cooled_down=timedelta())
    if retried is None:
        raise not_chosen(studio_id, platform.name, connection, or_ended=True)
    return retried


def retry_cooled_down(studio_id: UUID, platform: str, connection_id: UUID, stream: str) -> None:
    """At the end of a run: retries records that were not tried for a day."""
    retried = _retry(studio_id, platform, connection_id, stream, cooled_down=RETRY_AFTER)
    if retried is None:
        return
    if retried.retried:
        logs.event("set_aside.retried", platform=platform, stream=stream, **msgspec.structs.asdict(retried))


def _retry(
    studio_id: UUID, platform: str, connection: UUID | None, stream: str | None, *, cooled_down: timedelta
) -> Retried | None:
    """None without a connection."""
    kept = read(
        studio_id,
        rows.LIST_KEPT_RECORDS,
        platform=platform,
        connection=connection,
        stream=stream,
        cooled_down_seconds=cooled_down.total_seconds(),
        limit=RETRIED_AT_ONCE,
    )
    if kept.connection_id is None:
        return None
    source: dict[str, Any] = {"platform": platform, "connection_id": kept.connection_id}
    unreadable = 0
    for known in get_platform(platform).streams:
        outcomes = [
            (record, _try(studio_id, known, record, kept)) for record in kept.records if record.stream == known.name
        ]
        if outcomes:
            with transaction(studio_id) as tx:
                unreadable += _store_outcomes(tx, studio_id, source, known, outcomes)
    return Retried(retried=len(kept.records), stored=len(kept.records) - unreadable, set_aside=unreadable)


def _try(studio_id: UUID, stream: Stream[Any], record: KeptRecord, kept: KeptRecords) -> Outcome:
    try:
        content = vault().open(record.content, kept.data_keys, content_data(studio_id, record.id)).reveal().encode()
        return _items(stream, record).read_again(content)
    except DecryptionFailed:
        reason = "was stored, but can no longer be decrypted"
    except (msgspec.MsgspecError, LookupError):
        reason = "was stored by an earlier release in another format; it is read again when it changes"
    return SetAside(external_id=record.external_id, field="", reason=reason, content=b"")


def _items(stream: Stream[Any], record: KeptRecord) -> Items[Any, Any]:
    """Raises LookupError if the stream no longer produces records for that table."""
    return {TABLES[items.record]: items for items in stream.items}[record.table_name]


def _store_outcomes(
    tx: Transaction,
    studio_id: UUID,
    source: Mapping[str, Any],
    stream: Stream[Any],
    outcomes: Sequence[tuple[KeptRecord, Outcome]],
) -> int:
    """Stores the decoded records, unless their rows have changed since. Returns how many still cannot be decoded."""
    connection_id = source["connection_id"]
    named = {"connection_id": connection_id, "stream": stream.name}
    odd: list[dict[str, Any]] = []
    done: dict[tuple[UUID, str], list[str]] = {}
    for kept, outcome in outcomes:
        if isinstance(outcome, SetAside):
            odd.append({"id": kept.id, "field": outcome.field, "reason": outcome.reason})
            continue
        table = kept.table_name
        of_account: dict[str, Any] = {"account_id": kept.account_id}
        done.setdefault((kept.account_id, table), []).append(kept.external_id)
        if isinstance(outcome, ThreadRecord):
            left_out = _store_thread(tx, studio_id, source, outcome, kept)
            if left_out is None:
                continue
            outcome = left_out
        if isinstance(outcome, Record):
            record_rows.upsert(
                tx, table, studio_id, records=[outcome], fetched_at=kept.last_seen_at, **source, **of_account
            )
        elif isinstance(outcome, Gone):
            record_rows.remove(tx, table, connection_id, [outcome.external_id], **of_account)
        else:
            skipped = [{"external_id": outcome.external_id, "reason": outcome.reason}]
            query = skipped_rows.store_skipped_query(table)
            tx.run(query, studio_id=studio_id, rows=skipped, **named, **of_account)
            if outcome.called_off:
                record_rows.remove(tx, table, connection_id, [outcome.external_id], **of_account)
    for (account_id, table), external_ids in done.items():
        read_now = {"account_id": account_id, "table_name": table, "external_ids": external_ids}
        tx.run(rows.CLEAR_SET_ASIDE, **read_now, **named)
    if odd:
        tx.run(rows.NOTE_RETRIED, rows=odd)
    return len(odd)


def _store_thread(
    tx: Transaction, studio_id: UUID, source: Mapping[str, Any], thread: ThreadRecord, kept: KeptRecord
) -> Skipped | None:
    """Returns what is kept of a thread that is no lead."""
    of_source = Source(source["connection_id"], source["platform"])
    outcome = store_threads(tx, studio_id, of_source, [thread], {}, fetched_at=kept.last_seen_at)
    return outcome.skipped[0] if outcome.skipped else None
