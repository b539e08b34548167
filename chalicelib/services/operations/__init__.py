"""Operators' commands and the maintenance job, across studios."""
