"""Meta's two formats for money, in the minor units of ISO 4217."""

import pytest

from chalicelib.platforms.meta.money import from_amount, from_units


@pytest.mark.parametrize(
    ("units", "currency", "minor"),
    [("1500", "EUR", 1500), ("1500", "JPY", 1500), ("1500", "HUF", 150_000), ("1500", "JOD", 15_000), ("1", "USD", 1)],
)
def test_a_budget_is_in_metas_own_units(units: str, currency: str, minor: int) -> None:
    assert from_units(units, currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.84", "EUR", 1284),
        ("0.1", "EUR", 10),
        ("1.005", "EUR", 101),
        ("1.0049", "EUR", 100),
        ("-0.5", "USD", -50),
        ("1180", "JPY", 1180),
        ("1180.00", "HUF", 118_000),
        ("3.1415", "KWD", 3142),
        ("999999999999999.99", "EUR", 99_999_999_999_999_999),
    ],
)
def test_spend_is_converted_exactly(amount: str, currency: str, minor: int) -> None:
    assert from_amount(amount, currency) == minor
