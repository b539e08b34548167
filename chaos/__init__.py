"""Tests the sync engine under faults: real worker processes, a real PostgreSQL and queue, platforms that misbehave."""
