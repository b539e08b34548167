"""A message that no worker can process, from the queue to the dead letters, and the state of its run meanwhile."""

from collections.abc import Iterator
from typing import Any

import pg8000.native
import pytest

from chalicelib.services.scheduling.schedules import start_due_runs
from chalicelib.services.throttling.retries import MAX_ATTEMPTS_WITHOUT_PROGRESS
from chalicelib.workers.sync import sync
from dev.aws import MAX_RECEIVES
from dev.invocation import QUEUE, Context, queue_event
from dev.sandbox import Sandbox
from tests.conftest import Api, Queue
from tests.services.conftest import Studio, connect


@pytest.fixture
def poisoned(api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection) -> Iterator[Studio]:
    """A connected studio whose bookings the database refuses, for an unforeseen reason."""
    studio = connect(api, queue)
    for stream in ("bookings", "inquiries"):
        assert api.delete(f"/api/sync/google/schedule?syncType={stream}").status == 204
    studio.start("bookings")
    superuser.run("ALTER TABLE booking ADD CONSTRAINT poison CHECK (false) NOT VALID")
    yield studio
    superuser.run("ALTER TABLE booking DROP CONSTRAINT poison")


@pytest.fixture
def dead_letters(queue: Queue) -> Queue:
    letters = Queue(queue.sqs, queue.sqs.get_queue_url(QueueName=f"{QUEUE}-dead")["QueueUrl"])
    letters.receive()
    return letters


def receive(queue: Queue) -> list[Any]:
    """What the queue would deliver to a worker; it is redelivered at once unless deleted."""
    return queue.sqs.receive_message(QueueUrl=queue.url, VisibilityTimeout=0).get("Messages", [])  # type: ignore[no-any-return]


def fail(message: Any) -> None:
    with pytest.raises(Exception, match="poison"):
        sync(queue_event(message), Context("sync", 300))


def told(studio: Studio) -> Any:
    """The run from the log, and the stream from the status."""
    (run,) = studio.api.get("/api/sync/log").json["items"]
    return run, next(
        item for item in studio.api.get("/api/sync/status").json["items"] if item["syncType"] == "bookings"
    )


def test_a_message_that_fails_five_times_is_a_dead_letter_and_its_run_has_the_reason(
    poisoned: Studio, queue: Queue, dead_letters: Queue, superuser: pg8000.native.Connection
) -> None:
    for attempt in range(1, MAX_RECEIVES + 1):
        (message,) = receive(queue)
        fail(message)
        run, stream = told(poisoned)
        assert (run["status"], run["attempts"], run["error"]["code"]) == ("deferred", attempt, "internal_error")
        assert (stream["state"], stream["reason"]["code"]) == ("deferred", "internal_error")
        assert (stream["resumesAt"], stream["running"]["attempts"]) == (run["resumeAt"], attempt)
        superuser.run("UPDATE sync_log SET resume_at = now(), enqueue_at = now()")
    assert receive(queue) == []
    assert dead_letters.receive() == [{"kind": "run", "id": run["id"], "studioId": str(poisoned.id)}]

    assert start_due_runs() == 1, "the run lives on without its message"
    (message,) = receive(queue)
    fail(message)
    run, stream = told(poisoned)
    assert (run["status"], run["attempts"], run["error"]["code"]) == (
        "failed",
        MAX_ATTEMPTS_WITHOUT_PROGRESS,
        "internal_error",
    )
    assert (stream["state"], stream["reason"]["code"], stream["failuresInRow"]) == ("failing", "internal_error", 1)
    sync(queue_event(message), Context("sync", 300))
    assert told(poisoned)[0] == run, "what comes back for a run that has ended is dropped"


def test_a_message_redelivered_before_its_run_is_due_is_dropped(poisoned: Studio, queue: Queue) -> None:
    (message,) = receive(queue)
    fail(message)
    before, _ = told(poisoned)
    sync(queue_event(message), Context("sync", 300))
    after, _ = told(poisoned)
    assert (after["attempts"], after["resumeAt"]) == (before["attempts"], before["resumeAt"])
