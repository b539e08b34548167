"""Frequencies: when a stream is due next, including changes of the studio's clocks."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.errors import InvalidInput
from chalicelib.services.scheduling.frequency import Frequency, parse_frequency, phase_of

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Pacific/Auckland",
    "Africa/Cairo",  # clocks change at midnight, so that some days begin at one
    "America/Havana",  # clocks fall back over midnight, so that some midnights come twice
    "Australia/Lord_Howe",  # clocks change by half an hour
)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

FIRST = datetime(2024, 1, 1, tzinfo=UTC)

moments = st.timedeltas(timedelta(), timedelta(days=4 * 365)).map(lambda since: FIRST + since)
phases = st.floats(0, 1, exclude_max=True)
zones = st.sampled_from(ZONES)
intervals = st.one_of(
    st.integers(5, 1440).map(lambda n: f"every {n} minutes"),
    st.integers(1, 168).map(lambda n: f"every {n} hours"),
    st.just("hourly"),
)
calendar = st.sampled_from(["daily", "weekly"])
frequencies = st.one_of(intervals, calendar)
crons = st.sampled_from(
    ["*/5 * * * *", "0 7 * * 1-5", "30 2 * * *", "*/20 0-3 * * 0", "15 1,23 1,L * *", "10 */6 * 3,10 *"]
)
every_kind = st.one_of(frequencies, crons)


def named(text: str) -> Frequency:
    """A frequency that is not a cron expression."""
    frequency = parse_frequency(text)
    assert isinstance(frequency, Frequency)
    return frequency


def period(frequency: Frequency) -> timedelta:
    return frequency.interval or timedelta(days=frequency.days)


def windows(text: str, start: datetime, phase: float, zone: str, count: int) -> list[datetime]:
    """The next windows, each computed at the moment of the previous one."""
    frequency, moments = parse_frequency(text), [start]
    for _ in range(count):
        moments.append(frequency.next_after(moments[-1], phase=phase, time_zone=zone))
    return moments[1:]


@given(frequencies, moments, phases, zones)
def test_the_next_window_is_later_but_within_one_period(text: str, moment: datetime, phase: float, zone: str) -> None:
    frequency = named(text)
    due = frequency.next_after(moment, phase=phase, time_zone=zone)
    longer = timedelta() if frequency.interval else HOUR  # a day has 25 hours where clocks fall back
    assert moment < due <= moment + period(frequency) + longer
    assert due.utcoffset() == timedelta()


@given(every_kind, moments, phases, zones, st.floats(0, 1))
def test_no_window_is_skipped(text: str, moment: datetime, phase: float, zone: str, part: float) -> None:
    """Any moment before the next window has the same next window."""
    frequency = parse_frequency(text)
    due = frequency.next_after(moment, phase=phase, time_zone=zone)
    between = moment + part * (due - moment)
    assume(between < due)
    assert frequency.next_after(between, phase=phase, time_zone=zone) == due


@given(intervals, moments, phases, zones)
def test_windows_of_an_interval_are_equally_spaced(text: str, moment: datetime, phase: float, zone: str) -> None:
    moments = windows(text, moment, phase, zone, 5)
    steps = {after - before for before, after in pairwise(moments)}
    assert steps == {named(text).interval}


@given(intervals, moments, phases)
def test_an_interval_does_not_depend_on_the_time_zone(text: str, moment: datetime, phase: float) -> None:
    assert len({tuple(windows(text, moment, phase, zone, 2)) for zone in ZONES}) == 1


@given(calendar, moments, phases, zones)
def test_calendar_windows_keep_their_local_time_and_distance_in_days(
    text: str, moment: datetime, phase: float, zone: str
) -> None:
    moments = [due.astimezone(ZoneInfo(zone)) for due in windows(text, moment, phase, zone, 4)]
    at = (FIRST + timedelta(seconds=int(phase * named(text).days * 86400) % 86400)).time()
    for due in moments:
        skipped = due.replace(hour=at.hour, minute=at.minute, second=at.second).astimezone(UTC).astimezone(due.tzinfo)
        assert due.time() == at or skipped.time() != at, "the time of day differs only if clocks skip it"
    days = {(after.date() - before.date()).days for before, after in pairwise(moments)}
    assert days == {named(text).days}


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Europe/Berlin", datetime(2026, 3, 18, 12, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 14, 12, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 2, 25, 12, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 10, 21, 12, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("text", ["daily", "weekly"])
def test_a_window_keeps_its_time_of_day_across_clock_changes(text: str, zone: str, start: datetime) -> None:
    moments = [due.astimezone(ZoneInfo(zone)) for due in windows(text, start, 0.4, zone, 14)]
    assert len({due.utcoffset() for due in moments}) == 2, "the clocks did change"
    assert len({due.time() for due in moments}) == 1


def test_a_skipped_window_is_an_hour_later_on_that_day_only() -> None:
    moments = windows("daily", datetime(2026, 3, 27, 12, tzinfo=UTC), 2.5 / 24, "Europe/Berlin", 3)
    local = [due.astimezone(ZoneInfo("Europe/Berlin")).isoformat() for due in moments]
    assert local == ["2026-03-28T02:30:00+01:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"]


def test_a_repeated_window_occurs_once() -> None:
    moments = windows("daily", datetime(2026, 10, 24, 12, tzinfo=UTC), 2.5 / 24, "Europe/Berlin", 2)
    local = [due.astimezone(ZoneInfo("Europe/Berlin")).isoformat() for due in moments]
    assert local == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


def test_the_next_window_after_a_window_is_the_following_one() -> None:
    frequency = parse_frequency("every 15 minutes")
    due = datetime(2026, 5, 4, 12, 15, tzinfo=UTC)
    assert frequency.next_after(due, phase=0, time_zone="UTC") == due + timedelta(minutes=15)
    assert frequency.next_after(due - timedelta(microseconds=1), phase=0, time_zone="UTC") == due


@given(every_kind, moments, phases, zones, st.integers(0, 9), st.floats(0, 1, exclude_max=True))
def test_missed_windows_are_counted_exactly(
    text: str, start: datetime, phase: float, zone: str, passed: int, part: float
) -> None:
    """Also if days have 23 or 25 hours, and whether or not the first due time was a window itself."""
    frequency = parse_frequency(text)
    later = windows(text, start, phase, zone, passed + 1)
    last = later[passed - 1] if passed else start
    now = last + part * (later[passed] - last)
    assume(now < later[passed])
    assert frequency.windows_between(start, now, phase=phase, time_zone=zone) == passed


@pytest.mark.parametrize(
    ("change", "hours"),
    [(datetime(2026, 3, 29, 0, 30, tzinfo=UTC), 23), (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 25)],
    ids=["a day of 23 hours", "a day of 25 hours"],
)
def test_a_day_of_another_length_is_one_window(change: datetime, hours: int) -> None:
    daily = parse_frequency("daily")
    before = daily.next_after(change - DAY, phase=0.5, time_zone="Europe/Berlin")
    after = daily.next_after(change, phase=0.5, time_zone="Europe/Berlin")
    assert after - before == hours * HOUR
    second = timedelta(seconds=1)
    for first, now, passed in (
        (before - DAY, before, 1),
        (before - DAY, after - second, 1),
        (before, after - second, 0),
        (before, after, 1),
        (before - DAY, after, 2),
    ):
        assert daily.windows_between(first, now, phase=0.5, time_zone="Europe/Berlin") == passed


@given(every_kind, moments, phases, zones)
def test_no_window_is_missed_before_the_first(text: str, moment: datetime, phase: float, zone: str) -> None:
    frequency = parse_frequency(text)
    assert frequency.windows_between(moment, moment - 40 * DAY, phase=phase, time_zone=zone) == 0
    assert frequency.windows_between(moment, moment, phase=phase, time_zone=zone) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hourly", Frequency(interval=HOUR)),
        ("daily", Frequency(days=1)),
        ("weekly", Frequency(days=7)),
        ("every 5 minutes", Frequency(interval=timedelta(minutes=5))),
        ("every 1440 minutes", Frequency(interval=DAY)),
        ("every 1 hours", Frequency(interval=HOUR)),
        ("every 168 hours", Frequency(interval=7 * DAY)),
        ("  Every 15 Minutes ", Frequency(interval=timedelta(minutes=15))),
    ],
)
def test_a_frequency_is_parsed_from_text(text: str, expected: Frequency) -> None:
    assert parse_frequency(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "monthly", "every minutes", "every 4 minutes", "every 1441 minutes", "every 0 hours"),
        *("every 169 hours", "every -5 minutes", "every 5.5 minutes", "every 99999 minutes", "every 15 minutes!"),
        *("hourly\0", "every  15 minutes", "every 15 seconds", "hourly daily", "every \u0661\u0665 minutes"),
    ],
)
def test_an_invalid_frequency_is_rejected_with_field_and_known_forms(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_frequency(text)
    (problem,) = caught.value.fields
    assert problem.field == "frequency"
    assert "every N minutes" in problem.problem


@given(st.text())
def test_any_text_is_a_frequency_or_invalid_input(text: str) -> None:
    try:
        parse_frequency(text)
    except InvalidInput:
        pass  # the only possible error


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_phase_is_a_place_within_the_period(key: str) -> None:
    assert 0 <= phase_of(key) < 1


def test_phases_spread_schedules_over_the_period() -> None:
    tenths = [int(phase_of(f"studio {number}") * 10) for number in range(1000)]
    assert all(60 < tenths.count(tenth) < 140 for tenth in range(10))


def test_the_phase_of_a_key_never_changes() -> None:
    """Another value would move every existing schedule."""
    assert phase_of("studio/google/bookings") == pytest.approx(0.36267588903610104)
