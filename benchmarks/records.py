"""Bulk upserts of bookings: the product's, COPY + merge, and SQLAlchemy's own, on the same rows and the same table."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from statistics import median
from typing import Any
from uuid import UUID

import msgspec
import pg8000.native
from sqlalchemy import Connection, create_engine
from sqlalchemy.dialects.postgresql import Insert, insert

from benchmarks import timing
from benchmarks.server import Server
from benchmarks.table import Row, Table
from chalicelib.data.models.booking import Booking
from chalicelib.data.postgres.database import transaction
from chalicelib.data.sync.store import upsert
from chalicelib.platforms.core.records import BookingRecord
from dev.tenants import act_as

PAGE = 1000
"""Rows per commit, for every competitor."""
KEY = ("studio_id", "connection_id", "external_id")
FIELDS = BookingRecord.__struct_fields__
CHANGED = tuple(name for name in FIELDS if name not in KEY)
FIRST_NAMES = ("Anna", "Jonas", "Zoë", "Miguel")
LAST_NAMES = ("Weber", "O'Hara", "Silva")
START = datetime(2026, 1, 1, 9, tzinfo=UTC)
CASES = ("insert", "update", "unchanged")
OURS, COPY, MANY, VALUES = "upsert", "COPY + merge", "insertmanyvalues", "values()"
SLOW_PAGES = 1
"""Pages of `values()`, whose rate does not depend on their number."""
NOTE = (
    "insertmanyvalues and values() are SQLAlchemy's; values() stores the first {slow:,} rows only. Every competitor "
    "commits each {page:,} rows and logs in as the application's role under forced row-level security. The others "
    "write every row they are given; the product compares, and counts what it created and changed."
)

Pages = Sequence[Sequence[BookingRecord]]
Store = Callable[[Pages], None]
Form = Callable[[Connection, list[dict[str, Any]]], None]


def measure(quick: bool, server: Server) -> list[Table]:
    count, rounds = (2_000, 1) if quick else (20_000, 5)
    first, second = _bookings(count, edition=1), _bookings(count, edition=2)
    with ExitStack() as stack:
        superuser = server.connect(server.urls.superuser)
        stack.callback(superuser.close)
        superuser.run("GRANT TEMPORARY ON DATABASE ansel TO ansel_joint")  # COPY needs a target table
        studio_id = server.new_studio()
        connect(server, studio_id)
        competitors: dict[str, Store] = {
            OURS: partial(_upsert, studio_id),
            COPY: stack.enter_context(copying(server, studio_id)),
            MANY: stack.enter_context(_sqlalchemy(server, studio_id, _many_executions)),
            VALUES: stack.enter_context(_sqlalchemy(server, studio_id, _many_values)),
        }
        taken = _race(competitors, first, second, rounds, superuser)
    return [_table(taken, count, rounds)]


def _race(
    competitors: Mapping[str, Store], first: Pages, second: Pages, rounds: int, superuser: pg8000.native.Connection
) -> dict[str, dict[str, list[float]]]:
    """Seconds per row. Each competitor fills an empty table, changes every row, and stores the same rows again."""
    taken: dict[str, dict[str, list[float]]] = {case: {name: [] for name in competitors} for case in CASES}

    def run(name: str) -> None:
        superuser.run("TRUNCATE booking CASCADE")
        until = SLOW_PAGES if name == VALUES else len(first)
        for case, pages in zip(CASES, (first[:until], second[:until], second[:until]), strict=True):
            rows = sum(map(len, pages))
            taken[case][name].append(timing.seconds(partial(competitors[name], pages)) / rows)
        _check(superuser, second[:until])

    timing.interleaved({name: partial(run, name) for name in competitors}, rounds=rounds)
    return taken


def _check(superuser: pg8000.native.Connection, pages: Pages) -> None:
    """Being fast only counts if everything was stored."""
    rows = superuser.run("SELECT external_id, notes, starts_at FROM booking ORDER BY external_id") or []
    expected = sorted([record.external_id, record.notes, record.starts_at] for page in pages for record in page)
    assert [list(row) for row in rows] == expected


def _table(taken: dict[str, dict[str, list[float]]], count: int, rounds: int) -> Table:
    rows: list[Row] = []
    for case, of in taken.items():
        rates = {name: 1 / median(times) for name, times in of.items()}
        ratios = (rates[OURS] / rate for name, rate in rates.items() if name != OURS)
        rows.append((case, *map(round, rates.values()), *ratios))
    competitors = tuple(taken[CASES[0]])
    columns = ("case", *competitors, *(f"times {name}" for name in competitors if name != OURS))
    title = f"Bulk upsert of {count:,} bookings, rows per second (medians of {rounds})"
    return Table(title, columns, rows, [NOTE.format(page=PAGE, slow=SLOW_PAGES * PAGE)])


def _bookings(count: int, edition: int) -> Pages:
    """A realistic calendar of a studio; every row differs between editions."""
    chance = Random(7)
    records = [_booking(number, edition, chance) for number in range(count)]
    return [records[start : start + PAGE] for start in range(0, count, PAGE)]


def _booking(number: int, edition: int, chance: Random) -> BookingRecord:
    starts_at = START + timedelta(hours=7 * number, minutes=15 * edition)
    client = f"{chance.choice(FIRST_NAMES)} {chance.choice(LAST_NAMES)}"
    return BookingRecord(
        external_id=f"{number:06d}{chance.getrandbits(80):020x}",
        title=f"{client}: wedding at the lake",
        event_type="wedding",
        event_date=starts_at.date(),
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=6),
        all_day=False,
        status="confirmed",
        booked_at=START - timedelta(days=number % 200),
        client_name=client,
        client_email=f"client{number}@example.com",
        location=f"{number % 99} Lake Road, Springfield",
        notes=f"Edition {edition}. Second shooter, drone if the weather allows; call {client} the week before." * 2,
        url=f"https://www.google.com/calendar/event?eid={chance.getrandbits(128):032x}",
        series_id=None,
        source_updated_at=starts_at - timedelta(days=30),
    )


def connect(server: Server, studio_id: UUID) -> None:
    """The connection that all rows belong to; its id is the studio's."""
    superuser = server.connect(server.urls.superuser)
    superuser.run(
        "INSERT INTO platform_connection (id, studio_id, platform, status) VALUES (:id, :id, 'google', 'disabled')",
        id=studio_id,
    )
    superuser.close()


