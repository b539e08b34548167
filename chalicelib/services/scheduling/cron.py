"""Cron expressions, read in a studio's time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import count, pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from chalicelib.errors import FieldProblem, InvalidInput
from chalicelib.services.time_zones import zone_of

if TYPE_CHECKING:
    from cronsim import CronSim

SPACING = timedelta(minutes=5)
DAY = timedelta(days=1)
COUNTED = 366 * DAY
"""How far back windows are counted, day by day: a schedule that is years behind must not delay the tick."""

SEARCHED_FROM = datetime(2000, 1, 1, tzinfo=UTC)
"""CronSim looks 50 years ahead: the rarest date there is, 29 February on one weekday, comes within 40."""


class Cron(msgspec.Struct, frozen=True):
    """Windows at the same minutes of each matching day.

    A local time that the clocks skip runs at the first existing one after it, and a repeated one runs once; but a
    schedule for every hour also runs in both repeated hours.
    """

    calendar: CronSim
    times: tuple[timedelta, ...]
    every_hour: bool

    def next_after(self, moment: datetime, *, phase: float, time_zone: str) -> datetime:
        """The first window later than `moment`; the studio named the minute, so there is no phase."""
        zone = zone_of(time_zone)
        today = moment.astimezone(zone).date()
        days = (today + n * DAY for n in count())
        return next(due for day in days for due in self._windows(day, zone) if due > moment)

    def windows_between(self, first: datetime, now: datetime, *, phase: float, time_zone: str) -> int:
        """How many windows after `first` have passed by `now`, those of the last 366 days."""
        zone = zone_of(time_zone)
        first = max(first, now - COUNTED)
        start, end = first.astimezone(zone).date(), now.astimezone(zone).date()
        whole, passed = 0, set[datetime]()
        for day in (start + n * DAY for n in range((end - start).days + 1)):
            if start < day < end and self._matches(day) and _keeps_its_clocks(day, zone):
                whole += len(self.times)
            else:
                passed.update(due for due in self._windows(day, zone) if first < due <= now)
        return whole + len(passed)

    def _windows(self, day: date, zone: ZoneInfo) -> list[datetime]:
        if not self._matches(day):
            return []
        if _keeps_its_clocks(day, zone):
            midnight = datetime.combine(day, time(), zone).astimezone(UTC)
            return [midnight + at for at in self.times]
        walls = [datetime.combine(day, time(), zone) + at for at in self.times]
        folds = (0, 1) if self.every_hour else (0,)
        return sorted({_first_shown(wall.replace(fold=fold)) for wall in walls for fold in folds})

    def _matches(self, day: date) -> bool:
        return day.month in self.calendar.months and self.calendar.match_day(day)


def _keeps_its_clocks(day: date, zone: ZoneInfo) -> bool:
    """Whether the clocks do not change on this day or in an adjacent night: a skipped time may move past midnight."""
    yesterday, tomorrow = (datetime.combine(day + n * DAY, time(12), zone) for n in (-1, 1))
    return yesterday.utcoffset() == tomorrow.utcoffset()


def _first_shown(wall: datetime) -> datetime:
    """In UTC; a local time that the clocks skip moves to the first existing one."""
    while (due := wall.astimezone(UTC)).astimezone(wall.tzinfo) != wall:
        wall += timedelta(minutes=1)
    return due


@lru_cache(maxsize=100)  # many studios choose the same times
def parse_cron(text: str) -> Cron:
    """Raises InvalidInput naming the field, also for more than one run per five minutes."""
    if text.startswith("@"):
        raise _invalid("must not be a cron nickname: use hourly, daily, weekly or the five fields")
    if len(text.split()) != 5:
        raise _invalid("must be a cron expression with five fields, minute to day of week, without seconds")
    from cronsim import CronSim, CronSimError  # only a studio with a cron schedule pays for it

    try:
        calendar = CronSim(text, SEARCHED_FROM)
    except CronSimError as error:
        raise _invalid(f"must be a cron expression without a {str(error).lower()}") from error
    if next(calendar, None) is None:
        raise _invalid("never matches a real date")
    times = tuple(timedelta(hours=h, minutes=m) for h in sorted(calendar.hours) for m in sorted(calendar.minutes))
    # Includes the next day's first time, as if that day matched too
    if any(after - before < SPACING for before, after in pairwise((*times, times[0] + DAY))):
        raise _invalid("must leave at least five minutes between runs")
    return Cron(calendar, times, every_hour=len(calendar.hours) == 24)


def _invalid(problem: str) -> InvalidInput:
    return InvalidInput(fields=[FieldProblem("frequency", problem)])
