"""The packaged zip on its own, under AWS's runtime client: real events, a real database, a queue and KMS."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pg8000.native
import pytest
import yaml

from dev.environment import cloud
from dev.errors import StackError
from dev.invocation import queue_event, schedule_event
from dev.lambda_runtime import Container, Function, functions, lay_out_runtime
from dev.sandbox import CREDENTIALS, Sandbox, issue_token
from migrations.privileges import LOGINS
from tests.canary import Evidence
from tests.conftest import CONSENT, PROOF_KEY, Database, Queue
from tests.deploy.conftest import Package
from tests.deploy.containers import Cloud, Reply, endings, lines
from tests.http_fake import Reply as Answered
from tests.http_fake import http_fake

API, TICK, SYNC, MAINTENANCE, ADMIN = "APIHandler", "Tick", "Sync", "Maintenance", "Admin"
DELIVER = "Deliver"
LOGIN_OF = dict(zip((API, TICK, SYNC, MAINTENANCE, ADMIN), LOGINS, strict=True))


@pytest.fixture(scope="module")
def kms_key(local_aws: Any) -> str:
    import boto3

    return str(boto3.client("kms").create_key()["KeyMetadata"]["Arn"])


@pytest.fixture
def deployed(
    package: Package, platforms: Sandbox, queue: Queue, kms_key: str, database: Database, tmp_path: Path
) -> Iterator[Cloud]:
    """In the `test` stage: as strict as the others, except for TLS and the sandbox."""
    environ = {
        **{name: os.environ[name] for name in cloud(0)},
        **CREDENTIALS,
        **CONSENT,
        "ANSEL_STAGE": "test",
        "KMS_KEY_IDS": kms_key,
        "TENANT_PROOF_KEYS": PROOF_KEY,
        "PLATFORM_SANDBOX_URL": platforms.url,
    }
    started = Cloud(package, tmp_path, environ, {name: database.url(role) for name, role in LOGIN_OF.items()})
    passwords = {user: password for user, password in database.passwords.items() if password}
    started.secrets = {f"password of {user}": password for user, password in passwords.items()}
    started.secrets["key of tenant proofs"] = PROOF_KEY
    started.secrets |= {name: value for name, value in CREDENTIALS.items() if not name.endswith("_ID")}
    yield started
    started.stop()
    assert started.evidence.leaks(started.secrets) == set()


@pytest.fixture
def studio(deployed: Cloud) -> Cloud:
    """A studio whose data key is wrapped under KMS, with an admin key."""
    from chalicelib.security.vault import vault
    from chalicelib.services.api_keys import create_api_key
    from chalicelib.services.studios import create_studio
    from chalicelib.settings import get_settings

    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("KMS_KEY_IDS", deployed.environ["KMS_KEY_IDS"])
        environ.delenv("ENCRYPTION_KEY")
        get_settings.cache_clear()
        vault.cache_clear()
        deployed.key = create_api_key(create_studio("Studio"), "test", ("admin",)).reveal()
    get_settings.cache_clear()
    vault.cache_clear()
    deployed.secrets["API key"] = deployed.key.rsplit("_", 1)[1]
    return deployed


def connect(studio: Cloud, container: Container) -> Reply:
    grant = issue_token("studio")
    studio.secrets |= {"access token": grant.access_token, "refresh token": grant.refresh_token}
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresIn": grant.expires_in}
    return studio.call(
        container, "POST", "/api/connections", {"platform": "google", **tokens, "scopes": list(grant.scopes)}
    )


def backends(container: Container, superuser: pg8000.native.Connection) -> list[int]:
    """The server processes that serve this function."""
    found = superuser.run(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name",
        name=container.function.name,
    )
    return [pid for (pid,) in found or ()]


def test_the_template_has_every_function_and_each_one_starts(deployed: Cloud) -> None:
    assert set(deployed.functions) == {API, TICK, SYNC, MAINTENANCE, DELIVER, ADMIN}
    for container in [deployed.start(name) for name in deployed.functions]:
        container.invoke({})  # raises for a container that ended instead of asking for an event


def test_the_api_reports_that_it_is_healthy(deployed: Cloud) -> None:
    answer = deployed.call(deployed.start(API), "GET", "/api/health")
    assert (answer.status, answer.json["status"], answer.json["migrations"]) == (200, "ok", "current")


def test_the_package_describes_the_api_from_the_sources_in_it(deployed: Cloud) -> None:
    document = deployed.call(deployed.start(API), "GET", "/api/openapi.json").json
    assert document["components"]["schemas"]["Run"]["properties"]["attempts"]["description"]


def test_the_api_accepts_a_key_and_refuses_requests_without_one(studio: Cloud) -> None:
    api = studio.start(API)
    assert studio.call(api, "GET", "/api/connections").json == {"items": [], "nextCursor": None}
    refused = studio.call(api, "GET", "/api/connections", key="")
    assert (refused.status, refused.headers["Content-Type"]) == (401, "application/problem+json")


def test_every_refusal_is_a_problem_document(studio: Cloud) -> None:
    api, route = studio.start(API), "/api/connections/{platform}"
    answers = {
        404: studio.call(api, "GET", "/api/connections/google", route=route),
        400: studio.call(api, "POST", "/api/connections", "{"),
        422: studio.call(api, "POST", "/api/connections", {"platform": "google"}),
        405: studio.call(api, "PATCH", "/api/connections"),
    }
    assert {status: answer.status for status, answer in answers.items()} == {status: status for status in answers}
    assert {answer.headers["Content-Type"] for answer in answers.values()} == {"application/problem+json"}
    assert all(answer.json["requestId"] for answer in answers.values())


def test_an_unrouted_method_is_refused_before_any_handler(studio: Cloud) -> None:
    api = studio.start(API)
    assert studio.call(api, "OPTIONS", "/api/connections").status == 405
    assert endings(api) == []


def test_a_base64_body_is_decoded(studio: Cloud) -> None:
    body = json.dumps({"platform": "website"}).encode()
    answer = studio.call(studio.start(API), "POST", "/api/connections", body)
    assert (answer.status, answer.json["platform"]) == (201, "website")


def test_a_connection_is_created_its_run_started_and_its_records_stored(
    studio: Cloud, queue: Queue, superuser: pg8000.native.Connection
) -> None:
    api = studio.start(API)
    assert connect(studio, api).status == 201
    assert studio.start(TICK).invoke(schedule_event("tick")).error is None
    sync = studio.start(SYNC)
    messages = queue.receive()
    assert len(messages) == 2
    for message in messages:
        assert sync.invoke(received(json.dumps(message))).error is None
        studio.evidence.add("queue", json.dumps(message))
    runs = studio.call(api, "GET", "/api/sync/log").json["items"]
    assert {(run["trigger"], run["status"]) for run in runs} == {("schedule", "succeeded")}
    assert superuser.run("SELECT (SELECT count(*) > 0 FROM booking), (SELECT count(*) > 0 FROM inquiry)") == [
        [True, True]
    ]
    assert [line["event"] for line in endings(sync)] == ["job.done"] * 2


def received(body: str) -> dict[str, Any]:
    return queue_event({"MessageId": str(uuid4()), "ReceiptHandle": "handle", "Body": body, "MD5OfBody": ""})


def test_a_message_whose_run_fails_returns_to_the_queue(
    studio: Cloud, queue: Queue, superuser: pg8000.native.Connection
) -> None:
    api = studio.start(API)
    assert connect(studio, api).status == 201
    started = studio.call(api, "POST", "/api/sync/google", {"syncType": "bookings"}, route="/api/sync/{platform}")
    assert started.status == 202
    (message,) = queue.receive()
    superuser.run("ALTER TABLE booking RENAME TO hidden")
    try:
        outcome = studio.start(SYNC).invoke(received(json.dumps(message)))
    finally:
        superuser.run("ALTER TABLE hidden RENAME TO booking")
    assert outcome.error is not None
    studio.evidence.add("error", json.dumps(outcome.error))


def test_maintenance_completes(deployed: Cloud) -> None:
    container = deployed.start(MAINTENANCE)
    assert container.invoke(schedule_event("maintenance")).error is None
    assert [line["complete"] for line in lines(container) if line["event"] == "maintenance.done"] == [True]


def test_the_packaged_delivery_function_sends_with_the_stage_as_its_only_setting(
    package: Package, tmp_path: Path
) -> None:
    function = functions(yaml.safe_load((package.folder / "template.yaml").read_text()), "test")[DELIVER]
    runtime = lay_out_runtime(tmp_path / "runtime")
    with http_fake() as receiver:
        receiver.on("/hook", Answered(status=204))
        sent = {"deliveryId": str(uuid4()), "url": f"{receiver.url}/hook", "headers": {}, "body": "e30="}
        environ = {"ANSEL_STAGE": "test"}
        with Container(function, package.task, runtime, environ, log=tmp_path / "log") as container:
            assert container.invoke(sent).payload == {"status": 204}
            assert container.invoke({**sent, "url": "https://10.0.0.1/"}).payload == {"failure": "address_refused"}
        assert [request.body for request in receiver.requests] == ["{}"]


def test_the_admin_function_migrates_and_creates_a_studio_with_a_working_key(
    deployed: Cloud, database: Database
) -> None:
    admin = deployed.start(ADMIN, MIGRATION_DATABASE_URL=database.url("ansel_owner"))
    status = admin.invoke({"command": "migrate status"})
    assert status.error is None, status.error
    made = admin.invoke({"command": "studio create", "name": "Anna & Jo"})
    assert made.error is None, made.error
    (deployed.key,) = re.findall(r"ansel_[0-9a-f]{32}_[0-9a-f]{64}", json.dumps(made.payload))
    deployed.secrets["API key"] = deployed.key.rsplit("_", 1)[1]
    assert deployed.call(deployed.start(API), "GET", "/api/connections").status == 200


@pytest.mark.parametrize("variable", ["ANSEL_STAGE", "DATABASE_URL", "KMS_KEY_IDS", "SYNC_QUEUE_URL"])
def test_a_missing_setting_is_named_in_the_log_and_hidden_from_the_caller(deployed: Cloud, variable: str) -> None:
    without: dict[str, str | None] = {variable: None}
    api, tick = deployed.start(API, **without), deployed.start(TICK, **without)
    answer = deployed.call(api, "GET", "/api/connections")
    assert (answer.status, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert variable not in json.dumps(answer.json)
    outcome = tick.invoke(schedule_event("tick"))
    assert outcome.error is not None
    assert outcome.error["errorType"] == "SettingsError"
    assert variable in outcome.error["errorMessage"]
    assert variable in api.output


def test_a_missing_handler_is_an_error_at_startup(deployed: Cloud) -> None:
    deployed.functions["Broken"] = Function("broken", "app.nothing", 128, 10)
    container = deployed.start("Broken")
    assert container.init_error()["errorType"] == "Runtime.HandlerNotFound"
    with pytest.raises(StackError, match="ended"):
        container.invoke({})


def test_a_container_keeps_one_database_connection(studio: Cloud, superuser: pg8000.native.Connection) -> None:
    api = studio.start(API)
    studio.call(api, "GET", "/api/connections")
    (first,) = backends(api, superuser)
    for path in ("/api/connections", "/api/health", "/api/sync/log"):
        assert studio.call(api, "GET", path).status == 200
    assert backends(api, superuser) == [first]
    assert [line["cold_start"] for line in endings(api)] == [True, False, False, False]


@pytest.mark.parametrize("ended", [False, True])
def test_a_frozen_container_serves_its_next_request(
    studio: Cloud, superuser: pg8000.native.Connection, *, ended: bool
) -> None:
    """`ended`: the server closes every connection meanwhile, as in a restart or a fail-over."""
    api = studio.start(API)
    studio.call(api, "GET", "/api/connections")
    (first,) = backends(api, superuser)
    api.freeze()
    if ended:
        superuser.run("SELECT pg_terminate_backend(:pid, 5000)", pid=first)
    api.thaw()
    assert studio.call(api, "GET", "/api/connections").status == 200
    assert (backends(api, superuser) == [first]) is not ended


def test_a_container_shut_down_prints_nothing_and_leaves_no_connection(
    studio: Cloud, superuser: pg8000.native.Connection
) -> None:
    api = studio.start(API)
    studio.call(api, "GET", "/api/connections")
    before = api.output
    assert api.terminate() == -15
    assert api.output == before
    eventually(lambda: backends(api, superuser) == [])


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_only_the_package_and_the_runtime_can_be_imported(deployed: Cloud, package: Package, tmp_path: Path) -> None:
    """Other packages of the test environment would hide one that is missing from the zip."""
    task = tmp_path / "task"
    task.mkdir()
    (task / "probe.py").write_text(
        "import importlib.util, sys\n"
        "def run(event, context):\n"
        "    return {'found': [n for n in event if importlib.util.find_spec(n)], 'path': sys.path}\n"
    )
    runtime = lay_out_runtime(tmp_path / "other")
    probe = Function("probe", "probe.run", 128, 10)
    with Container(probe, task, runtime, {}, log=tmp_path / "probe.log") as container:
        told = container.invoke(["boto3", "pytest", "msgspec", "chalicelib", "pip", "moto"]).payload
    assert told["found"] == ["boto3"]
    assert not [path for path in told["path"] if "site-packages" in path]


def test_a_secret_printed_by_a_container_is_detected(deployed: Cloud, database: Database, tmp_path: Path) -> None:
    task = tmp_path / "task"
    task.mkdir()
    (task / "leak.py").write_text("import os\ndef run(event, context):\n    print(os.environ['DATABASE_URL'])\n")
    runtime, leak = lay_out_runtime(tmp_path / "other"), Function("leak", "leak.run", 128, 10)
    environ = {**deployed.environ, "DATABASE_URL": database.url("ansel_api")}
    with Container(leak, task, runtime, environ, log=tmp_path / "leak.log") as container:
        assert container.invoke({}).error is None
        printed = Evidence({"printed": [container.output.encode()]})
    assert printed.leaks(deployed.secrets) == {("printed", "password of ansel_api")}
