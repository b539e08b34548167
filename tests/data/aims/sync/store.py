"""Aims of the queries in `chalicelib/data/sync/store.py`."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import msgspec

from chalicelib.data.sync import store
from chalicelib.data.sync.tables import SYNCED
from tests.data import pages
from tests.data.aiming import Aim, AnyAim, Built

AIMS: dict[str, AnyAim] = {
    "REMEMBER_SEEN": Aim("sync_log", values={"external_ids": ["two"]}),
}
RECORDS = (
    pages.booking("one"),
    pages.campaign("one", name="intruder"),
    pages.ad("one"),
    pages.review("one"),
    pages.content("one", caption="intruder"),
    pages.metric("one"),
)
assert {pages.TABLE_OF[type(record)] for record in RECORDS} == {
    name for name, table in SYNCED.items() if not table.is_judged
}


def built() -> Iterator[Built]:
    for record, guarded in product(RECORDS, (False, True)):
        table = pages.TABLE_OF[type(record)]
        query = store._upsert_query(table, record.__struct_fields__, guarded)
        values = {"rows": msgspec.json.encode([record]).decode(), "fetched_at": datetime.max.replace(tzinfo=UTC)}
        yield Built(f"{store.__name__}._upsert_query", f"{table}, {guarded}", query, Aim(values=values))
    one = Aim("sync_log", values={"external_ids": ["one"]})
    unseen = replace(one, prepare="DELETE FROM sync_seen")
    for table in (name for name, synced in SYNCED.items() if synced.on_delete is not None):
        yield Built(f"{store.__name__}._counting", table, store._counting(table, "true"), one)
        yield Built(f"{store.__name__}._remove_query", table, store._remove_query(table), one)
        yield Built(f"{store.__name__}._sweep_query", table, store._sweep_query(table), one)
        yield Built(f"{store.__name__}.missing_query", table, store.missing_query(table), unseen)
