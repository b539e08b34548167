"""The only clock of the process. Leases and due times are judged by the database's clock, not this one."""

from datetime import UTC, datetime
from time import monotonic, perf_counter

__all__ = ["monotonic", "now", "perf_counter"]


def now() -> datetime:
    """The current moment, aware, in UTC."""
    return datetime.now(UTC)
