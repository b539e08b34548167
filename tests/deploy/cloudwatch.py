"""CloudWatch's evaluation of alarms on metrics with one value a minute, as its user guide describes it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

Values = list[float | None]
"""A metric's value in each minute: the sum of its samples, or a gauge. None: nothing was published."""
Datapoint = float | None
SPARE = 2
"""Periods retrieved beyond the evaluation periods, as in the guide's examples."""
DAY = 86_400
OPERATORS: Mapping[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
}


class Series:
    """A metric. Sums over long windows come from running totals."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._sums = [0.0, *accumulate(value or 0.0 for value in values)]
        self._counts = [0, *accumulate(int(value is not None) for value in values)]

    def datapoint(self, statistic: str, end: int, minutes: int) -> Datapoint:
        """Of the window that ends before minute `end`; None if nothing was published in it."""
        start = max(end - minutes, 0)
        count = self._counts[end] - self._counts[start]
        if not count:
            return None
        total = self._sums[end] - self._sums[start]
        if statistic in ("Sum", "Average"):
            return total if statistic == "Sum" else total / count
        return {"Maximum": max, "Minimum": min}[statistic](
            value for value in self._values[start:end] if value is not None
        )


def evaluate(expression: ast.AST, values: Mapping[str, Datapoint]) -> Datapoint:
    """Metric math for one datapoint. An operation on a missing value, and a division by zero, have no result."""
    match expression:
        case ast.Constant(value=(int() | float()) as number):
            return number
        case ast.Name(id=name):
            return values[name]
        case ast.Call(func=ast.Name(id="FILL"), args=[metric, filling]):
            found = evaluate(metric, values)
            return evaluate(filling, values) if found is None else found
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            holds = evaluate(condition, values)
            return None if holds is None else evaluate(then if holds else otherwise, values)
        case ast.BinOp(left=left, op=kind, right=right) | ast.Compare(left=left, ops=[kind], comparators=[right]):
            sides = evaluate(left, values), evaluate(right, values)
            if sides[0] is None or sides[1] is None or (isinstance(kind, ast.Div) and sides[1] == 0):
                return None
            return OPERATORS[type(kind)](sides[0], sides[1])
    raise AssertionError(f"not known here: {ast.dump(expression)}")


@dataclass(frozen=True)
class Watched:
    """One metric as an alarm reads it."""

    key: str
    statistic: str


@dataclass(frozen=True)
class Alarm:
    name: str
    metrics: dict[str, Watched]
    """By the id in the expression"""
    expression: ast.AST
    period: int
    """Seconds"""
    periods: int
    breaching_needed: int
    compares: Callable[[float, float], bool]
    threshold: float
    missing_breaches: bool

    @classmethod
    def read(cls, properties: Mapping[str, Any]) -> "Alarm":
        """From the properties of an AWS::CloudWatch::Alarm whose references are resolved."""
        parts = properties.get("Metrics") or [_as_query(properties), {"Id": "value", "Expression": "metric"}]
        stats = {part["Id"]: part["MetricStat"] for part in parts if "MetricStat" in part}
        (returned,) = [part["Expression"] for part in parts if "Expression" in part]
        (period,) = {stat["Period"] for stat in stats.values()}
        assert properties["TreatMissingData"] in ("breaching", "notBreaching")
        return cls(
            name=properties["AlarmName"],
            metrics={id: Watched(key_of(stat["Metric"]), stat["Stat"]) for id, stat in stats.items()},
            expression=ast.parse(returned, mode="eval").body,
            period=period,
            periods=properties["EvaluationPeriods"],
            breaching_needed=properties.get("DatapointsToAlarm", properties["EvaluationPeriods"]),
            compares=COMPARISONS[properties["ComparisonOperator"]],
            threshold=float(properties["Threshold"]),
            missing_breaches=properties["TreatMissingData"] == "breaching",
        )

    @property
    def minutes_between_evaluations(self) -> int:
        """An alarm over more than one day is evaluated each hour."""
        return 60 if self.period * self.periods > DAY else 1

    def firing(self, metrics: Mapping[str, Series], start: int, end: int) -> Iterator[int]:
        """The minutes of [start, end) at which it is in alarm. Its window slides with each evaluation."""
        minutes, known = self.period // 60, dict[int, Datapoint]()

        def datapoint(at: int) -> Datapoint:
            if at not in known:
                read = {
                    id: metrics[part.key].datapoint(part.statistic, at, minutes) for id, part in self.metrics.items()
                }
                known[at] = evaluate(self.expression, read)
            return known[at]

        for minute in range(start, end):
            if minute % self.minutes_between_evaluations == 0:
                ends = [minute - number * minutes for number in range(self.periods + SPARE)]
                if self.breaches([datapoint(at) for at in ends if at > 0]):
                    yield minute

    def breaches(self, newest_first: list[Datapoint]) -> bool:
        """As many existing datapoints as there are evaluation periods decide, from farther back if some are missing.
        If there are not that many, missing ones count as TreatMissingData says."""
        existing = [value for value in newest_first if value is not None][: self.periods]
        breaching = sum(self.compares(value, self.threshold) for value in existing)
        missing = self.periods - len(existing)
        return breaching + (missing if self.missing_breaches else 0) >= self.breaching_needed


def _as_query(properties: Mapping[str, Any]) -> dict[str, Any]:
    metric = {name: properties[name] for name in ("Namespace", "MetricName", "Dimensions")}
    return {
        "Id": "metric",
        "MetricStat": {"Metric": metric, "Period": properties["Period"], "Stat": properties["Statistic"]},
    }


def key_of(metric: Mapping[str, Any]) -> str:
    """`Errors of Sync`: a metric's name and its dimensions' values."""
    return f"{metric['MetricName']} of {', '.join(str(part['Value']) for part in metric['Dimensions'])}"
