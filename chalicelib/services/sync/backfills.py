"""Backfills: read past days again, alongside the live sync and without touching its cursor.

To the engine a backfill is an ordinary run of a stream; that stream reads the days of each account slice by slice,
newest first, and its cursor records how far it got.
"""

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from chalicelib import work_queue
from chalicelib.data.postgres.database import read, write
from chalicelib.data.sync import runs as rows
from chalicelib.data.sync.runs import Backfill, Run, StartedRun
from chalicelib.errors import Conflict, CursorExpired, FieldProblem, InvalidInput
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Page, Stream, Window
from chalicelib.services.connections.connections import usable_connection
from chalicelib.services.explain import Connection
from chalicelib.services.streams import MAX_MANUAL_RUNS, not_connected, require_room, syncable_stream

EARLIEST = date(2000, 1, 1)
LATEST = date(2100, 1, 1)
MAX_DAYS = 3660
MAX_RESTARTS = 3
"""Per slice"""


class BackfillCursor(msgspec.Struct, frozen=True):
    """All days after `last` are done; `page` is the stream's own cursor within the slice that ends there, as JSON."""

    last: date
    page: str | None = None
    restarts: int = 0
    """How often the slice was restarted because the platform no longer knew its cursor"""


def start_backfill(
    studio_id: UUID, platform: str, sync_type: str, first: date, last: date, *, connection: UUID | None = None
) -> StartedRun:
    """Queues a backfill of the days from `first` to `last`, inclusive; the same one in progress is returned instead.

    Raises InvalidInput naming the field, Conflict while another backfill of the stream is in progress, TooManyRequests
    if too many manual runs of the stream were started.
    """
    stream = syncable_stream(platform, sync_type)
    _window_fetch(stream)
    _check(first, last)
    usable = usable_connection(studio_id, platform, connection)
    return _start(studio_id, usable, stream.name, Window(first, last), continues=None)


def retry_backfill(studio_id: UUID, run: Run, backfill: Backfill) -> StartedRun:
    """Continues a failed or cancelled backfill from where it stopped."""
    usable = usable_connection(studio_id, run.platform, run.connection_id)
    window = Window(backfill.first, backfill.last)
    return _start(studio_id, usable, run.sync_type, window, continues=run.id)


def over(stream: Stream[Any], window: Window) -> Stream[BackfillCursor]:
    """A stream that reads these days of another one, and ends with the last page of the oldest slice."""
    return msgspec.structs.replace(
        stream, cursor=BackfillCursor, fetch=partial(_fetch, stream, window), complete=False, fetch_window=None
    )


def _fetch(stream: Stream[Any], window: Window, client: Client, cursor: BackfillCursor | None) -> Page[BackfillCursor]:
    cursor = cursor or BackfillCursor(window.last)
    part = Window(max(window.first, cursor.last - timedelta(days=stream.slice_days - 1)), cursor.last)
    page, restarts = _fetch_page(stream, part, client, cursor)
    if not page.last:
        following = BackfillCursor(cursor.last, msgspec.json.encode(page.cursor).decode(), restarts)
    else:
        following = BackfillCursor(part.first - timedelta(days=1))
    # Deletions are left to the live sync: it may have seen since that a record came back.
    last = page.last and part.first == window.first
    return Page(
        page.records, following, last, skipped=page.skipped, set_aside=page.set_aside, ask_again_at=page.ask_again_at
    )


def _fetch_page(stream: Stream[Any], part: Window, client: Client, cursor: BackfillCursor) -> tuple[Page[Any], int]:
    """A page, and how often its slice was restarted: if the platform no longer knows the cursor, the slice is read and
    stored again. Raises CursorExpired if that happens too often."""
    fetch = partial(_window_fetch(stream), client, part)
    if cursor.page is None:
        return fetch(None), cursor.restarts
    try:
        return fetch(msgspec.json.decode(cursor.page, type=stream.cursor)), cursor.restarts
    except (CursorExpired, msgspec.ValidationError) as error:
        if cursor.restarts >= MAX_RESTARTS:
            raise CursorExpired(internal="a slice was restarted too often") from error
        return fetch(None), cursor.restarts + 1


def _window_fetch(stream: Stream[Any]) -> Callable[[Client, Window, Any], Page[Any]]:
    if stream.fetch_window is None:
        raise Conflict(f"{stream.name} cannot be read for past days", code="backfill_not_supported")
    return stream.fetch_window


def _check(first: date, last: date) -> None:
    problems = [
        FieldProblem(name, f"must be between {EARLIEST} and {LATEST}")
        for name, day in (("from", first), ("to", last))
        if not EARLIEST <= day <= LATEST
    ]
    if first > last:
        problems.append(FieldProblem("from", "must not be later than `to`"))
    elif (last - first).days >= MAX_DAYS:
        problems.append(FieldProblem("from", f"a backfill can cover at most {MAX_DAYS} days"))
    if problems:
        raise InvalidInput(fields=problems)


def _start(
    studio_id: UUID, connection: Connection, stream: str, window: Window, *, continues: UUID | None
) -> StartedRun:
    named = {"connection_id": connection.id, "stream": stream}
    days = {"first": window.first, "last": window.last, "continues": continues}
    queued = write(studio_id, rows.INSERT_BACKFILL, most=MAX_MANUAL_RUNS, **days, **named)
    if queued is not None:
        work_queue.enqueue([work_queue.RunMessage(id=queued.id, studio_id=studio_id)])
        return queued
    active = read(studio_id, rows.FIND_ACTIVE_BACKFILL, **named)
    if active is None or active.backfill is None:
        wanted = {"connection_id": connection.id, "streams": [stream], "most": MAX_MANUAL_RUNS}
        require_room(read(studio_id, rows.LIST_SPENT_STREAMS, **wanted))
        raise not_connected(connection.platform)
    if Window(active.backfill.first, active.backfill.last) != window:
        raise Conflict(
            f"Backfill {active.id} of the stream, {active.backfill.first} to {active.backfill.last}, is in progress",
            code="backfill_under_way",
        )
    return StartedRun(id=active.id, sync_type=active.sync_type, status=active.status, reads_again=False)
