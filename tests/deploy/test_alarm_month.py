"""Which alarms of the template fire, and how soon, in a month of a deployment of ten studios."""

from dataclasses import dataclass, replace
from functools import cache

import pytest

from deploy import health_check, template
from tests.deploy.alarm_month import (
    API,
    DEAD,
    GIB,
    MINUTES,
    QUEUE,
    Incident,
    Month,
    failing,
    growing,
    once,
    quiet_month,
    series_of,
    setting,
    together,
)
from tests.deploy.cloudwatch import DAY, Alarm, Series, Values
from tests.deploy.intrinsics import Account
from tests.deploy.templates import finished

HOUR = 60
TUESDAY = 14 * 24 * HOUR
MORNING, NIGHT = TUESDAY + 10 * HOUR, TUESDAY + 2 * HOUR
AFTERWARDS = HOUR
"""Minutes that are watched after an incident."""
VISIBLE, OLDEST = f"ApproximateNumberOfMessagesVisible of {QUEUE}", f"ApproximateAgeOfOldestMessage of {QUEUE}"


@cache
def alarms(engine: str = "postgres") -> tuple[Alarm, ...]:
    """Of a deployment with that database and a health check from outside."""
    asked = {"Stage": "prod", "Host": "api.example.com", "Path": "/api/health"}
    outside = Account(template.read(health_check.TEMPLATE), asked)
    inside = Account(finished("prod"), {"DatabaseEngine": engine})
    return tuple(
        Alarm.read(account.value("Resources", name, "Properties"))
        for account in (inside, outside)
        for name in sorted(account.in_order())
        if account.value("Resources", name, "Type") == "AWS::CloudWatch::Alarm"
    )


@cache
def month() -> Month:
    return quiet_month()


@cache
def quiet_series() -> dict[str, Series]:
    return series_of(month())


class Changed(Month):
    """The quiet month; each metric is copied before an incident changes it."""

    def __missing__(self, key: str) -> Values:
        self[key] = list(month()[key])
        return self[key]


@dataclass(frozen=True)
class Case:
    """An incident, and the alarms that it must raise, each within so many minutes after its beginning."""

    name: str
    happens: Incident
    expected: dict[str, int]
    start: int = MORNING
    minutes: int = HOUR
    engine: str = "postgres"


CASES = [
    Case(
        "the API fails every request for twenty minutes",
        failing(f"Count of {API}", f"5XXError of {API}", 1),
        {"api-failures": 15},
        minutes=20,
    ),
    Case(
        "the API fails every request under load",
        together(
            growing(f"Count of {API}", 12, 0),
            failing(f"Count of {API}", f"5XXError of {API}", 0.05),
        ),
        {"api-failures": 12, "api-errors": 12},
    ),
    Case(
        "at night, when nobody asks, the API does not answer",
        setting("HealthCheckStatus of HealthCheck", 0.0),
        {"unreachable": 2},
        start=NIGHT,
    ),
    Case(
        "nothing is heard from the health checkers",
        setting("HealthCheckStatus of HealthCheck", None),
        {"unreachable": 5},
    ),
    Case(
        "every request is asked to wait for a platform",
        together(
            failing(f"Count of {API}", f"5XXError of {API}", 1),
            failing(f"Count of {API}", "PlatformWaits of prod", 1),
        ),
        {},
    ),
    Case(
        "half of the runs fail for an hour",
        failing("Runs of prod", "RunFailures of prod", 0.5),
        {"run-failures-hour": 35},
    ),
    Case(
        "half of many runs fail",
        together(growing("Runs of prod", 10, 0), failing("Runs of prod", "RunFailures of prod", 0.5)),
        {"run-failures": 12, "run-failures-hour": 20},
    ),
    Case(
        "the schedule of the maintenance is disabled",
        together(setting("Invocations of Maintenance", None), setting("Errors of Maintenance", None)),
        {"maintenance-silent": 2 * 24 * HOUR},
        minutes=3 * 24 * HOUR,
    ),
    Case(
        "the maintenance fails day after day",
        setting("Errors of Maintenance", 1.0),
        {"maintenance-failed": 18 * HOUR, "maintenance-silent": 2 * 24 * HOUR},
        minutes=3 * 24 * HOUR,
    ),
    Case(
        "ticks are not invoked",
        together(setting("Invocations of Tick", None), setting("Errors of Tick", None)),
        {"tick-silent": 6},
    ),
    Case("every tick fails", setting("Errors of Tick", 1.0), {"tick-silent": 6}, start=NIGHT),
    Case(
        "ticks start runs long after they are due",
        growing("ScheduleLag of prod", 3_600_000, 0),
        {"schedule-lag": 4},
    ),
    Case(
        "no worker takes messages",
        together(growing(VISIBLE, 1, 1.4), growing(OLDEST, 0, 60)),
        {"message-age": 20},
        start=NIGHT,
    ),
    Case(
        "a message fails five times",
        setting(f"ApproximateNumberOfMessagesVisible of {DEAD}", 1.0),
        {"dead-letters": 1},
        start=NIGHT,
    ),
    Case(
        "the worker raises in a fifth of its runs",
        failing("Invocations of Sync", "Errors of Sync", 0.2),
        {"worker-errors": 25},
        start=NIGHT,
    ),
    Case(
        "the account has no concurrency left",
        together(
            failing(f"Count of {API}", "Throttles of APIHandler", 1),
            failing(f"Count of {API}", f"5XXError of {API}", 1),
        ),
        {"throttles": 12, "api-failures": 15},
    ),
    Case(
        "a platform revokes our application, and each studio's connection fails at its next sync",
        failing("Invocations of Tick", "ConnectionsFailed of prod", 10 / (6 * HOUR)),
        {"connections-broken": 3 * HOUR + 5},
        start=NIGHT,
        minutes=6 * HOUR,
    ),
    Case("KMS refuses our key", setting("KmsErrors of prod", 1.0), {"key-errors": 1}, start=NIGHT),
    Case(
        "SQS does not take messages",
        failing("Runs of prod", "QueueErrors of prod", 1),
        {"queue-errors": 10},
        start=NIGHT,
    ),
    Case(
        "the delivery function fails, and a single delivery is put off again and again",
        once("DeliveryErrors of prod", 0, 5, 10, 20, 40, 80, 140),
        {"delivery-errors": 15},
        start=NIGHT,
        minutes=3 * HOUR,
    ),
    Case("the database is busy", growing("CPUUtilization of Database", 95, 0), {"database-cpu": 15}),
    Case(
        "connections to the database leak",
        growing("DatabaseConnections of Database", 20, 20),
        {"database-connections": 25},
    ),
    Case(
        "the database fills up and cannot grow",
        growing("FreeStorageSpace of Database", 13 * GIB, -13 * GIB / (6 * HOUR)),
        {"database-storage": 6 * HOUR - 30},
        start=NIGHT,
        minutes=6 * HOUR,
    ),
    Case(
        "Aurora has no capacity left",
        growing("ACUUtilization of DatabaseCluster", 100, 0),
        {"database-capacity": 15},
        engine="aurora-postgresql",
    ),
]


