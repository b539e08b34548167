"""Metrics: each has a declared name, is counted once per invocation, and is written in CloudWatch's format."""

import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import Any
from uuid import UUID

import pytest
from aws_lambda_powertools.metrics import MetricUnit, single_metric
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import clock, telemetry, work_queue
from chalicelib.errors import Unavailable
from chalicelib.security.key_providers import KmsKeyProvider
from chalicelib.services.connections import refresh
from chalicelib.services.scheduling.schedules import start_due_runs
from chalicelib.settings import get_settings
from chalicelib.telemetry import METRICS, Tally
from dev.sandbox import Sandbox
from tests.conftest import NOON, Api, Queue
from tests.emf import Series, read_points, series
from tests.http_fake import Fake, Reply, http_fake
from tests.security.kms import HERE, Kms, KmsCalls, kms, kms_proxy, refusal, service
from tests.services.conftest import Studio, connect

__all__ = ["kms", "kms_proxy", "service"]

PROD = {"Stage": "prod"}


def written(tally: Tally, stage: str = "prod") -> str:
    """The output for a tally."""
    with redirect_stdout(io.StringIO()) as text:
        telemetry.write(tally, stage, {"request_id": "r"})
    return text.getvalue()


class Recorded:
    """What CloudWatch would have received."""

    def __init__(self) -> None:
        self.points: dict[Series, list[float]] = {}

    def total(self, name: str, **dimensions: str) -> float | None:
        """None if nothing was received."""
        values = self.points.get(series(name, **PROD, **dimensions))
        return None if values is None else sum(values)


def recorded(work: Callable[[], Any]) -> Recorded:
    """Does the work, and reads its metrics. Requests made meanwhile are invocations of their own."""
    result = Recorded()
    with telemetry.collected() as tally:
        work()
    result.points = read_points(written(tally))
    return result


def test_counts_add_up_and_measures_are_kept() -> None:
    def work() -> None:
        telemetry.count("KmsCalls")
        telemetry.count("KmsCalls", 2)
        telemetry.measure("ScheduleLag", 5)
        telemetry.measure("ScheduleLag", 7.5)

    points = recorded(work).points
    assert points[series("KmsCalls", **PROD)] == [3]
    assert points[series("ScheduleLag", **PROD)] == [5, 7.5]


def test_a_line_has_at_most_a_hundred_values_per_metric() -> None:
    with telemetry.collected() as tally:
        for lag in range(250):
            telemetry.measure("ScheduleLag", lag)
    lines = written(tally)
    assert len(lines.splitlines()) == 3
    assert read_points(lines)[series("ScheduleLag", **PROD)] == list(range(250))


def test_a_metric_with_dimensions_is_also_recorded_by_stage_alone() -> None:
    def work() -> None:
        telemetry.count("Runs", platform="google", status="succeeded")
        telemetry.count("Runs", platform="meta", status="failed")

    points = recorded(work).points
    assert points == {
        series("Runs", **PROD): [1, 1],
        series("Runs", **PROD, Platform="google", Status="succeeded"): [1],
        series("Runs", **PROD, Platform="meta", Status="failed"): [1],
    }


def test_unknown_metrics_and_dimensions_are_rejected() -> None:
    mistakes: list[Callable[[], None]] = [
        lambda: telemetry.count("Successes"),
        lambda: telemetry.measure("Lag", 1),
        lambda: telemetry.count("Runs"),
        lambda: telemetry.count("Runs", platform="google"),
        lambda: telemetry.count("Runs", platform="google", studio="s"),
        lambda: telemetry.count("KmsCalls", platform="google"),
    ]
    for wrong in mistakes:
        with pytest.raises((KeyError, ValueError)):
            wrong()


def test_outside_an_invocation_nothing_is_collected() -> None:
    telemetry.count("KmsCalls")
    assert recorded(lambda: None).points == {}


