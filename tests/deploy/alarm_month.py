"""Thirty days of a deployment of ten studios, as its metrics in CloudWatch, and what can happen to it."""

import random
from collections.abc import Callable

from tests.deploy.cloudwatch import Series, Values

MINUTES = 30 * 24 * 60
REQUESTS_PER_MINUTE = 1.7 / 5
"""On average; they arrive between seven and twenty-two o'clock, and nobody asks at night."""
RUNS_PER_MINUTE = 6.9 / 5
"""At any hour: schedules do not sleep."""
OPENS, CLOSES = 7, 22
MAINTENANCE_AT = 3 * 60 + 17
GIB = 1024.0**3
API = "ansel-prod, RestAPIv1Stage"
QUEUE, DEAD = "SyncQueue.QueueName", "DeadLetterQueue.QueueName"

Month = dict[str, Values]
Incident = Callable[[Month, range], None]
"""Changes the minutes during which it lasts."""


def quiet_month(seed: int = 20261201) -> Month:
    """A request in five hundred fails, a run in fifty, a worker in a thousand, and a connection every few days."""
    chance = random.Random(seed)
    month: Month = {"PlatformWaits of prod": [None] * MINUTES}
    requests = [_requests(chance, minute) for minute in range(MINUTES)]
    runs = [_poisson(chance, RUNS_PER_MINUTE) for _ in range(MINUTES)]
    month[f"Count of {API}"] = _if_any(requests)
    month[f"5XXError of {API}"] = [_some(chance, number, 0.002) if number else None for number in requests]
    month["Throttles of APIHandler"] = [0.0 if number else None for number in requests]
    month["Runs of prod"] = _if_any(runs)
    month["RunFailures of prod"] = _if_any([_some(chance, number, 0.02) for number in runs])
    month["Invocations of Sync"] = _if_any(runs)
    month["Errors of Sync"] = [_some(chance, number, 0.001) if number else None for number in runs]
    month["Throttles of Sync"] = [0.0 if number else None for number in runs]
    month["KmsErrors of prod"] = [0.0 if number else None for number in runs]
    month["QueueErrors of prod"] = [None] * MINUTES
    month["DeliveryErrors of prod"] = [None] * MINUTES
    month["ConnectionsFailed of prod"] = [1.0 if chance.random() < 1 / 5000 else None for _ in range(MINUTES)]
    month["ScheduleLag of prod"] = [chance.uniform(0, 60_000) for _ in range(MINUTES)]
    month["Invocations of Tick"] = [1.0] * MINUTES
    month["Errors of Tick"] = [0.0] * MINUTES
    daily = list(range(MAINTENANCE_AT, MINUTES, 24 * 60))
    month["Invocations of Maintenance"] = _at(daily, 1.0)
    month["Errors of Maintenance"] = _at(daily, 0.0)
    month[f"ApproximateNumberOfMessagesVisible of {QUEUE}"] = [float(chance.random() < 0.2) for _ in range(MINUTES)]
    month[f"ApproximateAgeOfOldestMessage of {QUEUE}"] = [
        1800.0 if chance.random() < 0.01 else 1.0 for _ in range(MINUTES)
    ]
    month[f"ApproximateNumberOfMessagesVisible of {DEAD}"] = [None] * MINUTES
    month |= {f"CPUUtilization of {name}": _around(chance, 6, 3) for name in ("Database", "DatabaseCluster")}
    month |= {f"DatabaseConnections of {name}": _around(chance, 12, 4) for name in ("Database", "DatabaseCluster")}
    month["FreeStorageSpace of Database"] = [(15 - 2 * minute / MINUTES) * GIB for minute in range(MINUTES)]
    month["ACUUtilization of DatabaseCluster"] = _around(chance, 15, 5)
    month["HealthCheckStatus of HealthCheck"] = [1.0] * MINUTES
    return month


def series_of(month: Month) -> dict[str, Series]:
    return {key: Series(values) for key, values in month.items()}


def setting(key: str, value: float | None) -> Incident:
    def happen(month: Month, during: range) -> None:
        for minute in during:
            month[key][minute] = value

    return happen


def failing(total: str, failed: str, share: float) -> Incident:
    """That share of what happens fails, evenly."""

    def happen(month: Month, during: range) -> None:
        owed = 0.0
        for minute in during:
            owed += (month[total][minute] or 0) * share
            if owed >= 1:
                month[failed][minute] = float(int(owed))
                owed -= int(owed)

    return happen


def once(key: str, *minutes: int) -> Incident:
    """One of it at each of these minutes after the beginning."""

    def happen(month: Month, during: range) -> None:
        for minute in minutes:
            month[key][during.start + minute] = 1.0

    return happen


def growing(key: str, start: float, per_minute: float) -> Incident:
    def happen(month: Month, during: range) -> None:
        for minute in during:
            month[key][minute] = max(start + per_minute * (minute - during.start), 0.0)

    return happen


def together(*incidents: Incident) -> Incident:
    def happen(month: Month, during: range) -> None:
        for incident in incidents:
            incident(month, during)

    return happen


def _requests(chance: random.Random, minute: int) -> int:
    if not OPENS <= minute // 60 % 24 < CLOSES:
        return 0
    return _poisson(chance, REQUESTS_PER_MINUTE * 24 / (CLOSES - OPENS))


def _poisson(chance: random.Random, mean: float) -> int:
    number, waited = 0, chance.expovariate(mean)
    while waited < 1:
        number, waited = number + 1, waited + chance.expovariate(mean)
    return number


def _some(chance: random.Random, number: int, share: float) -> float:
    return float(sum(chance.random() < share for _ in range(number)))


def _if_any(numbers: list[int] | list[float]) -> Values:
    """Our own metrics and API Gateway's count: nothing is published when nothing happens."""
    return [float(number) or None for number in numbers]


def _at(minutes: list[int], value: float) -> Values:
    values: Values = [None] * MINUTES
    for minute in minutes:
        values[minute] = value
    return values


def _around(chance: random.Random, middle: float, spread: float) -> Values:
    return [chance.uniform(middle - spread, middle + spread) for _ in range(MINUTES)]
