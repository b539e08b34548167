"""Aims of the queries in `chalicelib/data/metrics.py`."""

from datetime import UTC, datetime

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "TALLY": Aim(),
    "TALLY_AS_OF": Aim(values={"as_of": datetime(2026, 6, 1, tzinfo=UTC)}),
}