def test_one_invocation_is_one_line_unless_its_dimensions_differ() -> None:
    with telemetry.collected() as tally:
        telemetry.count("Statements", 6)
        telemetry.count("Records", 20, platform="google")
        telemetry.count("Runs", platform="google", status="succeeded")
        telemetry.count("RunFailures", kind="platform_rate_limited")
    assert len(written(tally).splitlines()) == 1
    with telemetry.collected() as tally:
        telemetry.count("Records", 20, platform="google")
        telemetry.count("Records", 20, platform="meta")
        telemetry.count("TokenRefreshes", platform="meta", outcome="refreshed")
    assert len(written(tally).splitlines()) == 2


def test_properties_are_written_but_are_not_dimensions() -> None:
    with telemetry.collected() as tally:
        telemetry.count("KmsCalls")
    document = json.loads(written(tally))
    assert document["request_id"] == "r"
    assert [each["Dimensions"] for each in document["_aws"]["CloudWatchMetrics"]] == [[["Stage"]]]


def test_lines_equal_those_of_powertools_for_lambda(capsys: pytest.CaptureFixture[str]) -> None:
    theirs = single_metric(
        name="Records", unit=MetricUnit.Count, value=20, namespace=telemetry.NAMESPACE, default_dimensions=PROD
    )
    with theirs as metric:
        metric.add_dimension("Platform", "google")
    (told_by_them,) = read_points(capsys.readouterr().out).items()
    points = recorded(lambda: telemetry.count("Records", 20, platform="google")).points
    assert told_by_them in points.items()


def test_a_line_has_the_current_time() -> None:
    with telemetry.collected() as tally:
        telemetry.count("KmsCalls")
    with clock.at(NOON):
        assert json.loads(written(tally))["_aws"]["Timestamp"] == NOON.timestamp() * 1000


def test_the_local_stage_and_an_empty_tally_write_nothing() -> None:
    with telemetry.collected() as tally:
        assert written(tally) == ""
        telemetry.count("KmsCalls")
    assert written(tally, "local") == ""


numbers = st.integers(0, 10**9) | st.floats(0, 1e12)
calls = st.tuples(
    st.sampled_from(sorted(METRICS)), st.sampled_from(["a", "b", "c"]), st.lists(numbers, max_size=250), st.booleans()
)


@given(st.lists(calls, max_size=12))
def test_all_values_arrive_under_each_set_of_dimensions(
    made: list[tuple[str, str, list[float], bool]],
) -> None:
    sums: dict[Series, float] = defaultdict(float)
    samples: dict[Series, list[float]] = defaultdict(list)

    def work() -> None:
        for name, word, values, is_measured in made:
            own = dict.fromkeys(METRICS[name].dimensions, word)
            given = {dimension.lower(): value for dimension, value in own.items()}
            for value in values:
                (telemetry.measure if is_measured else telemetry.count)(name, value, **given)
                for dimensions in (PROD, PROD | own) if own else (PROD,):
                    into = series(name, **dimensions)
                    if is_measured:
                        samples[into].append(value)
                    else:
                        sums[into] += value

    points = recorded(work).points
    assert set(points) == set(sums) | set(samples)
    for key, values in points.items():
        assert sum(values) == pytest.approx(sums[key] + sum(samples[key]))
        assert len(values) >= len(samples[key])


@pytest.fixture
def studio(api: Api, queue: Queue, platforms: Sandbox) -> Studio:
    return connect(api, queue)


def test_a_run_reports_its_outcome_and_records(studio: Studio) -> None:
    metrics = recorded(lambda: studio.sync("bookings"))
    assert metrics.total("Runs", Platform="google", Status="succeeded") == 1
    run = studio.api.get("/api/sync/log").json["items"][0]
    assert metrics.total("Records", Platform="google") == run["records"]["seen"] > 0
    assert metrics.total("RunFailures") is None
    statements, round_trips = metrics.total("Statements"), metrics.total("RoundTrips")
    assert statements is not None
    assert round_trips is not None
    assert statements > round_trips > 0


