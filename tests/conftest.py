"""Shared by all tests: one embedded PostgreSQL per run, a database per worker, local SQS, the sandbox, and the API."""

import io
import json
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pg8000.native
import pytest
from alembic import command
from alembic.config import Config
from hypothesis import settings

from dev.postgres import HOST, JOINT, Postgres, bootstrap
from migrations.privileges import ADMIN, API, LOGINS
from tests.quick import is_quick

ROOT = Path(__file__).parent.parent
TEMPLATE = "ansel_template"
SHARED_TABLES = ("platform_circuit", "app_quota", "data_deletion", "studio_erasure")
"""Tables that no test needs data in"""
ENCRYPTION_KEY = "5ea1" * 16
"""Wraps data keys in the tests; the canary search knows it too."""
PROOF_KEY = "7e57" * 16
"""Proves studios to the database in the tests; the canary search knows it too."""
PUBLIC_URL = "https://api.studio.example/v1"
TODAY = date(2026, 11, 18)
"""The date of every sandbox in the tests, whatever the current day: a Wednesday in an ordinary month."""
NOON = datetime.combine(TODAY, time(12), UTC)
"""The sandboxes' time at their start, for clients and clocks that must agree with them."""
UNLIMITED = dict.fromkeys(
    ("KEY_REQUESTS_PER_SECOND", "KEY_REQUEST_BURST", "STUDIO_REQUESTS_PER_SECOND", "STUDIO_REQUEST_BURST"), "100000"
) | {"STUDIO_PLATFORM_CALLS_PER_MINUTE": "100000"}
"""A test sends in a second what a studio sends in an hour; tests of the limits set their own."""
CONSENT = {"PUBLIC_URL": PUBLIC_URL, "RETURN_URLS": "https://app.studio.example/settings"}

# Set only here, so that a test runs the same way whatever is collected with it. The machine's speed decides no test.
settings.register_profile("suite", deadline=None, max_examples=100)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


