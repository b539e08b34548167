"""Statements of the sync engine: schedules, runs, the accounts they visit, and the records they store."""
