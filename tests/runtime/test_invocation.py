"""Each invocation: its lines carry its ids, it ends with one event, and its metrics are written, as documented."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pg8000.native
import pytest

from chalicelib import logs, telemetry
from chalicelib.runtime.invocation import invocation_of
from chalicelib.runtime.jobs import job_invocation
from chalicelib.settings import get_settings
from chalicelib.workers.sync import sync
from chalicelib.workers.tick import tick
from dev.invocation import Context, queue_event, schedule_event
from dev.lambda_runtime import Container, Function
from dev.sandbox import Sandbox
from tests.conftest import ROOT, Api, Database, LogLines, Queue
from tests.emf import read_points, series
from tests.services.conftest import connect

DOCS = (ROOT / "docs/observability.md").read_text()
TRACE_ID = "1-5759e988-bd862e3fe1be46a994272793"
SITE_PACKAGES = Path(msgspec.__file__).parent.parent
DEPLOYED = {
    "ANSEL_STAGE": "test",
    "KMS_KEY_IDS": "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555",
    "SYNC_QUEUE_URL": "http://127.0.0.1:9/queue",
}
SECTION = re.compile(r"^## (?P<title>.+)\n(?P<text>(?:(?!## ).*\n)*)", re.MULTILINE)
NAMED_OTHERWISE = {
    *("request.done", "request.failed", "job.done", "job.failed", "log.failed"),
    *("run.deferred", "visit.deferred"),
}
"""Events whose names are not next to the call that logs them"""
QUERY_LANGUAGE = {
    *("filter", "sort", "limit", "display", "stats", "by", "desc", "asc", "in", "like", "and"),
    *("count", "sum", "avg", "max", "latest", "pct"),
}
EVENT = re.compile(r"""(?:(?:logs\.event|_log)\(\s*|\bunknown=)"([a-z_]+\.[a-z_]+)\"""")


def section(title: str) -> str:
    return next(found["text"] for found in SECTION.finditer(DOCS) if found["title"] == title)


def table(title: str) -> list[list[str]]:
    """The rows of a section's table."""
    rows = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


FIELDS = {name.strip("`"): lines.split(", ") for name, lines, _ in table("Fields")}


def documented(event: str) -> set[str]:
    """The fields that a line of this event may have."""
    family = {"request": "requests", "job": "jobs"}[event.partition(".")[0]]
    return {name for name, lines in FIELDS.items() if {"all", family, event} & set(lines)}


@contextmanager
def without(superuser: pg8000.native.Connection, table: str) -> Iterator[None]:
    superuser.run(f"ALTER TABLE {table} RENAME TO gone")
    try:
        yield
    finally:
        superuser.run(f"ALTER TABLE gone RENAME TO {table}")


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={TRACE_ID};Parent=53995c3f42cd8ad8;Sampled=1")


