"""The Lambda handlers as Lambda uses them: imported alone in a fresh interpreter, and invoked with real events."""

import json
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest

from chalicelib.workers.maintenance import maintenance as run_maintenance
from chalicelib.workers.sync import sync as run_sync
from chalicelib.workers.tick import tick as run_tick
from dev.invocation import Context, queue_event, schedule_event
from dev.sandbox import Sandbox
from migrations.privileges import MAINTENANCE, SYNC, TICK
from tests.browser import walk
from tests.conftest import ROOT, Api, Queue, login_as
from tests.services.conftest import connect

HEAVY = (
    *("alembic", "aws_encryption_sdk", "boto3", "botocore", "cronsim", "cryptography", "html.parser", "jwt"),
    *("oauthlib", "sqlalchemy", "urllib3", "chalicelib.platforms.google", "chalicelib.platforms.meta"),
    "chalicelib.api.openapi_document",
)
OF_THE_API = ("app", "chalicelib.api")
OF_A_DELIVERY = {
    *("aws_environment", "clock", "errors", "logs", "secret", "settings", "telemetry", "urls"),
    *("runtime", "runtime.invocation", "runtime.jobs", "workers", "workers.deliveries"),
    *("security", "security.outbound", "security.outbound_messages", "security.outbound_urls"),
}
"""All of ours that is in the process that talks to studios' servers"""
WORKERS = [f"chalicelib.workers.{name}" for name in ("tick", "sync", "maintenance", "deliveries", "admin")]
MOST_MODULES = {"app": 395, "chalicelib.workers.admin": 130, "chalicelib.workers.deliveries": 155}
"""Beyond those of a bare interpreter; each one costs every cold start up to a millisecond of CPU time."""
PROBE = """
import sys
before = set(sys.modules)
import {module}
import json
ours = [module for name, module in sys.modules.items() if name.startswith("chalicelib.")]
classes = [kind for module in ours for kind in vars(module).values() if isinstance(kind, type)]
dataclasses = sorted({{str(kind) for kind in classes if "__dataclass_fields__" in vars(kind)}})
print(json.dumps([sorted(set(sys.modules) - before), dataclasses]))
"""


@pytest.fixture(params=[*WORKERS, "app"])
def module(request: pytest.FixtureRequest) -> str:
    """A module that Lambda starts with."""
    return str(request.param)