def test_a_revoked_grant_counts_as_a_failed_run_refresh_and_connection(studio: Studio, platforms: Sandbox) -> None:
    platforms.google.revoke("studio")
    metrics = recorded(lambda: studio.sync("bookings"))
    assert metrics.total("Runs", Platform="google", Status="failed") == 1
    assert metrics.total("RunFailures", Kind="token_revoked") == 1
    assert metrics.total("TokenRefreshes", Platform="google", Outcome="revoked") == 1
    assert metrics.total("ConnectionsFailed", Platform="google") == 1


def test_a_run_that_raises_counts_as_crashed(studio: Studio, superuser: Any) -> None:
    def work() -> None:
        superuser.run("ALTER TABLE booking RENAME TO hidden")
        try:
            with pytest.raises(Exception, match="booking"):
                studio.sync("bookings")
        finally:
            superuser.run("ALTER TABLE hidden RENAME TO booking")

    metrics = recorded(work)
    assert metrics.total("Runs", Platform="google", Status="crashed") == 1
    assert metrics.total("RunFailures", Kind="internal_error") == 1
    assert metrics.total("Records") is None


def test_a_refresh_is_counted_once(api: Api, queue: Queue, platforms: Sandbox, superuser: Any) -> None:
    studio = connect(api, queue)
    (connection_id,) = superuser.run("UPDATE platform_connection SET refresh_at = now() RETURNING id")[0]
    metrics = recorded(lambda: refresh.refresh_idle(studio.id, UUID(str(connection_id))))
    assert metrics.total("TokenRefreshes", Platform="google", Outcome="refreshed") == 1
    assert metrics.total("ConnectionsFailed") is None


def test_the_tick_reports_its_delay_or_zero(api: Api, queue: Queue, platforms: Sandbox, superuser: Any) -> None:
    assert recorded(start_due_runs).total("ScheduleLag") == 0
    connect(api, queue)
    superuser.run("UPDATE sync_schedule SET next_run_at = now() - interval '90 s' WHERE stream = 'bookings'")
    lag = recorded(start_due_runs).total("ScheduleLag")
    assert lag is not None
    assert 90_000 <= lag < 150_000
    assert recorded(start_due_runs).total("ScheduleLag") == 0


@pytest.fixture
def failing_queue(clean_database: Any, local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """An SQS with scripted responses."""
    with http_fake() as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL", fake.url)
        monkeypatch.setenv("SYNC_QUEUE_URL", f"{fake.url}/queue")
        work_queue.sqs.cache_clear()
        get_settings.cache_clear()
        yield fake
    work_queue.sqs.cache_clear()
    get_settings.cache_clear()


def enqueue(count: int) -> None:
    work_queue.enqueue(work_queue.RunMessage(id=UUID(int=number), studio_id=UUID(int=1)) for number in range(count))


def test_each_unsent_message_is_counted(failing_queue: Fake) -> None:
    refused = {"Failed": [{"Id": "1", "Code": "InternalError", "SenderFault": False}], "Successful": []}
    failing_queue.on("/", Reply(refused), Reply({"__type": "AccessDenied"}, status=403))
    assert recorded(lambda: enqueue(10)).total("QueueErrors") == 1
    assert recorded(lambda: enqueue(13)).total("QueueErrors") == 13


def test_an_invocations_trace_continues_in_its_messages(failing_queue: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "ansel-prod-tick")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    failing_queue.on("/", Reply({"Successful": []}))
    enqueue(1)
    assert [request.headers["x-amzn-trace-id"] for request in failing_queue.requests] == [trace]


def test_kms_uses_and_failures_are_counted(kms: Kms) -> None:
    keys, studio_id = KmsKeyProvider((kms.here,)), UUID(int=1)
    wrapped: list[bytes] = []
    metrics = recorded(lambda: wrapped.append(keys.wrap(bytes(32), studio_id)))
    assert (metrics.total("KmsCalls"), metrics.total("KmsErrors")) == (1, 0)
    KmsCalls(HERE).answers = refusal("ThrottlingException")

    def unwrap() -> None:
        with pytest.raises(Unavailable):
            keys.unwrap(wrapped[0], studio_id)

    metrics = recorded(unwrap)
    assert (metrics.total("KmsCalls"), metrics.total("KmsErrors")) == (1, 1)
