"""Aims of the queries in `chalicelib/data/studio_health.py`."""

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "GET_RUNS_HEALTH": Aim(),
    "LIST_DATA_KEY_HEALTH": Aim(),
    "COUNT_QUARANTINED": Aim(),
    "COUNT_ROWS": Aim(),
}
