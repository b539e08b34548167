"""Alarms and dashboard watch metrics that the functions emit and resources that the template creates."""

import json
import re
from collections.abc import Iterator
from typing import Any

from chalicelib.telemetry import METRICS, NAMESPACE
from tests.conftest import ROOT
from tests.deploy.intrinsics import Account
from tests.deploy.templates import finished


def alarms() -> dict[str, Any]:
    made = finished("prod")["Resources"].items()
    return {name: resource for name, resource in made if resource["Type"] == "AWS::CloudWatch::Alarm"}


def metrics_of(part: Any) -> Iterator[tuple[str, str, list[Any]]]:
    """Namespace, name and dimension names of each metric that an alarm watches."""
    if isinstance(part, dict):
        if "MetricName" in part:
            yield part["Namespace"], part["MetricName"], [dimension["Name"] for dimension in part["Dimensions"]]
        part = list(part.values())
    if isinstance(part, list):
        for value in part:
            yield from metrics_of(value)


def test_alarms_watch_metrics_that_are_actually_emitted() -> None:
    metrics = [metric for alarm in alarms().values() for metric in metrics_of(alarm)]
    ours = {name: dimensions for namespace, name, dimensions in metrics if namespace == NAMESPACE}
    watched = ["ScheduleLag", "PlatformWaits", "Runs", "RunFailures", "ConnectionsFailed", "KmsErrors", "QueueErrors"]
    watched.append("DeliveryErrors")
    assert ours == {name: ["Stage"] for name in watched}
    assert ours.keys() <= METRICS.keys()


def test_every_alarm_is_sent_to_the_topic() -> None:
    for alarm in alarms().values():
        assert alarm["Properties"]["AlarmActions"] == [{"Ref": "AlarmTopic"}]


def test_a_platform_that_must_not_be_called_for_now_is_not_an_api_failure() -> None:
    metrics = {metric["Id"]: metric for metric in alarms()["ApiErrorsAlarm"]["Properties"]["Metrics"]}
    names = {
        id: metric["MetricStat"]["Metric"]["MetricName"] for id, metric in metrics.items() if "MetricStat" in metric
    }
    assert names == {"requests": "Count", "failed": "5XXError", "waits": "PlatformWaits"}
    assert "(FILL(failed, 0) - FILL(waits, 0)) / requests" in metrics["rate"]["Expression"]


def test_a_silent_tick_raises_an_alarm() -> None:
    properties = finished("prod")["Resources"]["TickSilentAlarm"]["Properties"]
    assert properties["TreatMissingData"] == "breaching"
    assert properties["ComparisonOperator"] == "LessThanThreshold"


def test_a_message_hidden_until_its_retry_does_not_count_as_a_stuck_queue() -> None:
    metrics = {metric["Id"]: metric for metric in alarms()["MessageAgeAlarm"]["Properties"]["Metrics"]}
    names = {
        id: metric["MetricStat"]["Metric"]["MetricName"] for id, metric in metrics.items() if "MetricStat" in metric
    }
    assert metrics["waited"]["Expression"] == "IF(waiting > 0, age, 0)"
    assert names == {"age": "ApproximateAgeOfOldestMessage", "waiting": "ApproximateNumberOfMessagesVisible"}


def test_storage_that_will_grow_automatically_raises_no_alarm() -> None:
    document = finished("prod")
    least = document["Parameters"]["DatabaseStorage"]["MinValue"] * 1024**3
    assert document["Resources"]["DatabaseStorageAlarm"]["Properties"]["Threshold"] < least / 10


def test_the_dashboard_is_json_and_shows_only_emitted_metrics() -> None:
    account = Account(finished("prod"))
    body = json.loads(account.value("Resources", "Dashboard", "Properties", "DashboardBody"))
    shown = [metric for widget in body["widgets"] for metric in widget["properties"].get("metrics", [])]
    named = {metric[1] for metric in shown if metric[0] == NAMESPACE}
    searched = {
        (search[1], search[0])
        for metric in shown
        if isinstance(metric[0], dict)
        for search in re.findall(r"\{Ansel,Stage,([\w,]+)\} MetricName=\"(\w+)\"", metric[0]["expression"])
    }
    assert named | {name for name, _ in searched} <= METRICS.keys()
    assert searched
    assert all(",".join(METRICS[name].dimensions) == dimensions for name, dimensions in searched)
    always = {name for name, alarm in alarms().items() if "Condition" not in alarm}
    (widget,) = [widget for widget in body["widgets"] if widget["type"] == "alarm"]
    assert {arn.split(":")[-1] for arn in widget["properties"]["alarms"]} == always


def test_every_alarm_is_documented() -> None:
    documented = (ROOT / "docs" / "infrastructure.md").read_text()
    for alarm in alarms().values():
        name = alarm["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("ansel-${Stage}-")
        assert f"`{name}`" in documented
