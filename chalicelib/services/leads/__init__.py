"""Leads: which conversations are one, and which of them wait for an answer (docs/leads.md)."""