def probe(module: str) -> tuple[set[str], list[str]]:
    """The modules that it imports in a fresh interpreter, and the dataclasses that they define."""
    command = [sys.executable, "-c", PROBE.format(module=module)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, dataclasses = json.loads(done.stdout)
    return set(loaded), dataclasses


def test_a_module_that_lambda_starts_with_imports_nothing_heavy(module: str) -> None:
    loaded, _ = probe(module)
    unwanted = HEAVY if module == "app" else HEAVY + OF_THE_API
    assert not loaded.intersection(unwanted)
    assert len(loaded) <= MOST_MODULES.get(module, 350)


def test_the_delivery_function_imports_nothing_that_could_open_a_secret_or_a_database() -> None:
    loaded, _ = probe("chalicelib.workers.deliveries")
    ours = {name.removeprefix("chalicelib.") for name in loaded if name.startswith("chalicelib.")}
    assert ours == OF_A_DELIVERY
    assert not {name.partition(".")[0] for name in loaded} & {"pg8000", "scramp", "asn1crypto", "jwt"}


def test_a_module_that_lambda_starts_with_defines_no_dataclass(module: str) -> None:
    """Defining one takes a millisecond; a msgspec struct, which serves as well, a thirtieth of that."""
    _, dataclasses = probe(module)
    assert dataclasses == []


def tick(event: Any, context: Context) -> None:
    with login_as(TICK):
        run_tick(event, context)


def sync(event: Any, context: Context) -> None:
    with login_as(SYNC):
        run_sync(event, context)


def maintenance(event: Any, context: Context) -> None:
    with login_as(MAINTENANCE):
        run_maintenance(event, context)


def sqs_event(body: str) -> dict[str, Any]:
    return queue_event({"MessageId": str(uuid4()), "ReceiptHandle": "handle", "Body": body, "MD5OfBody": ""})


def test_a_tick_and_the_worker_bring_a_new_connection_up_to_date(api: Api, queue: Queue, platforms: Sandbox) -> None:
    connect(api, queue)
    tick(schedule_event("tick"), Context("tick", 60))
    for message in queue.receive():
        sync(sqs_event(json.dumps(message)), Context("sync", 300))
    runs = api.get("/api/sync/log").json["items"]
    assert [(run["trigger"], run["status"]) for run in runs] == [("schedule", "succeeded")] * 2


def test_the_worker_yields_when_its_time_is_nearly_up(api: Api, queue: Queue, platforms: Sandbox) -> None:
    studio = connect(api, queue, "bulk-1500")
    run = studio.start("bookings")
    (message,) = queue.receive()
    sync(sqs_event(json.dumps(message)), Context("sync", 30))
    assert studio.run(run["id"])["pages"] == 1
    assert queue.receive() == [message]


def test_maintenance_completes_in_time_and_reports(clean_database: Any, caplog: pytest.LogCaptureFixture) -> None:
    maintenance(schedule_event("maintenance"), Context("maintenance", 300))
    reports = [record.fields for record in caplog.records if record.getMessage() == "maintenance.done"]  # type: ignore[attr-defined]
    assert [report["complete"] for report in reports] == [True]


def test_the_worker_refreshes_the_grant_that_a_message_names(
    api: Api, queue: Queue, platforms: Sandbox, superuser: Any
) -> None:
    connect(api, queue)
    superuser.run("UPDATE sync_schedule SET enabled = false")
    superuser.run("UPDATE platform_connection SET refresh_at = now()")
    tick(schedule_event("tick"), Context("tick", 60))
    (message,) = queue.receive()
    assert (set(message), message["kind"]) == ({"kind", "id", "studioId"}, "refresh")
    sync(sqs_event(json.dumps(message)), Context("sync", 300))
    assert superuser.run("SELECT token_generation FROM platform_connection") == [[2]]


def test_the_worker_revokes_a_grant_that_was_never_completed(
    api: Api, queue: Queue, platforms: Sandbox, superuser: Any
) -> None:
    walk(api)
    superuser.run("UPDATE pending_grant SET expires_at = now(), due_at = now()")
    tick(schedule_event("tick"), Context("tick", 60))
    (message,) = queue.receive()
    assert (set(message), message["kind"]) == ({"kind", "id", "studioId"}, "revocation")
    sync(sqs_event(json.dumps(message)), Context("sync", 300))
    assert superuser.run("SELECT count(*) FROM pending_grant") == [[0]]
    assert platforms.requests.counts()["oauth2.revoke"] == 1


ID = "01a22ce8-8f1d-7946-a109-04b93da8779a"
WRONG = (
    *("", "{", "{}", "\\u0000", "[" * 5000, '{"kind": "run", "id": "x", "studioId": "y"}', f'{{"studioId": "{ID}"}}'),
    *(f'{{"kind": "run", "studioId": "{ID}"}}', f'{{"kind": "other", "id": "{ID}", "studioId": "{ID}"}}'),
)


@pytest.mark.parametrize("body", WRONG)
def test_a_malformed_message_is_dropped_and_logged(
    clean_database: Any, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    sync(sqs_event(body), Context("sync", 300))
    assert ("message.dropped", "malformed") in [(r.getMessage(), r.fields.get("reason")) for r in caplog.records]  # type: ignore[attr-defined]


def test_a_failing_message_returns_to_the_queue(api: Api, queue: Queue, platforms: Sandbox, superuser: Any) -> None:
    studio = connect(api, queue)
    studio.start("bookings")
    (message,) = queue.receive()
    superuser.run("ALTER TABLE booking RENAME TO hidden")
    try:
        with pytest.raises(Exception, match="booking"):
            sync(sqs_event(json.dumps(message)), Context("sync", 300))
    finally:
        superuser.run("ALTER TABLE hidden RENAME TO booking")
