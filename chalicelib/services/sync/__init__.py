"""Runs: how they start, what they read and store, and what they leave out."""
