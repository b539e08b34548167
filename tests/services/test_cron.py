"""Cron expressions: compared with a clock stepped minute by minute, including changes of clocks."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import InvalidInput
from chalicelib.services.scheduling.cron import COUNTED
from chalicelib.services.scheduling.frequency import parse_frequency

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WATCHED = 2 * DAY
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # clocks change by half an hour
    "Africa/Cairo",  # clocks change at midnight
    "America/Havana",  # clocks fall back over midnight
    "America/Scoresbysund",  # clocks skip the hour before midnight
)


def changes(zone: str) -> list[datetime]:
    """The days of three years in which a zone's clocks change."""
    days = [datetime(2025, 1, 1, 12, tzinfo=UTC) + n * DAY for n in range(3 * 365)]
    offsets = [(day, day.astimezone(ZoneInfo(zone)).utcoffset()) for day in days]
    return [day for (day, before), (_, after) in pairwise(offsets) if before != after]


CHANGES = [(zone, day) for zone in ZONES for day in changes(zone)]


@dataclass(frozen=True)
class Fields:
    """A cron expression and its fields."""

    minutes: list[int]
    hours: list[int] | None
    weekdays: list[int] | None

    def __str__(self) -> str:
        fields = (self.minutes, self.hours, None, None, self.weekdays)
        return " ".join("*" if field is None else ",".join(map(str, field)) for field in fields)

    @property
    def every_hour(self) -> bool:
        """A list of all hours means the same as `*`."""
        return self.hours is None or len(self.hours) == 24

    def match(self, wall: datetime) -> bool:
        return (
            wall.minute in self.minutes
            and (self.hours is None or wall.hour in self.hours)
            and (self.weekdays is None or wall.isoweekday() % 7 in self.weekdays)
        )

    def watched(self, start: datetime, zone: str) -> list[datetime]:
        """Every moment after `start` at which local time in the zone matches."""
        moments, before = [], start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        for n in range(1, WATCHED // MINUTE + 1):
            due = start + n * MINUTE
            local_time = due.astimezone(ZoneInfo(zone))
            wall = local_time.replace(tzinfo=None)
            skipped = [before + m * MINUTE for m in range(1, (wall - before) // MINUTE)]
            matches = self.match(wall) and (local_time.fold == 0 or self.every_hour)
            if matches or any(map(self.match, skipped)):
                moments.append(due)
            before = wall
        return moments


def some_of(values: range, *, most: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(sorted)


fields = st.builds(
    Fields,
    minutes=some_of(range(0, 60, 5), most=12) | st.integers(0, 59).map(lambda minute: [minute]),
    hours=st.none() | some_of(range(24), most=24) | some_of(range(4), most=4),
    weekdays=st.none() | some_of(range(7), most=7),
)
any_day = st.timedeltas(timedelta(), timedelta(days=4 * 365)).map(
    lambda since: datetime(2024, 1, 1, tzinfo=UTC) + since
)
near_a_change = st.sampled_from(CHANGES) | st.tuples(st.sampled_from(ZONES), any_day)


def windows(text: str, start: datetime, zone: str, *, until: datetime) -> list[datetime]:
    cron, moments = parse_frequency(text), [start]
    while moments[-1] <= until:
        moments.append(cron.next_after(moments[-1], phase=0.5, time_zone=zone))
        assert moments[-1] > moments[-2]
    return moments[1:-1]


def local(text: str, start: datetime, zone: str, days: int) -> list[str]:
    moments = windows(text, start, zone, until=start + days * DAY)
    return [due.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes") for due in moments]


@settings(max_examples=30)
@given(fields, near_a_change, st.integers(0, 24 * 60 - 1), st.integers(0, 59))
def test_the_windows_are_the_moments_at_which_local_time_matches(
    fields: Fields, near: tuple[str, datetime], minutes: int, seconds: int
) -> None:
    zone, day = near
    watch_from = day.replace(second=0, microsecond=0) - minutes * MINUTE
    watched = fields.watched(watch_from, zone)
    start, end = watch_from + timedelta(seconds=seconds), watch_from + WATCHED
    assert windows(str(fields), start, zone, until=end) == watched
    assert parse_frequency(str(fields)).windows_between(start, end, phase=0.5, time_zone=zone) == len(watched)


@pytest.mark.parametrize(
    ("zone", "text", "local_times"),
    [
        ("Europe/Berlin", "30 2 * * *", ["03-28T02:30+01:00", "03-29T03:00+02:00", "03-30T02:30+02:00"]),
        ("Europe/Berlin", "*/30 2 29 3 *", ["03-29T03:00+02:00"]),
        ("America/New_York", "30 2 * * SUN", ["03-08T03:00-04:00"]),
        ("Australia/Lord_Howe", "5 2 4 10 *", ["10-04T02:30+11:00"]),
        ("America/Scoresbysund", "30 23 28 3 *", ["03-29T00:00-01:00"]),
        ("America/Scoresbysund", "0 0,23 28-29 3 *", ["03-28T00:00-02:00", "03-29T00:00-01:00", "03-29T23:00-01:00"]),
    ],
)
def test_a_skipped_time_runs_at_the_first_moment_after_the_gap(zone: str, text: str, local_times: list[str]) -> None:
    start = datetime.fromisoformat(f"2026-{local_times[0]}").astimezone(UTC) - 6 * HOUR
    assert local(text, start, zone, 3)[: len(local_times)] == [f"2026-{moment}" for moment in local_times]


@pytest.mark.parametrize(
    ("zone", "text", "local_times"),
    [
        ("Europe/Berlin", "30 2 * * *", ["10-25T02:30+02:00", "10-26T02:30+01:00"]),
        ("Europe/Berlin", "*/30 2 * * *", ["10-25T02:00+02:00", "10-25T02:30+02:00", "10-26T02:00+01:00"]),
        ("America/New_York", "30 1 * * *", ["11-01T01:30-04:00", "11-02T01:30-05:00"]),
        ("Australia/Lord_Howe", "45 1 * * *", ["04-05T01:45+11:00", "04-06T01:45+10:30"]),
    ],
)
def test_a_repeated_time_runs_once(zone: str, text: str, local_times: list[str]) -> None:
    start = datetime.fromisoformat(f"2026-{local_times[0]}").astimezone(UTC) - 2 * HOUR
    assert local(text, start, zone, 2)[: len(local_times)] == [f"2026-{moment}" for moment in local_times]


def test_an_hourly_expression_runs_in_both_repeated_hours() -> None:
    moments = windows(
        "0 * * * *", datetime(2026, 10, 24, tzinfo=UTC), "Europe/Berlin", until=datetime(2026, 10, 26, tzinfo=UTC)
    )
    assert {after - before for before, after in pairwise(moments)} == {HOUR}


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("0 7 * * 1-5", [1, 2, 3, 4, 5, 8, 9, 10, 11, 12]),
        ("0 7 * * mon,Fri", [1, 5, 8, 12]),
        ("0 7 * * 7", [7, 14]),
        ("0 7 */5 * *", [1, 6, 11]),
        ("0 7 3 jun *", [3]),
        ("0 7 3 7 *", []),
        ("0 7 3 * 2", [2, 3, 9]),  # a date and a weekday: either, as cron has it
        ("0 7 * * 1#2", [8]),
    ],
)
def test_day_and_weekday_combine_as_in_cron(text: str, days: list[int]) -> None:
    """June 2026 begins on a Monday."""
    moments = windows(text, datetime(2026, 6, 1, tzinfo=UTC), "UTC", until=datetime(2026, 6, 14, 23, tzinfo=UTC))
    assert [due.day for due in moments] == days
    assert [due.time().isoformat() for due in moments] == ["07:00:00"] * len(days)


def test_l_is_the_last_day_of_each_month() -> None:
    moments = windows("0 7 L * *", datetime(2028, 1, 1, tzinfo=UTC), "UTC", until=datetime(2028, 4, 1, tzinfo=UTC))
    assert [(due.month, due.day) for due in moments] == [(1, 31), (2, 29), (3, 31)]


def test_the_rarest_possible_date_is_found() -> None:
    due = parse_frequency("0 0 29 2 */7").next_after(datetime(2088, 3, 1, tzinfo=UTC), phase=0, time_zone="UTC")
    assert due == datetime(2128, 2, 29, tzinfo=UTC)


def test_the_phase_of_a_schedule_does_not_move_a_cron_expression() -> None:
    cron, moment = parse_frequency("0 7 * * *"), datetime(2026, 6, 1, tzinfo=UTC)
    dues = {cron.next_after(moment, phase=phase, time_zone="Europe/Berlin") for phase in (0, 0.3, 0.999)}
    assert dues == {datetime(2026, 6, 1, 5, tzinfo=UTC)}


@pytest.mark.parametrize("text", ["0 7 * * 1-5", "*/30 * * * *", "*/20 0-3 * * 0"])
def test_windows_of_a_long_pause_are_counted_across_clock_changes(text: str) -> None:
    start, end = datetime(2026, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 12, 4, 5, 6, tzinfo=UTC)
    for zone in ("Europe/Berlin", "Australia/Lord_Howe"):
        passed = parse_frequency(text).windows_between(start, end, phase=0, time_zone=zone)
        assert passed == len(windows(text, start, zone, until=end))


def test_only_the_last_year_of_a_long_pause_is_counted() -> None:
    cron, now = parse_frequency("*/5 * * * *"), datetime(2026, 6, 1, tzinfo=UTC)
    passed = cron.windows_between(datetime(1, 1, 2, tzinfo=UTC), now, phase=0, time_zone="UTC")
    assert passed == COUNTED // timedelta(minutes=5)


@pytest.mark.parametrize(
    "text",
    ["*/5 * * * *", "2-57/5 * * * *", "0,5 8-9 * * *", "58 * * * *", "2,58 9 * * *", "2,58 8,10 * * *", "59 23 * * *"],
)
def test_five_minutes_between_runs_are_accepted(text: str) -> None:
    parse_frequency(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("* * * * *", "must leave at least five minutes"),
        ("*/4 * * * *", "must leave at least five minutes"),
        ("0,4 7 * * *", "must leave at least five minutes"),
        ("2,58 8,9 * * *", "must leave at least five minutes"),
        ("2,58 0,23 * * *", "must leave at least five minutes"),
        ("*/7 * * * *", "must leave at least five minutes"),  # from 56 to 0
        ("61 * * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 0 31 4 *", "bad day-of-month"),
        ("0 0 ? * *", "bad day-of-month"),
        ("0 0 * 13 *", "bad month"),
        ("0 0 * * 8", "bad day-of-week"),
        ("0 0 * * \u0661", "five fields"),
        ("0 0 * */13 1L,", "bad day-of-week"),
        ("0 0 */20 * 1L", "never matches"),
        ("0 0 7 * * *", "without seconds"),
        ("0 7 * *", "five fields"),
        ("0 7 * * * * *", "five fields"),
        ("0\n7 * * *", "five fields"),
        ("@daily", "nickname"),
        ("@reboot", "nickname"),
        ("@", "nickname"),
    ],
)
def test_an_invalid_expression_is_rejected_with_field_and_reason(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_frequency(text)
    (error,) = caught.value.fields
    assert error.field == "frequency"
    assert problem in error.problem


@given(st.lists(st.text("0123456789*/,-LW#@? \u00b2", min_size=1, max_size=6), min_size=4, max_size=7).map(" ".join))
def test_any_text_like_a_cron_expression_is_valid_or_invalid_input(text: str) -> None:
    try:
        frequency = parse_frequency(text)
    except InvalidInput:
        return
    moment = datetime(2026, 6, 1, tzinfo=UTC)
    assert frequency.next_after(moment, phase=0, time_zone="UTC") > moment
