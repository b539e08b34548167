"""The work queue: every message is sent once, in batches that are sent concurrently."""

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import boto3
import pytest

from chalicelib import work_queue
from chalicelib.settings import get_settings
from dev.sandbox.server import Server
from dev.sandbox.wire import Request, Response, as_json
from tests.conftest import Queue

WAIT_SECONDS = 10.0


def enqueue(count: int) -> None:
    work_queue.enqueue(work_queue.RunMessage(id=UUID(int=number), studio_id=UUID(int=1)) for number in range(count))


@pytest.mark.parametrize("count", [0, 1, 10, 11, 95])
def test_each_message_arrives_once(count: int, clean_database: object, queue: Queue) -> None:
    enqueue(count)
    assert sorted(body["id"] for body in queue.receive()) == [str(UUID(int=number)) for number in range(count)]


def test_a_message_may_be_delayed() -> None:
    message = work_queue.RunMessage(id=UUID(int=1), studio_id=UUID(int=2))
    assert [entry["DelaySeconds"] for entry in work_queue.entries([message], 3)] == [3]
    assert [entry["DelaySeconds"] for entry in work_queue.entries([message])] == [0]


@pytest.fixture
def meeting_point(clean_database: object, local_aws: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """An SQS that answers three requests together or not at all; yields the sizes of the batches it received."""
    together, taken = threading.Barrier(3, timeout=WAIT_SECONDS), list[int]()

    def answer(request: Request) -> Response:
        together.wait()
        taken.append(len(request.json()["Entries"]))
        return as_json({"Successful": [], "Failed": []})

    server = Server(answer)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("SYNC_QUEUE_URL", f"{server.url}/queue")
    forget()
    yield taken
    server.stop()
    forget()


def forget() -> None:
    work_queue.sqs.cache_clear()
    get_settings.cache_clear()


def test_concurrent_threads_create_one_client(meeting_point: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating a client is not thread-safe; using one is."""
    clients, make = list[object](), boto3.client

    def slowly(*args: Any, **options: Any) -> Any:
        time.sleep(0.05)
        clients.append(make(*args, **options))
        return clients[-1]

    monkeypatch.setattr(boto3, "client", slowly)
    enqueue(25)
    assert len(clients) == 1


def test_batches_are_sent_concurrently(meeting_point: list[int]) -> None:
    enqueue(25)
    assert sorted(meeting_point) == [5, 10, 10]
