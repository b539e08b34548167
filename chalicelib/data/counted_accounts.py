"""Which accounts under a connection count: those that a studio selected, while the platform lists them.

The SQL is for statements on an account `a`.
"""

PRESENT = "a.selected AND a.gone_at IS NULL"
"""Accounts that are read, and whose records count."""
LEFT_OUT = f"ARRAY(SELECT a.id FROM connected_account AS a WHERE NOT ({PRESENT}))"
"""SQL for the accounts whose records count nowhere."""


def counts(row: str) -> str:
    """SQL for whether a record counts that accounts hold: not if each of them is deselected or gone."""
    return f"(cardinality({row}.account_ids) = 0 OR NOT {row}.account_ids <@ {LEFT_OUT})"
