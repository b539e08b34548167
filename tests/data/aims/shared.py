"""Shared by the aims of several modules."""

READ_LATER = "UPDATE account_position SET read_started_at = 'infinity'"
