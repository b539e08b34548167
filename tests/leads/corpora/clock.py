"""The fixed days of a corpus, and when people write."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

DAYS = 90


@dataclass(frozen=True)
class Window:
    first_day: date
    zone: ZoneInfo

    @classmethod
    def of(cls, studio: dict[str, Any]) -> "Window":
        return cls(date.fromisoformat(studio["firstDay"]), ZoneInfo(studio["timeZone"]))

    @property
    def end(self) -> datetime:
        return datetime.combine(self.first_day + timedelta(days=DAYS), time.min, self.zone).astimezone(UTC)

    def at(self, day: int, seconds: int) -> datetime:
        midnight = datetime.combine(self.first_day + timedelta(days=day), time.min, self.zone)
        return midnight.astimezone(UTC) + timedelta(seconds=seconds)

    def some_moment(self, rng: Random, day: int | None = None) -> datetime:
        """In waking hours, more in the evening."""
        hours = rng.choice((7, 8, 9, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 20, 21, 21, 22, 23))
        chosen = rng.randrange(DAYS) if day is None else day
        return self.at(chosen, hours * 3600 + rng.randrange(3600))

    def awake(self, at: datetime) -> datetime:
        """The next morning instead of the night."""
        hour = at.astimezone(self.zone).hour
        return at + timedelta(hours=7) if 1 <= hour < 6 else at


def later(at: datetime, delay: timedelta | None, rng: Random, hours: tuple[int, int]) -> datetime:
    """After the delay that the seed gives, give or take a fifth, else after a usual one."""
    if delay is not None:
        return at + timedelta(seconds=int(delay.total_seconds() * rng.uniform(0.8, 1.2)))
    return at + timedelta(seconds=rng.randrange(hours[0] * 3600, hours[1] * 3600))
