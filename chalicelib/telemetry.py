"""Metrics: counted during an invocation and written at its end, in CloudWatch's embedded metric format (EMF).

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

import msgspec

from chalicelib import clock

NAMESPACE: Final = "Ansel"
STAGE: Final = "Stage"
"""The dimension of every metric. One with dimensions of its own is also recorded by stage and all of those."""
MAX_VALUES = 100
"""Values of one metric in one line"""


class Metric(NamedTuple):
    unit: str
    meaning: str
    dimensions: tuple[str, ...] = ()
    """In addition to the stage. They have few values: a studio or a run is a field of log lines, never a dimension"""


METRICS: Final[Mapping[str, Metric]] = {
    "Invocations": Metric("Count", "Invocations of all functions that completed"),
    "ColdStarts": Metric("Count", "1 for the first invocation of a container, 0 for the others"),
    "Errors": Metric(
        "Count", "1 for a job that raised and a request answered with 5xx, 0 for all others and for `PlatformWaits`"
    ),
    "Duration": Metric(
        "Milliseconds", "Duration of an invocation inside the function, excluding the container's start"
    ),
    "Statements": Metric("Count", "Statements an invocation sent to the database, including BEGIN and COMMIT"),
    "RoundTrips": Metric("Count", "Round trips those statements took"),
    "Runs": Metric("Count", "Times a worker processed a run, by how it ended", ("Platform", "Status")),
    "RunFailures": Metric("Count", "Times an error stopped a run, retried or not, by the error's code", ("Kind",)),
    "Records": Metric("Count", "Records in pages that were stored, including unchanged ones", ("Platform",)),
    "ScheduleLag": Metric("Milliseconds", "Longest delay of a schedule that a tick started; 0 if none was due"),
    "KmsCalls": Metric("Count", "Uses of a KMS key: to create, wrap or unwrap a data key"),
    "KmsErrors": Metric("Count", "1 for a use of a KMS key that failed, 0 for all others"),
    "TokenRefreshes": Metric("Count", "Attempts to refresh a grant at a platform", ("Platform", "Outcome")),
    "ConnectionsFailed": Metric("Count", "Connections that stopped working", ("Platform",)),
    "RequestsRefused": Metric("Count", "Requests refused because a key or its studio reached a limit", ("Limit",)),
    "PlatformWaits": Metric("Count", "Requests answered with 503 because a platform must not be called for now"),
    "DeliveryErrors": Metric(
        "Count", "Webhook deliveries that the delivery function could not attempt; they are attempted again"
    ),
    "QueueErrors": Metric("Count", "Messages that could not be sent; a tick sends them again"),
}

_Series = tuple[str, tuple[str, ...]]
"""A metric and the values of its own dimensions"""


class Tally:
    """The counts and measurements of an invocation."""

    def __init__(self) -> None:
        self._totals: dict[_Series, float] = {}
        self._samples: dict[_Series, list[float]] = {}

    def add(self, series: _Series, value: float) -> None:
        self._totals[series] = self._totals.get(series, 0) + value

    def sample(self, series: _Series, value: float) -> None:
        self._samples.setdefault(series, []).append(value)

    def total(self, name: str) -> float:
        """The total of a metric without dimensions of its own."""
        return self._totals.get((name, ()), 0)

    def parts(self) -> Iterator[tuple[_Series, float | list[float]]]:
        """Parts that each fit into one line."""
        yield from self._totals.items()
        for series, values in self._samples.items():
            for start in range(0, len(values), MAX_VALUES):
                yield series, values[start : start + MAX_VALUES]


_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


def count(name: str, value: float = 1, **dimensions: str) -> None:
    """Adds to a metric of METRICS; an invocation reports the sum. Its dimensions are given in lower case."""
    series = _series(name, dimensions)
    if tally := _tally.get():
        tally.add(series, value)


def measure(name: str, value: float, **dimensions: str) -> None:
    """Records one value of a metric of METRICS; an invocation reports each, so that CloudWatch has percentiles."""
    series = _series(name, dimensions)
    if tally := _tally.get():
        tally.sample(series, value)


@contextmanager
def collected() -> Iterator[Tally]:
    """Collects what is counted and measured inside; outside of it, nothing is collected."""
    tally = Tally()
    token = _tally.set(tally)
    try:
        yield tally
    finally:
        _tally.reset(token)


def write(tally: Tally, stage: str, properties: Mapping[str, Any]) -> None:
    """Writes a tally as lines of EMF to Lambda's log output, each with the given properties.

    Writes nothing in the `local` stage, where they would not be read.
    """
    if stage != "local":
        lines = _lines(tally, stage, properties)
        sys.stdout.write("".join(f"{msgspec.json.encode(line).decode()}\n" for line in lines))


def _series(name: str, dimensions: Mapping[str, str]) -> _Series:
    metric = METRICS[name]
    if len(dimensions) != len(metric.dimensions):
        raise ValueError(f"{name} has the dimensions {metric.dimensions}")
    return name, tuple([dimensions[dimension.lower()] for dimension in metric.dimensions]) if dimensions else ()


class _Line:
    """Metrics for one line: their dimensions do not conflict, and each metric occurs once."""

    def __init__(self) -> None:
        self.dimensions: dict[str, str] = {}
        self.values: dict[str, float | list[float]] = {}

    def takes(self, name: str, dimensions: Mapping[str, str]) -> bool:
        if name in self.values:
            return False
        return not dimensions or all(self.dimensions.get(key, value) == value for key, value in dimensions.items())

    def directives(self) -> list[dict[str, Any]]:
        """The metrics for each set of dimensions."""
        by_dimensions: dict[tuple[str, ...], list[str]] = {}
        for name in self.values:
            by_dimensions.setdefault(METRICS[name].dimensions, []).append(name)
        return [
            {
                "Namespace": NAMESPACE,
                "Dimensions": [[STAGE], [STAGE, *own]] if own else [[STAGE]],
                "Metrics": [{"Name": name, "Unit": METRICS[name].unit} for name in names],
            }
            for own, names in by_dimensions.items()
        ]


def _lines(tally: Tally, stage: str, properties: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    lines: list[_Line] = []
    for (name, values), numbers in tally.parts():
        dimensions = dict(zip(METRICS[name].dimensions, values, strict=True))
        line = next((line for line in lines if line.takes(name, dimensions)), None)
        if line is None:
            lines.append(line := _Line())
        line.dimensions |= dimensions
        line.values[name] = numbers
    timestamp = int(clock.now().timestamp() * 1000)
    for line in lines:
        metadata = {"Timestamp": timestamp, "CloudWatchMetrics": line.directives()}
        yield {**properties, STAGE: stage, **line.dimensions, **line.values, "_aws": metadata}