@pytest.fixture
def deployed(clean_database: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stage that writes metrics."""
    monkeypatch.delenv("ENCRYPTION_KEY")
    for name, value in DEPLOYED.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def message(body: Mapping[str, Any]) -> dict[str, Any]:
    return queue_event({"MessageId": "m", "ReceiptHandle": "r", "Body": json.dumps(body), "MD5OfBody": ""})


@pytest.mark.usefixtures("traced")
def test_a_rejected_request_has_every_documented_field(api: Api, log_lines: LogLines) -> None:
    answer = api.get("/api/connections/google")
    (done,) = log_lines.named("request.done")
    assert set(done) == documented("request.done")
    assert (done["status"], done["code"], done["level"]) == (404, "connection_not_found", "info")
    assert (done["studio_id"], done["request_id"]) == (str(api.studio_id), answer.json["requestId"])
    assert (done["statements"], done["round_trips"], done["trace_id"]) == (9, 3, TRACE_ID)
    assert (done["stage"], done["route"]) == ("local", "/api/connections/{platform}")
    assert not log_lines.named("request.failed")


@pytest.mark.usefixtures("traced")
def test_a_failed_request_has_every_documented_field(
    api: Api, log_lines: LogLines, superuser: pg8000.native.Connection
) -> None:
    with without(superuser, "sync_log"):
        api.get("/api/sync/log")
    (failed,) = log_lines.named("request.failed")
    assert set(failed) == documented("request.failed")
    assert (failed["code"], failed["level"]) == ("internal_error", "error")
    (done,) = log_lines.named("request.done")
    assert (done["status"], done["code"]) == (500, "internal_error")


@pytest.mark.usefixtures("traced")
def test_a_failed_job_has_every_documented_field(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection, log_lines: LogLines
) -> None:
    run = connect(api, queue).start("bookings")
    (body,) = queue.receive()
    context = Context("ansel-local-sync", 300)
    with without(superuser, "booking"), pytest.raises(Exception, match="booking"):
        sync(message(body), context)
    (failed,), (done,) = log_lines.named("job.failed"), log_lines.named("job.done")
    assert set(failed) == documented("job.failed")
    assert set(done) == documented("job.done")
    assert (done["studio_id"], done["run_id"]) == (str(api.studio_id), run["id"])
    assert (done["function"], done["job"]) == ("ansel-local-sync", "sync")
    assert (done["request_id"], done["code"]) == (context.aws_request_id, "internal_error")
    assert done["statements"] >= done["round_trips"] > 0
    assert 0 < done["remaining_ms"] <= 300_000
    (stopped,) = log_lines.named("run.crashed")
    assert (stopped["request_id"], stopped["run_id"]) == (context.aws_request_id, run["id"])


def test_bound_fields_do_not_leak_into_the_next_invocation(
    api: Api, queue: Queue, platforms: Sandbox, log_lines: LogLines
) -> None:
    connect(api, queue).start("bookings")
    (body,) = queue.receive()
    sync(message(body), Context("sync", 300))
    tick(schedule_event("tick"), Context("tick", 60))
    _, done = log_lines.named("job.done")
    assert done["job"] == "tick"
    assert not {"studio_id", "run_id", "code"} & set(done)


def test_only_the_first_invocation_of_a_container_is_cold() -> None:
    lines = in_a_fresh_interpreter(
        "from chalicelib.runtime.jobs import job_invocation",
        "for name in ('first', 'second'):",
        "    with job_invocation(name, None): pass",
    )
    assert [(line["job"], line["cold_start"]) for line in lines] == [("first", True), ("second", False)]


def test_missing_settings_are_logged_as_json_at_the_start() -> None:
    lines = in_a_fresh_interpreter(
        "from chalicelib.workers.tick import tick",
        "from dev.invocation import Context, schedule_event",
        "try: tick(schedule_event('tick'), Context('ansel-prod-tick', 60))",
        "except Exception as error: assert type(error).__name__ == 'SettingsError'",
    )
    failed, done = lines
    assert (failed["event"], failed["code"], failed["level"]) == ("job.failed", "misconfigured", "error")
    assert "ANSEL_STAGE" in failed["error"]
    assert (done["event"], done["statements"], done["function"]) == ("job.done", 0, "ansel-prod-tick")


def in_a_fresh_interpreter(*code: str) -> list[dict[str, Any]]:
    """Its standard output, which consists of log lines only."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], cwd=ROOT, env={}, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_under_lambdas_runtime_client_each_line_is_an_event_with_its_invocations_ids(
    clean_database: Database, tmp_path: Path
) -> None:
    function = Function("ansel-test-tick", "chalicelib.workers.tick.tick", 512, 60)
    environ = {**DEPLOYED, "DATABASE_URL": clean_database.url("ansel_joint")}
    with Container(function, ROOT, SITE_PACKAGES, environ, log=tmp_path / "log") as container:
        for _ in range(2):
            assert container.invoke(schedule_event("tick")).error is None
        lines = [json.loads(line) for line in container.output.splitlines()]
    first, second = lines[:3], lines[3:]
    for told, is_cold in ((first, True), (second, False)):
        assert [line["event"] for line in told] == ["tick.done", "job.done", "metrics"]
        assert (told[1]["cold_start"], told[2]["ColdStarts"]) == (is_cold, int(is_cold))
        assert {line["function"] for line in told} == {"ansel-test-tick"}
        assert len({(line["request_id"], line["trace_id"]) for line in told}) == 1
    assert first[0]["request_id"] != second[0]["request_id"]
    assert first[0]["trace_id"] != second[0]["trace_id"]


