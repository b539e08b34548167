"""Which accounts under a connection count: those selected by the studio, while the platform lists them.

The SQL is for statements on an account `a`.
"""

PRESENT = "a.selected AND a.gone_at IS NULL"
"""Accounts that are read, and whose records count."""
LEFT_OUT = f"ARRAY(SELECT a.id FROM connected_account AS a WHERE NOT ({PRESENT}))"
"""SQL for the accounts whose records do not count."""


def counts(row: str) -> str:
    """SQL for whether a record counts, by the accounts that hold it: not if all of them are deselected or gone."""
    return f"(cardinality({row}.account_ids) = 0 OR NOT {row}.account_ids <@ {LEFT_OUT})"
