"""Aims of the queries in `chalicelib/data/sync/skipped.py`."""

from collections.abc import Iterator

from chalicelib.data.sync import skipped
from chalicelib.data.sync.tables import SYNCED
from tests.data.aiming import Aim, AnyAim, Built
from tests.data.aims.shared import READ_LATER

AIMS: dict[str, AnyAim] = {
    "CLEAR_SKIPPED": Aim(values={"external_ids": '["one"]'}),
    "CLEAR_UNSEEN_SKIPPED": Aim("sync_log", prepare=READ_LATER),
    "COUNT_SKIPPED": Aim(),
    "KEEP_ADDRESS_KEY": Aim(
        "studio", values={"address_key": b"intruder", "lost": None}, prepare="UPDATE studio SET address_key = NULL"
    ),
}


def built() -> Iterator[Built]:
    aim = Aim(values={"rows": '[{"external_id": "one", "reason": "intruder"}]'})
    for table in SYNCED:
        yield Built(f"{skipped.__name__}.store_skipped_query", table, skipped.store_skipped_query(table), aim)
