"""Aims of the queries in `chalicelib/data/sync/set_aside.py`."""

from tests.data.aiming import Aim, AnyAim
from tests.data.aims.shared import READ_LATER
from tests.data.rows import id_of

SET_ASIDE = """[{
    "id": "0190c1a2-0000-7000-8000-000000000001", "table_name": "booking", "external_id": "two",
    "field": "start", "reason": "x"
}]"""
RETRIED = f'[{{"id": "{id_of("victim", "set_aside")}", "field": "intruder", "reason": "intruder"}}]'
AIMS: dict[str, AnyAim] = {
    "STORE_SET_ASIDE": Aim(values={"rows": SET_ASIDE}),
    "CLEAR_SET_ASIDE": Aim(values={"external_ids": '["one"]'}),
    "CLEAR_UNSEEN_SET_ASIDE": Aim("sync_log", prepare=READ_LATER),
    "LIST_SET_ASIDE": Aim(),
    "LIST_KEPT_RECORDS": Aim(),
    "NOTE_RETRIED": Aim("set_aside", values={"rows": RETRIED}),
}
