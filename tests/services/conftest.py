"""A studio connected to the sandbox, and a worker that serves its queue."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.services.sync import execute as sync_execute
from dev.sandbox import Sandbox, issue_token
from migrations.privileges import SYNC
from tests.conftest import Api, Queue, login_as
from tests.http_fake import Fake, Reply, http_fake

PLENTY_MS = 900_000


@dataclass(frozen=True)
class Studio:
    """A connected studio."""

    api: Api
    queue: Queue
    account: str

    @property
    def id(self) -> UUID:
        return self.api.studio_id

    def sync(self, stream: str, *, remaining_ms: Callable[[], int] = lambda: PLENTY_MS) -> dict[str, Any]:
        """Starts a manual sync and works until the queue is empty; returns the run."""
        run = self.start(stream)
        self.work(remaining_ms=remaining_ms)
        return self.run(run["id"])

    def start(self, stream: str) -> dict[str, Any]:
        answer = self.api.post("/api/sync/google", {"syncType": stream})
        assert answer.status == 202, answer.text
        return answer.json["runs"][0]  # type: ignore[no-any-return]

    def work(self, *, remaining_ms: Callable[[], int] = lambda: PLENTY_MS) -> list[str]:
        """Serves messages until there are none; returns the outcomes of the runs."""
        from chalicelib.services.sync.execute import execute_run

        outcomes = []
        while messages := self.queue.receive():
            for message in messages:
                with login_as(SYNC):
                    outcomes.append(execute_run(UUID(message["studioId"]), UUID(message["id"]), remaining_ms))
        return outcomes

    def run(self, run_id: str) -> dict[str, Any]:
        return self.api.get(f"/api/sync/log/{run_id}").json  # type: ignore[no-any-return]

    def connection(self) -> dict[str, Any]:
        return self.api.get("/api/connections/google").json  # type: ignore[no-any-return]


def connect(api: Api, queue: Queue, account: str = "studio", **mint_options: Any) -> Studio:
    grant = issue_token(account, **mint_options)
    answer = api.post(
        "/api/connections",
        {
            "platform": "google",
            "accessToken": grant.access_token,
            "refreshToken": grant.refresh_token,
            "expiresIn": max(grant.expires_in, 1),
            "scopes": list(grant.scopes),
        },
    )
    assert answer.status == 201, answer.text
    return Studio(api, queue, account)


@pytest.fixture
def studio(api: Api, queue: Queue, platforms: Sandbox) -> Studio:
    """Connected to the account of a realistic studio."""
    return connect(api, queue)


@pytest.fixture
def bulk(api: Api, queue: Queue, platforms: Sandbox) -> Studio:
    """Connected to an account with 2,500 events: three pages."""
    return connect(api, queue, "bulk-2500")


CALENDAR = "www.googleapis.com"


EVENTS = "/calendar/v3/calendars/"


def scalar(connection: pg8000.native.Connection, sql: str, **params: Any) -> Any:
    return connection.run(sql, **params)[0][0]


def make_due(superuser: pg8000.native.Connection, run_id: str) -> None:
    """Ends the wait of a deferred run, and of the throttle with it."""
    superuser.run("UPDATE sync_log SET resume_at = now() WHERE id = :id", id=run_id)
    superuser.run("UPDATE account_quota SET blocked_until = NULL; UPDATE platform_circuit SET open_until = now()")


def execute(studio: Studio, run_id: str) -> str:
    return sync_execute.execute_run(studio.id, UUID(run_id), lambda: PLENTY_MS)


def status_of(studio: Studio, stream: str = "bookings") -> dict[str, Any]:
    statuses = studio.api.get("/api/sync/status").json["items"]
    return next(status for status in statuses if status["syncType"] == stream)


@pytest.fixture
def receiver() -> Iterator[Fake]:
    """A studio's own server, which accepts webhooks at /hook."""
    with http_fake() as fake:
        fake.on("/hook", Reply(status=200))
        yield fake