class _Server:
    """The run's PostgreSQL, started when the first test needs it."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.postgres: Postgres | None = None

    def start(self) -> dict[str, Any]:
        if self.postgres is None:
            self.folder = Path(tempfile.mkdtemp(prefix="ansel-tests-"))
            self.folder.chmod(0o755)
            self.postgres = Postgres(self.folder / "data", durable=False)
            self.postgres.start()
            owner = bootstrap(self.postgres, TEMPLATE, joint=True).owner
            os.environ["MIGRATION_DATABASE_URL"] = owner
            command.upgrade(Config(ROOT / "alembic.ini"), "head")
        return {
            "port": self.postgres.port,
            "passwords": {
                user: self.postgres.passwords.get(user) for user in ("postgres", "ansel_owner", JOINT, *LOGINS)
            },
        }

    def stop(self) -> None:
        if self.postgres is not None:
            self.postgres.stop()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


_server = _Server()


def pytest_configure(config: pytest.Config) -> None:
    os.environ.update(ANSEL_STAGE="local", TENANT_PROOF_KEYS=PROOF_KEY)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="run only the tests that start nothing (tests/quick.py)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A parallel run executes a name once, so of two tests with the same name one would silently not run."""
    names = Counter(item.nodeid for item in items)
    if shared := [name for name, times in names.items() if times > 1]:
        raise pytest.UsageError(f"tests share a name: {', '.join(shared)}")
    if config.getoption("--quick"):
        left_out = [item for item in items if not is_quick(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if is_quick(item)]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """CI has all that the tests need: there a skipped test is a failed one."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("ANSEL_FAIL_ON_SKIP"):
        report.outcome, report.longrepr = "failed", f"skipped, which CI does not allow: {report.longrepr[-1]}"


def pytest_configure_node(node: Any) -> None:
    """Runs in the controller, for each xdist worker: they share its server."""
    if not node.config.getoption("--quick"):
        node.workerinput["server"] = json.dumps(_server.start())


def pytest_unconfigure(config: pytest.Config) -> None:
    _server.stop()


@dataclass(frozen=True)
class Database:
    """This worker's migrated database."""

    name: str
    port: int
    passwords: Mapping[str, str]

    def url(self, user: str) -> str:
        return f"postgresql://{user}:{self.passwords[user]}@{HOST}:{self.port}/{self.name}"

    def connect(self, user: str = "postgres") -> pg8000.native.Connection:
        """A connection besides the product's; as `postgres` it sees every studio."""
        return pg8000.native.Connection(
            user, host=HOST, port=self.port, database=self.name, password=self.passwords[user]
        )


@pytest.fixture(autouse=True)
def own_log_context() -> Iterator[None]:
    """Fields that a test has bound outside an invocation do not appear on the next test's log lines."""
    from chalicelib import logs

    with logs.bound():
        yield


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Port and passwords of the run's PostgreSQL."""
    shared = getattr(request.config, "workerinput", {}).get("server")
    return json.loads(shared) if shared else _server.start()


@pytest.fixture(scope="session")
def database(server: dict[str, Any], worker_id: str) -> Iterator[Database]:
    """This worker's database, a copy of the migrated template, and the settings that point the product to it."""
    database = Database(f"ansel_{worker_id}", server["port"], server["passwords"])
    admin = Database("postgres", server["port"], server["passwords"]).connect()
    admin.run(f"CREATE DATABASE {database.name} TEMPLATE {TEMPLATE} OWNER ansel_owner")
    admin.close()
    LOGIN_URLS.update({role: database.url(role) for role in (JOINT, *LOGINS)})
    os.environ.update(
        DATABASE_URL=LOGIN_URLS[JOINT],
        MIGRATION_DATABASE_URL=database.url("ansel_owner"),
        ENCRYPTION_KEY=ENCRYPTION_KEY,
        **UNLIMITED,
    )
    from chalicelib.data.postgres.database import close_pool

    yield database
    close_pool()


LOGIN_URLS: dict[str, str] = {}
"""This worker's database, by role."""


@contextmanager
def login_as(role: str) -> Iterator[None]:
    """Inside the block the product is logged in as one of its functions, and not as all of them at once."""
    before = os.environ["DATABASE_URL"]
    lead_product_to(urlsplit(LOGIN_URLS[role])._replace(path=urlsplit(before).path).geturl())
    try:
        yield
    finally:
        lead_product_to(before)


def as_operator() -> AbstractContextManager[None]:
    """The administrator's rights, for a test whose login lacks them; the joint role has them."""
    return nullcontext() if login() == JOINT else login_as(ADMIN)


def as_api() -> AbstractContextManager[None]:
    """Calls of the API by a test, even inside another function's block."""
    return login_as(API) if login() in set(LOGINS) - {API} else nullcontext()


def login() -> str | None:
    """The role that the product currently logs in as."""
    return urlsplit(os.environ["DATABASE_URL"]).username


def lead_product_to(url: str) -> None:
    from chalicelib.data.postgres.database import close_pool
    from chalicelib.settings import get_settings

    if os.environ["DATABASE_URL"] != url:
        os.environ["DATABASE_URL"] = url
        get_settings.cache_clear()
        close_pool()


@pytest.fixture(scope="session")
def superuser(database: Database) -> Iterator[pg8000.native.Connection]:
    connection = database.connect()
    yield connection
    connection.close()


@pytest.fixture
def clean_database(database: Database, superuser: pg8000.native.Connection) -> Database:
    """An empty database. Everything except the shared tables depends on a studio."""
    from chalicelib.services.authentication import forget_callers
    from chalicelib.settings import get_settings

    get_settings.cache_clear()
    forget_callers()
    superuser.run(";".join(f"DELETE FROM {table}" for table in ("studio", "sync_seen", *SHARED_TABLES)))
    return database


@pytest.fixture
def fresh(server: dict[str, Any], worker_id: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An empty database, and migrations configured for it as the schema's owner."""
    admin = Database("postgres", server["port"], server["passwords"]).connect()
    fresh = Database(f"fresh_{worker_id}", server["port"], server["passwords"])
    admin.run(f"CREATE DATABASE {fresh.name} OWNER ansel_owner")
    monkeypatch.setenv("MIGRATION_DATABASE_URL", fresh.url("ansel_owner"))
    yield fresh
    admin.run(f"DROP DATABASE {fresh.name} WITH (FORCE)")
    admin.close()


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The local stack's queue, and a boto3 client for it. In a process of its own: moto's state is per process."""
    import boto3

    from dev.environment import cloud, plain
    from dev.ports import find_free_port
    from dev.supervisor import Part, Supervisor

    port = find_free_port()
    os.environ.update(cloud(port))
    env = {**plain(os.environ), **cloud(port)}
    with Supervisor() as parts:
        log = tmp_path_factory.mktemp("queue") / "queue.log"
        parts.start(Part("queue", ["-m", "dev.aws", "--port", str(port)], env, log))
        parts.wait_ready()
        yield boto3.client("sqs")


@pytest.fixture(scope="session")
def started_delivery_function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port and the log of the local stack's delivery function, which runs in a process of its own."""
    from dev.environment import bare
    from dev.ports import find_free_port
    from dev.supervisor import Part, Supervisor

    port, log = find_free_port(), tmp_path_factory.mktemp("deliver") / "deliver.log"
    with Supervisor() as parts:
        parts.start(Part("deliver", ["-m", "dev.functions", "--port", str(port)], bare(os.environ), log))
        parts.wait_ready()
        yield port, log


@pytest.fixture
def delivery_function(started_delivery_function: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The delivery function, where the product finds it. Returns its log."""
    port, log = started_delivery_function
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://{HOST}:{port}")
    return log


@pytest.fixture
def queue(local_aws: Any) -> "Queue":
    """The sync queue, empty."""
    queue = Queue(local_aws, os.environ["SYNC_QUEUE_URL"])
    queue.receive()
    return queue


@dataclass(frozen=True)
class Queue:
    sqs: Any
    url: str

    def receive(self) -> list[dict[str, Any]]:
        """Removes every waiting message; returns their bodies."""
        bodies = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                bodies.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


@pytest.fixture
def platforms(clean_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The sandbox platforms on a fixed day, with the product's calls redirected to them."""
    from chalicelib.settings import get_settings
    from dev.sandbox import CREDENTIALS, Sandbox

    with Sandbox(today=TODAY) as sandbox:
        for name, value in {**CREDENTIALS, **CONSENT, "PLATFORM_SANDBOX_URL": sandbox.url}.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        yield sandbox
    get_settings.cache_clear()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def database_time() -> datetime:
    """By the clock that decides leases and the age of keys."""
    from chalicelib.data.postgres.database import read
    from chalicelib.data.sync.runs import DATABASE_TIME

    return read(None, DATABASE_TIME)


def from_now(moment: str) -> timedelta:
    """The time until a moment in an API response, such as when a run is resumed."""
    return datetime.fromisoformat(moment) - datetime.now(UTC)  # today: the database's clock set it, and goes on


class Api:
    """Calls the API of `app.app` in this process, as API Gateway would, with one studio's key."""

    def __init__(self, client: Any, studio_id: UUID, key: str) -> None:
        self.studio_id = studio_id
        self.key = key
        self._client = client

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("POST", path, body, headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("PUT", path, body, headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.send("DELETE", path, headers=headers)

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """`body` is sent as JSON, bytes unchanged; header names may have _ for -."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **named}
        with as_api():
            answer = self._client.http.request(method, path, headers=sent, body=raw)
        return Answer(answer.status_code, answer.headers, answer.body.decode())


def paused_streams(api: Api) -> dict[str, bool]:
    """Whether each stream's schedule is paused."""
    return {item["syncType"]: item["paused"] for item in api.get("/api/sync/status").json["items"]}


class LogLines:
    """What the product has logged since the test began."""

    def __init__(self) -> None:
        from chalicelib.logs import JsonFormatter

        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(JsonFormatter())

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def named(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if line["event"] == event]


@pytest.fixture
def log_lines() -> Iterator[LogLines]:
    lines = LogLines()
    logging.getLogger().addHandler(lines.handler)
    yield lines
    logging.getLogger().removeHandler(lines.handler)


class Studios:
    """Creates studios, each with an API that acts for it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def new(self, *scopes: str, time_zone: str = "UTC") -> Api:
        from chalicelib.services.studios import create_studio

        with as_operator():
            studio_id = create_studio("Studio", time_zone=time_zone)
        return self.with_key(studio_id, *(scopes or ("admin",)))

    def with_key(self, studio_id: UUID, *scopes: str) -> Api:
        from chalicelib.services.api_keys import create_api_key

        with as_operator():
            key = create_api_key(studio_id, "test", scopes)
        return Api(self._client, studio_id, key.reveal())


@pytest.fixture
def studios(clean_database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studios]:
    from chalice.test import Client

    from app import app

    # Chalice's client replaces it during a request, and of two at once the later to end restores the other's copy, from
    # which nothing reaches OpenSSL or a child process.
    monkeypatch.setattr(os, "environ", os.environ)
    with Client(app, stage_name="local", project_dir=str(ROOT)) as client:
        yield Studios(client)


@pytest.fixture
def api(studios: Studios) -> Api:
    """The API, with an admin key of a fresh studio."""
    return studios.new()