@pytest.mark.usefixtures("deployed")
def test_an_invocation_ends_with_its_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    tick(schedule_event("tick"), Context("ansel-test-tick", 60))
    points = read_points(capsys.readouterr().out)
    values = {
        name: points[series(name, Stage="test")] for name in ("Invocations", "Errors", "ScheduleLag", "ColdStarts")
    }
    assert (values["Invocations"], values["Errors"], values["ScheduleLag"]) == ([1], [0], [0])
    assert values["ColdStarts"] in ([0], [1])
    assert points[series("Duration", Stage="test")][0] > 0
    assert points[series("Statements", Stage="test")][0] > points[series("RoundTrips", Stage="test")][0] > 0


@pytest.mark.usefixtures("deployed")
def test_a_job_that_raises_still_writes_its_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with job_invocation("admin", Context("ansel-test-admin", 60)):
            telemetry.count("KmsCalls")
            raise LookupError

    with pytest.raises(LookupError):
        work()
    text = capsys.readouterr().out
    points = read_points(text)
    assert points[series("Errors", Stage="test")] == [1]
    assert points[series("KmsCalls", Stage="test")] == [1]
    document = next(json.loads(line) for line in text.splitlines() if "_aws" in line)
    assert (document["event"], document["function"]) == ("metrics", "ansel-test-admin")


@pytest.mark.usefixtures("deployed")
def test_only_a_failed_request_counts_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with invocation_of("request", None) as refused:
        refused.fields["status"] = 404
    with invocation_of("request", None) as failed:
        failed.fail(RuntimeError("internal"))
    assert read_points(capsys.readouterr().out)[series("Errors", Stage="test")] == [0, 1]


def test_the_local_stage_writes_no_metrics(clean_database: Any, capsys: pytest.CaptureFixture[str]) -> None:
    tick(schedule_event("tick"), Context("tick", 60))
    assert "_aws" not in capsys.readouterr().out


def test_an_empty_lambda_context_is_accepted(log_lines: LogLines) -> None:
    with job_invocation("admin", None):
        logs.event("x.y")
    (line,) = log_lines.named("x.y")
    assert set(line) <= documented("job.done")


def test_the_documented_metrics_are_complete() -> None:
    rows = [[name.strip("`"), unit, *rest] for name, unit, *rest in table("Metrics")]
    there = [
        [name, metric.unit, ", ".join(metric.dimensions), metric.meaning] for name, metric in telemetry.METRICS.items()
    ]
    assert rows == there


def test_the_documented_events_are_complete() -> None:
    documented_events = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", "\n".join(row[0] for row in table("Events"))))
    source = "\n".join(path.read_text() for path in (ROOT / "chalicelib").rglob("*.py"))
    assert documented_events - NAMED_OTHERWISE == set(EVENT.findall(source))


def test_the_documented_queries_use_existing_fields() -> None:
    queries = "\n".join(re.findall(r"```text\n(.*?)```", section("Queries"), re.DOTALL))
    bare = re.sub(r'"[^"]*"|/\S+/|\bas \w+', "", queries)
    own = {"platform", "stream", "outcome", "reason", *telemetry.METRICS, *FIELDS}
    aliases = set(re.findall(r"\bas (\w+)", queries))
    assert set(re.findall(r"[A-Za-z_]+", bare)) - QUERY_LANGUAGE - aliases <= own
