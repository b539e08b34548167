"""Records through the whole worker, compared with other ways to load them into the same PostgreSQL."""

import gc
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks import studios
from benchmarks.competitors import Competitor, Material, Worker, all_there_are
from benchmarks.profiler import Profiler, Watched
from benchmarks.server import Server
from benchmarks.source import Source
from benchmarks.table import Row, Table
from chalicelib.data.postgres.driver import PgConnection, Statement
from chalicelib.data.sync import store
from chalicelib.platforms.core import client, items, transport
from chalicelib.platforms.core.accounts import ConnectedAccount
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.records import BookingRecord
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.google.calendar import BASE_URL, LIST_PARAMS, CalendarCursor, fetch_bookings
from chalicelib.secret import Secret
from dev.sandbox import issue_token

LOADS = ("first load", "second load")
AIMS = {"COPY + merge": 0.5, "dlt": 3.3, "target-postgres": 7.0}
SLOW = ("target-postgres, plain",)
"""Takes part in the first round only."""
NOTES = (
    "The worker reads {count:,} events from the source over HTTP, 1,000 per page, maps them and commits each page "
    "with its cursor and counters. First load: the tables are empty. Second load: every record has changed; the worker "
    "reads the platform's list of changes, the others read the whole list again. dlt reads the pages of the "
    "same source, as dicts or as Arrow tables; target-postgres reads Singer messages from a file, with its defaults "
    "except upsert (plain) and with COPY and without validation and metadata columns (tuned); COPY + merge has its "
    "rows in memory. dlt and target-postgres store into tables with no index but the key and without policies, as "
    "superuser. Starting their processes is not counted.",
    "The source runs in a separate process and serves every page from memory.",
)
STATEMENTS = (
    ("INSERT INTO booking", "PostgreSQL: the page's rows"),
    ("INSERT INTO sync_seen", "PostgreSQL: ids seen, for the sweep"),
    ("EXCEPT", "PostgreSQL: the sweep"),
    ("records_seen", "PostgreSQL: cursor and counters"),
)


def measure(quick: bool, server: Server) -> list[Table]:
    count, rounds = (2_000, 1) if quick else (30_000, 3)
    with ExitStack() as stack:
        running = stack.enter_context(studios.at_work())
        superuser = server.connect(server.urls.superuser)
        stack.callback(superuser.close)
        superuser.run("GRANT TEMPORARY ON DATABASE ansel TO ansel_joint")  # COPY needs a target table
        race = Race(server, running, f"bulk-{count}", superuser)
        competitors = stack.enter_context(all_there_are(server, race.material, quick=quick))
        for turn in range(rounds):
            race.run(turn, {name: each for name, each in competitors.items() if turn == 0 or name not in SLOW})
        profiles = race.profile()
    return [_rates(competitors, race.taken, count, rounds), _profile(profiles, count)]


class Race:
    """Rounds of a first and a second load. Every competitor loads each edition of the source."""

    def __init__(self, server: Server, running: Source, account: str, superuser: Any) -> None:
        token = issue_token(account, lifetime=studios.LIFETIME).access_token
        self._calendar = ConnectedAccount(external_id=f"{account}@studio.example")
        path = f"/calendars/{quote(self._calendar.external_id or '', safe='')}/events?{urlencode(LIST_PARAMS)}"
        url = f"{running.url}/{BASE_URL.removeprefix('https://')}{path}"
        self.material = Material(account, url, token)
        self.taken: dict[str, dict[str, list[float]]] = {load: {} for load in LOADS}
        self._server, self._source, self._superuser = server, running, superuser
        self._changes: CalendarCursor | None = None
        self._edition = 0
        self._read_all()

    def run(self, turn: int, competitors: Mapping[str, Competitor | None]) -> None:
        self._superuser.run("TRUNCATE studio CASCADE")
        there = {name: each for name, each in competitors.items() if each is not None}
        names = [*there][turn % len(there) :] + [*there][: turn % len(there)]
        for name in names:
            there[name].begin()
        for load in LOADS:
            if load == LOADS[1]:
                self._change_all()
            for name in names:
                gc.collect()
                self.taken[load].setdefault(name, []).append(there[name].load())
                self._check(there[name])

    def profile(self) -> dict[str, tuple[Profiler, float]]:
        """The worker once more, profiled: seconds per stage, and in total."""
        self._superuser.run("TRUNCATE studio CASCADE")
        worker = Worker(self._server, self.material)
        worker.begin()
        found = {}
        for load in LOADS:
            if load == LOADS[1]:
                self._change_all()
            watch = Profiler()
            with watch.watching(WATCHED):
                found[load] = (watch, worker.load())
        return found

    def _change_all(self) -> None:
        self._edition += 1
        events = sum(map(len, self.material.pages))
        self._source.change(self.material.account, events=events, edition=self._edition)
        self._read(self._changes)
        self._read_all()

    def _read_all(self) -> None:
        self.material.pages, self._changes = self._read(None)

    def _read(self, cursor: CalendarCursor | None) -> tuple[list[Sequence[BookingRecord]], CalendarCursor | None]:
        """Reads as the worker will, so that from here on the source has these pages in memory."""
        asking = Client(GOOGLE, Secret(self.material.token), sandbox_url=self._source.url)
        asking.account = self._calendar
        pages: list[Sequence[BookingRecord]] = []
        while True:
            page = fetch_bookings(asking, cursor)
            pages.append([record for record in page.records if isinstance(record, BookingRecord)])
            cursor = page.cursor
            if page.last:
                return pages, cursor

    def _check(self, competitor: Competitor) -> None:
        """Being fast only counts if everything was stored."""
        expected = [sum(map(len, self.material.pages)), self.material.pages[0][0].location]
        database, _, table = competitor.table.partition(".")
        connection = self._server.connect(self._server.urls.superuser.rpartition("/")[0] + f"/{database}")
        try:
            found = connection.run(f"SELECT count(*), location FROM {table} GROUP BY location")
        finally:
            connection.close()
        assert found == [expected], (competitor.table, found)


