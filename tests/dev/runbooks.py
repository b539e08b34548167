"""docs/operations.md as its readers use it: a runbook by its heading, and the commands in it."""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import pytest

from chalicelib.services.authentication import forget_callers
from chalicelib.workers.admin import admin
from chalicelib.workers.sync import sync
from chalicelib.workers.tick import tick
from dev.invocation import QUEUE, Context, queue_event, schedule_event
from migrations.privileges import SYNC, TICK
from tests.conftest import ROOT, Api, Database, Queue, login_as
from tests.services.administration import forget

OPERATIONS = ROOT / "docs" / "operations.md"
ADMIN = re.compile(r"admin '(\{.*?\})'")


@dataclass(frozen=True)
class Runbook:
    title: str
    text: str

    def commands(self) -> list[dict[str, Any]]:
        """Its commands for the admin function, with the words in capitals unchanged."""
        return [json.loads(command) for command in ADMIN.findall(self.text)]

    def command(self, name: str, **values: object) -> dict[str, Any]:
        """Its last command with this name, with these values for the words in capitals."""
        (*_, command) = (command for command in self.commands() if command["command"] == name)
        return {field: values.get(str(value), value) for field, value in command.items()}

    def payloads(self) -> list[dict[str, Any]]:
        """The payloads for other functions."""
        return [json.loads(payload) for payload in re.findall(r"--payload '(\{.*?\})' /", self.text)]

    def statements(self) -> list[str]:
        return re.findall(r"```sql\n(.*?)```", self.text, re.DOTALL)


@cache
def read_runbooks() -> dict[str, Runbook]:
    """Runbooks by title."""
    parts = re.split(r"^## (.+)$", OPERATIONS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: Runbook(title, text) for title, text in zip(parts[1::2], parts[2::2], strict=True)}


@dataclass(frozen=True)
class Operator:
    """Gives commands to the admin function, which runs as when deployed, with fresh state."""

    database: Database
    dead_letters: str

    def give(self, command: dict[str, Any]) -> Any:
        with pytest.MonkeyPatch.context() as environ:
            environ.setenv("DATABASE_URL", self.database.url("ansel_admin"))
            environ.setenv("MIGRATION_DATABASE_URL", self.database.url("ansel_owner"))
            environ.setenv("DEAD_LETTER_QUEUE_URL", self.dead_letters)
            forget()
            answer = admin({name: _text(value) for name, value in command.items()}, Context("ansel-local-admin", 900))
        forget()
        return answer


def _text(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value


@pytest.fixture
def dead(queue: Queue) -> Queue:
    """The dead-letter queue, empty."""
    letters = Queue(queue.sqs, queue.sqs.get_queue_url(QueueName=f"{QUEUE}-dead")["QueueUrl"])
    letters.receive()
    return letters


@pytest.fixture
def operator(clean_database: Database, dead: Queue) -> Operator:
    return Operator(clean_database, dead.url)


def serve(queue: Queue) -> None:
    """A worker processes everything in the queue."""
    while bodies := queue.receive():
        for body in bodies:
            message = {"MessageId": "1", "ReceiptHandle": "1", "MD5OfBody": "", "Body": json.dumps(body)}
            with login_as(SYNC):
                sync(queue_event(message), Context("sync", 300))


def tick_once() -> None:
    with login_as(TICK):
        tick(schedule_event("tick"), Context("tick", 55))


def new_key(operator: Operator, studio: Api) -> tuple[UUID, Api]:
    """Another key of the studio, and an API client that uses it."""
    made = operator.give({"command": "api-key create", "studioId": str(studio.studio_id), "name": "second"})
    return UUID(made["keyId"]), Api(studio._client, studio.studio_id, made["apiKey"])


def answers(api: Api) -> int:
    """The API's status for a caller that no container has cached."""
    forget_callers()
    return api.get("/api/connections").status