def _upsert(studio_id: UUID, pages: Pages) -> None:
    for page in pages:
        with transaction(studio_id) as tx:
            upsert(tx, "booking", studio_id, "google", page, connection_id=studio_id, account_id=studio_id)


@contextmanager
def copying(server: Server, studio_id: UUID) -> Iterator[Store]:
    """COPY into a temporary table that is created once, then one statement: plain pg8000 with its stream support."""
    connection = server.connect(server.urls.joint)
    names = ", ".join(FIELDS)
    connection.run(f"CREATE TEMP TABLE arriving ON COMMIT DELETE ROWS AS SELECT {names} FROM booking LIMIT 0")
    merge = f"""
        INSERT INTO booking (studio_id, connection_id, platform, {names})
        SELECT '{studio_id}', '{studio_id}', 'google', {names} FROM arriving
        ON CONFLICT ({", ".join(KEY)}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in CHANGED)}
    """

    def store(pages: Pages) -> None:
        for page in pages:
            connection.run("BEGIN")
            act_as(connection, studio_id, in_transaction=True)
            connection.run(f"COPY arriving ({names}) FROM STDIN WITH (FORMAT csv)", stream=[_as_csv(page)])
            connection.run(merge)
            connection.run("COMMIT")

    yield store
    connection.close()


def _as_csv(page: Sequence[BookingRecord]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(map(_cell, msgspec.structs.astuple(record)) for record in page)
    return buffer.getvalue().encode()


def _cell(value: Any) -> Any:
    """Lists, such as an event's guests, are JSON."""
    return msgspec.json.encode(value).decode() if isinstance(value, list) else value


@contextmanager
def _sqlalchemy(server: Server, studio_id: UUID, form: Form) -> Iterator[Store]:
    engine = create_engine(server.urls.joint.replace("postgresql://", "postgresql+pg8000://"))

    def store(pages: Pages) -> None:
        for page in pages:
            with engine.begin() as connection:
                act_as(connection.connection.dbapi_connection, studio_id, in_transaction=True)
                form(connection, [_as_dict(record, studio_id) for record in page])

    yield store
    engine.dispose()


def _many_values(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """One statement that lists every row."""
    connection.execute(_or_update(insert(Booking).values(rows)))


def _many_executions(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """`insertmanyvalues`, SQLAlchemy's own batching. RETURNING enables it for this driver."""
    connection.execute(_or_update(insert(Booking)).returning(Booking.id), rows).all()


def _or_update(statement: Insert) -> Insert:
    changes = {name: statement.excluded[name] for name in CHANGED}
    return statement.on_conflict_do_update(index_elements=KEY, set_=changes)


def _as_dict(record: BookingRecord, studio_id: UUID) -> dict[str, Any]:
    source = {"studio_id": studio_id, "connection_id": studio_id, "platform": "google"}
    return {**source, **msgspec.structs.asdict(record)}
