"""Stores the threads of a page as messages, conversations, people and leads: in two round trips, whatever its size."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from chalicelib.data.leads import LOCK_LEADS, LOOK_UP_LEADS, STORE_LEADS, StoredPage
from chalicelib.data.postgres.database import Call, Transaction
from chalicelib.data.postgres.query import to_json
from chalicelib.platforms.core.items import Skipped
from chalicelib.platforms.core.records import ThreadRecord
from chalicelib.services.leads.people import Hashes, addresses_of
from chalicelib.services.leads.placing import place
from chalicelib.services.leads.rows import Placed, Source

IDS_PER_THREAD = 4
"""New rows with an id of their own: a person, a conversation, a thread and an inquiry"""


class StoredThreads(msgspec.Struct):
    """The outcome of a page: the threads that were stored, and those that are no leads."""

    kept: list[ThreadRecord]
    skipped: list[Skipped]
    created: int
    updated: int
    unchanged: int


def store_threads(
    tx: Transaction,
    studio_id: UUID,
    source: Source,
    threads: Sequence[ThreadRecord],
    hashes: Hashes,
    *,
    fetched_at: datetime | None = None,
) -> StoredThreads:
    """`hashes` are those of the page's addresses; without them, a new person's threads that were left out are not
    noticed. With `fetched_at`, a time of the database's clock, threads that changed since then stay as they are."""
    about = {
        "connection_id": source.connection_id,
        "thread_ids": [thread.external_id for thread in threads],
        "addresses": addresses_of(threads),
        "counterparts": to_json(sorted(set(hashes.values()))),
        "ids": IDS_PER_THREAD * len(threads),
    }
    _, known = tx.run_all(Call(LOCK_LEADS, {"studio_id": studio_id}), Call(LOOK_UP_LEADS, about))
    placed = place(threads, known, source, hashes, fetched_at=fetched_at)
    rows = {table: to_json(listed) for table, listed in msgspec.structs.asdict(placed.rows).items()}
    stored = tx.run(STORE_LEADS, studio_id=studio_id, connection_id=source.connection_id, **rows)
    return _outcome(threads, placed, stored)


def _outcome(threads: Sequence[ThreadRecord], placed: Placed, stored: StoredPage) -> StoredThreads:
    """A thread counts as created if its inquiry was; a second one of the same inquiry does not."""
    created = len(stored.created)
    changed = {*stored.updated, *stored.created}
    threads_changed = set(stored.threads)
    touched = sum(thread_id in threads_changed or inquiry_id in changed for thread_id, inquiry_id in placed.stored)
    return StoredThreads(
        kept=[thread for thread in threads if thread.external_id in placed.kept],
        skipped=placed.skipped,
        created=created,
        updated=max(touched - created, 0),
        unchanged=len(placed.stored) - touched + placed.unchanged,
    )
