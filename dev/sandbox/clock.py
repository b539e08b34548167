"""The platforms' time: the machine's, or starting at noon of a fixed day."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from time import monotonic

Clock = Callable[[], datetime]


def machine_time() -> datetime:
    return datetime.now(UTC)


def clock_of(today: date | None) -> Clock:
    if today is None:
        return machine_time
    noon, opened = datetime.combine(today, time(12), UTC), monotonic()
    return lambda: noon + timedelta(seconds=monotonic() - opened)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
