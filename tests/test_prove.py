"""The comparison by which `make prove` judges: it must see what is lost, doubled or wrong."""

from datetime import date
from uuid import uuid4

import pytest

from dev.sandbox.google.accounts import Account, open_account
from prove.truth import Database, compare, expected_bookings, expected_inquiries


@pytest.fixture(scope="module")
def account() -> Account:
    opened = open_account("bulk-6", date(2026, 5, 4))
    assert opened is not None
    return opened


@pytest.fixture(scope="module")
def found(account: Account) -> Database:
    """What a database without a fault holds."""
    bookings = [(key, *row) for key, row in expected_bookings(account)[0].items()]
    return Database(uuid4(), bookings, [(key, *row) for key, row in expected_inquiries(account).items()])


def test_rows_that_agree_differ_in_nothing(account: Account, found: Database) -> None:
    difference = compare(account, found, ("bookings", "inquiries"))
    assert difference.is_none
    assert len(found.bookings) == len(found.inquiries) == 6


def test_a_missing_row_is_lost(account: Account, found: Database) -> None:
    short = Database(found.studio_id, found.bookings[1:], found.inquiries[2:])
    difference = compare(account, short, ("bookings", "inquiries"))
    assert (difference.lost, difference.duplicated, difference.wrong) == (3, 0, 0)


def test_a_record_under_two_names_is_duplicated(account: Account, found: Database) -> None:
    event_id = found.bookings[0][0].rpartition("/")[2]
    twice = [*found.bookings, (f"primary/{event_id}", *found.bookings[0][1:])]
    difference = compare(account, Database(found.studio_id, twice, []), ("bookings",))
    assert difference.duplicated == 1


def test_a_value_that_differs_is_wrong(account: Account, found: Database) -> None:
    changed = [(found.bookings[0][0], "Another title", *found.bookings[0][2:]), *found.bookings[1:]]
    difference = compare(account, Database(found.studio_id, changed, []), ("bookings",))
    assert (difference.lost, difference.duplicated, difference.wrong) == (0, 0, 1)
