"""Runs: starting, reading, storing, and records left out."""
