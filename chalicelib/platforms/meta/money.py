"""Meta's amounts in minor units of ISO 4217: budgets come in Meta's own units, spend in whole currency units."""

from decimal import ROUND_HALF_UP, Decimal

# Meta's `offset` is 1 for these and 100 for all others: developers.facebook.com/docs/marketing-api/currencies
WHOLE_UNITS = frozenset({"CLP", "COP", "CRC", "HUF", "ISK", "IDR", "JPY", "KRW", "PYG", "TWD", "VND"})

# ISO 4217 has two decimals for all others. Meta differs for the forint, for example.
DECIMALS = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


def from_units(units: str, currency: str) -> int:
    """A budget: hundredths, or whole units for currencies that Meta counts in whole units."""
    return from_amount(str(Decimal(units) / (1 if currency in WHOLE_UNITS else 100)), currency)


def from_amount(amount: str, currency: str) -> int:
    """An amount spent, e.g. `12.84`; a fraction below the minor unit is rounded."""
    return int(Decimal(amount).scaleb(DECIMALS.get(currency, 2)).quantize(Decimal(1), ROUND_HALF_UP))