def _statement(connection: PgConnection, statements: Sequence[Statement], **kwargs: Any) -> str:
    """After the first of those that travel together."""
    sql = statements[0].sql
    return next((name for words, name in STATEMENTS if words in sql), "PostgreSQL: lease, tokens, others")


WATCHED = (
    Watched(transport.Transport, "send", "HTTP: request, response read"),
    Watched(client, "decode", "decode: JSON to a page"),
    Watched(items.Items, "read", "decode and map: events to bookings"),
    Watched(store, "upsert", "encode: bookings to JSON"),
    Watched(PgConnection, "pipeline_all", _statement),
    Watched(PgConnection, "execute_simple", "PostgreSQL: commit"),
)


def _rates(
    competitors: Mapping[str, object], taken: Mapping[str, Mapping[str, list[float]]], count: int, rounds: int
) -> Table:
    rows: list[Row] = []
    for name in competitors:
        aim = next((aim for start, aim in AIMS.items() if name.startswith(start)), None)
        if name not in taken[LOADS[0]]:
            rows.append((f"{name}: not installed", *([None] * 2 * len(LOADS)), "", aim))
            continue
        rates = (round(count / median(of[name])) for of in taken.values())
        ratios = [_ratios(of[name], of["worker"]) for of in taken.values()]
        label = name if len(ratios[0]) == rounds else f"{name} ({len(ratios[0])} round)"
        spread = "; ".join(f"{min(each):.2f} to {max(each):.2f}" for each in ratios)
        rows.append((label, *rates, *map(median, ratios), spread, aim))
    title = f"{count:,} bookings, records per second (medians of {rounds}; load average {os.getloadavg()[0]:.1f})"
    columns = ("loaded by", *LOADS, *(f"worker, times, {load}" for load in LOADS), "min to max", "aim")
    return Table(title, columns, rows, [note.format(count=count) for note in NOTES])


def _ratios(competitors: Sequence[float], workers: Sequence[float]) -> list[float]:
    """Round by round, because the machine's other load differs more between rounds than within one."""
    return [seconds / worker for seconds, worker in zip(competitors, workers, strict=False)]


def _profile(profiles: Mapping[str, tuple[Profiler, float]], count: int) -> Table:
    stages = dict.fromkeys(name for watch, _ in profiles.values() for name in watch.stages)
    rows: list[Row] = []
    for name in stages:
        cells: list[float | None] = []
        for watch, total in profiles.values():
            stage = watch.stages.get(name)
            cells += [100 * stage.wall / total, 100 * stage.cpu / total] if stage else [None, None]
        rows.append((name, *cells))
    rows.sort(key=lambda row: -float(row[1] or 0))
    rest = [
        100 * (1 - sum(stage.wall for stage in watch.stages.values()) / total) for watch, total in profiles.values()
    ]
    rows.append(("the rest", rest[0], None, rest[1], None))
    rows.append(
        ("microseconds per record", *(cell for _, total in profiles.values() for cell in (total / count * 1e6, None)))
    )
    columns = ("stage", *(column for load in LOADS for column in (f"{load}, % of time", f"{load}, % own CPU")))
    note = (
        "Own CPU is the worker's CPU time; during the rest of a stage it waits for the source or the server. A stage "
        "excludes the stages it calls."
    )
    return Table("Where the worker's time goes", columns, rows, [note])