def first_firing(case: Case) -> dict[str, int]:
    """Minutes from the beginning of an incident until each alarm that it raises."""
    during = range(case.start, min(case.start + case.minutes, MINUTES))
    changed = Changed()
    case.happens(changed, during)
    series = quiet_series() | series_of(changed)
    found = {
        alarm.name: next(alarm.firing(series, during.start, during.stop + AFTERWARDS), None)
        for alarm in alarms(case.engine)
    }
    return {
        name.removeprefix("ansel-prod-"): minute - case.start for name, minute in found.items() if minute is not None
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_incident_raises_its_alarms_in_time_and_no_others(case: Case) -> None:
    fired = first_firing(case)
    assert fired.keys() == case.expected.keys()
    late = {name: minutes for name, minutes in fired.items() if minutes > case.expected[name]}
    assert not late


def test_nothing_alarms_in_a_quiet_month() -> None:
    on_instance = {alarm.name: alarm.metrics for alarm in alarms()}
    of_aurora = [alarm for alarm in alarms("aurora-postgresql") if alarm.metrics != on_instance.get(alarm.name)]
    fired = [alarm.name for alarm in (*alarms(), *of_aurora) if any(alarm.firing(quiet_series(), DAY // 60, MINUTES))]
    assert fired == []


def test_a_failed_request_among_those_of_the_health_check_raises_nothing() -> None:
    key, asked = f"Count of {API}", 12
    series = quiet_series() | {key: Series([(value or 0) + asked for value in month()[key]])}
    of_api = [alarm for alarm in alarms() if "api" in alarm.name]
    assert len(of_api) == 2
    assert not [alarm.name for alarm in of_api if any(alarm.firing(series, DAY // 60, MINUTES))]


def test_every_alarm_is_raised_by_an_incident() -> None:
    raised = {name for case in CASES for name in case.expected}
    made = {
        alarm.name.removeprefix("ansel-prod-")
        for engine in ("postgres", "aurora-postgresql")
        for alarm in alarms(engine)
    }
    assert made == raised


def test_a_new_stage_has_no_silent_maintenance_before_its_second_day() -> None:
    (silent,) = [alarm for alarm in alarms() if alarm.name.endswith("maintenance-silent")]
    assert not list(silent.firing(quiet_series(), 1, 3 * DAY // 60))


def test_the_month_is_that_of_ten_studios() -> None:
    five_minutes = MINUTES / 5
    assert sum(value or 0 for value in month()[f"Count of {API}"]) / five_minutes == pytest.approx(1.7, rel=0.03)
    assert sum(value or 0 for value in month()["Runs of prod"]) / five_minutes == pytest.approx(6.9, rel=0.03)


def test_cloudwatch_accepts_the_length_of_each_evaluation() -> None:
    for alarm in alarms() + alarms("aurora-postgresql"):
        longest = 7 * DAY if alarm.period >= 3600 else DAY
        assert alarm.period * alarm.periods <= longest, alarm.name
        assert alarm.period % 60 == 0


@pytest.mark.parametrize(
    ("oldest_first", "missing_breaches", "in_alarm"),
    [
        ("0-X-X", True, False),
        ("0-X-X", False, False),
        ("----0", True, False),
        ("-----", True, True),
        ("-----", False, False),
        ("0XX-X", True, True),
        ("0XX-X", False, True),
        ("--X--", True, True),
        ("--X--", False, False),
    ],
)
def test_missing_data_are_treated_as_in_the_examples_of_cloudwatchs_guide(
    oldest_first: str, missing_breaches: bool, in_alarm: bool
) -> None:
    (lag,) = [alarm for alarm in alarms() if alarm.name.endswith("schedule-lag")]
    alarm = replace(lag, periods=3, breaching_needed=3, threshold=0, missing_breaches=missing_breaches)
    assert alarm.breaches([{"0": 0.0, "X": 1.0, "-": None}[point] for point in reversed(oldest_first)]) is in_alarm
