"""Aims of the queries in `chalicelib/data/data_keys.py`."""

from tests.data.aiming import CROSS_TENANT, Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "INSERT_DATA_KEY": Aim(prepare="UPDATE data_key SET retired_at = now()"),
    "LIST_DATA_KEYS": Aim(),
    "FIND_STALE_KEY": Aim("data_key", values={"wanted": ["other"]}),
    "REWRAP_DATA_KEY": Aim("data_key", values={"replaced": b"victim"}),
    "RETIRE_DATA_KEY": Aim("data_key"),
    "FIND_KEYS_TO_REWRAP": CROSS_TENANT,
    "FIND_STUDIOS_TO_REKEY": CROSS_TENANT,
    "FIND_KEY_COUNTS": CROSS_TENANT,
}
