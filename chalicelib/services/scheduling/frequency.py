"""Frequencies of schedules: `hourly`, `daily`, `weekly`, `every N minutes|hours` or cron, and the next window."""

import hashlib
import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from chalicelib.errors import FieldProblem, InvalidInput
from chalicelib.services.scheduling.cron import Cron, parse_cron
from chalicelib.services.time_zones import zone_of

KNOWN = (
    "hourly, daily, weekly, every N minutes (5 to 1440), every N hours (1 to 168) or a cron expression with five fields"
)
PATTERN = re.compile(r"(hourly|daily|weekly)|every (\d{1,4}) (minutes|hours)", re.ASCII)
CRON = re.compile(r"@.*|[!-~]+( +[!-~]+){4,5}")
MINUTES = range(5, 1441)
HOURS = range(1, 169)
NAMED_INTERVALS = {"hourly": timedelta(hours=1)}
CALENDAR_DAYS = {"daily": 1, "weekly": 7}


class Frequency(msgspec.Struct, frozen=True):
    """Either a fixed interval, or a number of days at one local time of day.

    `phase` in [0, 1) is a schedule's own offset within that period, so that a fleet does not fire all at once.
    """

    interval: timedelta | None = None
    days: int = 0

    def next_after(self, moment: datetime, *, phase: float, time_zone: str) -> datetime:
        """The first window later than `moment`."""
        if self.interval is not None:
            return _next_interval(moment, int(self.interval.total_seconds()), phase)
        return _next_day(moment, self.days, phase, zone_of(time_zone))

    def windows_between(self, first: datetime, now: datetime, *, phase: float, time_zone: str) -> int:
        """How many windows after `first` have passed by `now`."""
        after_first = self.next_after(first, phase=phase, time_zone=time_zone)
        after_now = self.next_after(now, phase=phase, time_zone=time_zone)
        # Rounded, since days are not all 24 hours long
        return max(0, round((after_now - after_first) / (self.interval or timedelta(days=self.days))))


def _next_interval(moment: datetime, seconds: int, phase: float) -> datetime:
    offset = int(phase * seconds)
    steps = (moment.timestamp() - offset) // seconds + 1
    return datetime.fromtimestamp(steps * seconds + offset, UTC)


def _next_day(moment: datetime, days: int, phase: float, zone: ZoneInfo) -> datetime:
    """Counted on the local calendar: when clocks change, a day is 23 or 25 hours long."""
    day_of_cycle, seconds = divmod(int(phase * days * 86400), 86400)
    at = time(seconds // 3600, seconds // 60 % 60, seconds % 60)
    today = moment.astimezone(zone).date()
    first = today + timedelta(days=(day_of_cycle - today.toordinal()) % days)
    candidates = (datetime.combine(first + timedelta(days=n * days), at, zone) for n in range(2))
    return next(due for candidate in candidates if (due := candidate.astimezone(UTC)) > moment)


def parse_frequency(text: str) -> Frequency | Cron:
    """Raises InvalidInput naming the field."""
    words = text.strip().lower()
    if CRON.fullmatch(words):
        return parse_cron(words)
    match = PATTERN.fullmatch(words)
    if match is None:
        raise _invalid()
    name, number, unit = match.groups()
    if name in CALENDAR_DAYS:
        return Frequency(days=CALENDAR_DAYS[name])
    if name is not None:
        return Frequency(interval=NAMED_INTERVALS[name])
    if int(number) not in (MINUTES if unit == "minutes" else HOURS):
        raise _invalid()
    return Frequency(interval=timedelta(**{unit: int(number)}))


def phase_of(key: str) -> float:
    """A stable phase in [0, 1) for a schedule."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / 2**48


def _invalid() -> InvalidInput:
    return InvalidInput(fields=[FieldProblem("frequency", f"must be {KNOWN}")])
