"""Lines of CloudWatch's embedded metric format, read and checked as CloudWatch would.

The schema and the limits are those of
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import jsonschema

NAME = {"type": "string", "minLength": 1, "maxLength": 255}
UNITS = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Percent",
    "Count",
    "None",
    *(f"{size}{what}" for size in ("", "Kilo", "Mega", "Giga", "Tera") for what in ("bytes", "bits")),
]
SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {"type": "array", "items": {"$ref": "#/$defs/directive"}},
            },
        }
    },
    "$defs": {
        "directive": {
            "type": "object",
            "required": ["Namespace", "Dimensions", "Metrics"],
            "additionalProperties": False,
            "properties": {
                "Namespace": NAME,
                "Dimensions": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "array", "maxItems": 9, "uniqueItems": True, "items": NAME},
                },
                "Metrics": {"type": "array", "maxItems": 100, "items": {"$ref": "#/$defs/metric"}},
            },
        },
        "metric": {
            "type": "object",
            "required": ["Name"],
            "additionalProperties": False,
            "properties": {"Name": NAME, "Unit": {"enum": UNITS}},
        },
    },
}
MAX_BYTES = 256 * 1024
MAX_VALUES = 100
MAX_DIMENSION_LENGTH = 1024

Series = tuple[str, frozenset[tuple[str, str]]]
"""A metric's name and its dimensions"""


def series(name: str, **dimensions: str) -> Series:
    return name, frozenset(dimensions.items())


def read_points(text: str) -> dict[Series, list[float]]:
    """Every value that CloudWatch would accept from lines of EMF; other lines are ignored."""
    points: dict[Series, list[float]] = defaultdict(list)
    for line in text.splitlines():
        document = json.loads(line)
        if "_aws" not in document:
            continue
        assert len(line.encode()) <= MAX_BYTES
        jsonschema.validate(document, SCHEMA)
        for directive in document["_aws"]["CloudWatchMetrics"]:
            _take(document, directive, points)
    return points


def _take(document: Mapping[str, Any], directive: Mapping[str, Any], points: dict[Series, list[float]]) -> None:
    for names in directive["Dimensions"]:
        for name in names:
            assert isinstance(document[name], str)
            assert 1 <= len(document[name]) <= MAX_DIMENSION_LENGTH
        for metric in directive["Metrics"]:
            value = document[metric["Name"]]
            values = value if isinstance(value, list) else [value]
            assert len(values) <= MAX_VALUES
            assert all(isinstance(number, int | float) and not isinstance(number, bool) for number in values)
            points[series(metric["Name"], **{name: document[name] for name in names})] += values
