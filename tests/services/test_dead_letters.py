"""Dead letters: shown, re-enqueued, dropped if their work has ended, and never lost in between."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from chalicelib import work_queue
from chalicelib.errors import SettingsError, Unavailable
from chalicelib.services.operations import dead_letters
from chalicelib.services.operations.dead_letters import STOP_MS, Requeued, requeue_dead_letters, show_dead_letters
from chalicelib.services.sync.runs import cancel_run
from chalicelib.settings import get_settings
from dev.sandbox import Sandbox
from tests.conftest import Api, Queue
from tests.http_fake import Reply, http_fake
from tests.services import administration
from tests.services.conftest import Studio, connect

as_administrator = administration.as_administrator


@pytest.fixture
def dead(as_administrator: Any, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """An empty queue of dead letters."""
    url = queue.sqs.create_queue(QueueName=f"dead-{uuid4()}")["QueueUrl"]
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", url)
    monkeypatch.setattr(dead_letters, "WAIT_SECONDS", 0)  # the local queue is one server
    get_settings.cache_clear()
    yield Queue(queue.sqs, url)
    queue.sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def studio(dead: Queue, api: Api, queue: Queue, platforms: Sandbox) -> Studio:
    return connect(api, queue)


def bury(dead: Queue, *bodies: Any) -> None:
    for body in bodies:
        text = body if isinstance(body, str) else json.dumps(body)
        dead.sqs.send_message(QueueUrl=dead.url, MessageBody=text)


def requeue(limit: int = 100, *, dry_run: bool = False, remaining_ms: Any = administration.plenty) -> Requeued:
    return requeue_dead_letters(limit=limit, dry_run=dry_run, remaining_ms=remaining_ms)


def of_run(studio: Studio, run_id: str) -> dict[str, str]:
    return {"kind": "run", "id": run_id, "studioId": str(studio.id)}


def test_pending_work_is_re_enqueued_and_finished_work_is_dropped(studio: Studio, dead: Queue, queue: Queue) -> None:
    waiting, ended = studio.start("bookings"), studio.start("inquiries")
    cancel_run(studio.id, UUID(ended["id"]))
    queue.receive()
    bury(dead, of_run(studio, waiting["id"]), of_run(studio, ended["id"]), of_run(studio, str(uuid4())))
    report = requeue()
    assert (report.sent, report.dropped, report.kept, report.malformed, report.complete) == (1, 2, 0, [], True)
    assert queue.receive() == [of_run(studio, waiting["id"])]
    assert dead.receive() == []


def test_a_requeued_run_is_completed(studio: Studio, dead: Queue, queue: Queue) -> None:
    run = studio.start("bookings")
    queue.receive()
    bury(dead, of_run(studio, run["id"]))
    requeue()
    assert studio.work() == ["succeeded"]
    assert studio.run(run["id"])["status"] == "succeeded"


def test_messages_of_other_kinds_are_always_re_enqueued(studio: Studio, dead: Queue, queue: Queue) -> None:
    kinds = {"refresh", "delivery", "revocation"}
    messages = [{"kind": kind, "id": str(uuid4()), "studioId": str(studio.id)} for kind in kinds]
    bury(dead, *messages)
    assert {letter.kind for letter in show_dead_letters(10).shown} == kinds
    assert requeue().sent == 3
    assert sorted(queue.receive(), key=str) == sorted(messages, key=str)


def test_unreadable_messages_stay_and_are_counted_but_not_quoted(dead: Queue, queue: Queue) -> None:
    bury(dead, "QXcanary{", "[" * 5000, {"studioId": str(uuid4())}, {"kind": "run", "id": "QXcanary", "studioId": "x"})
    report = requeue()
    assert len(report.malformed) == 4
    assert (report.sent, report.dropped, report.complete) == (0, 0, True)
    letters = show_dead_letters(10)
    assert [(letter.kind, letter.state) for letter in letters.shown] == [("malformed", "malformed")] * 4
    assert "QXcanary" not in f"{report} {letters}"
    assert sorted(letter.message_id for letter in letters.shown) == sorted(report.malformed)
    assert queue.receive() == []


def test_showing_removes_nothing(studio: Studio, dead: Queue, queue: Queue) -> None:
    run = studio.start("bookings")
    queue.receive()
    bury(dead, of_run(studio, run["id"]), "{")
    for _ in range(2):
        letters = show_dead_letters(10)
        assert letters.total == 2
        assert {(letter.kind, letter.state, str(letter.id)) for letter in letters.shown} == {
            ("run", "waiting", run["id"]),
            ("malformed", "malformed", "None"),
        }
    assert len(show_dead_letters(1).shown) == 1


def test_every_shown_message_is_returned_to_the_queue(dead: Queue) -> None:
    bury(dead, *[{}] * 25)
    assert len(show_dead_letters(100).shown) == 25
    assert len(dead.receive()) == 25


def test_a_dry_run_reports_and_changes_nothing(
    studio: Studio, dead: Queue, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    run = studio.start("bookings")
    queue.receive()
    bury(dead, of_run(studio, run["id"]), of_run(studio, str(uuid4())), "{")
    report = requeue(dry_run=True)
    assert (report.sent, report.dropped, len(report.malformed), report.dry_run) == (1, 1, 1, True)
    (logged,) = [vars(record)["fields"] for record in caplog.records if "dead_letters" in record.getMessage()]
    assert (logged["dry_run"], logged["sent"]) == (True, 1)
    assert queue.receive() == []
    assert requeue() == Requeued(dry_run=False, sent=1, dropped=1, malformed=report.malformed, complete=True)


def test_at_most_the_limit_is_processed_per_call(studio: Studio, dead: Queue) -> None:
    bury(dead, *(of_run(studio, str(uuid4())) for _ in range(25)))
    first = requeue(limit=12)
    assert (first.dropped, first.complete) == (12, False)
    second = requeue()
    assert (second.dropped, second.complete) == (13, True)


def test_it_stops_before_its_deadline(studio: Studio, dead: Queue) -> None:
    bury(dead, *(of_run(studio, str(uuid4())) for _ in range(25)))
    remaining = iter([STOP_MS + 1, STOP_MS])
    first = requeue(remaining_ms=lambda: next(remaining))
    assert (first.dropped, first.complete) == (10, False)
    assert requeue().dropped == 15


def test_messages_that_cannot_be_sent_stay_dead_letters(
    studio: Studio, dead: Queue, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = studio.start("bookings")
    queue.receive()
    bury(dead, of_run(studio, run["id"]), of_run(studio, str(uuid4())))
    with monkeypatch.context() as environ:
        environ.setenv("SYNC_QUEUE_URL", f"{queue.url}-that-is-gone")
        get_settings.cache_clear()
        with pytest.raises(Unavailable):
            requeue()
    get_settings.cache_clear()
    report = requeue()
    assert (report.sent, report.dropped) == (1, 1)
    assert queue.receive() == [of_run(studio, run["id"])]


def received(number: int, body: Any) -> dict[str, Any]:
    attributes = {"SentTimestamp": "1770000000000"}
    return {
        "MessageId": f"message {number}",
        "ReceiptHandle": f"receipt {number}",
        "Body": json.dumps(body),
        "Attributes": attributes,
    }


def test_only_the_sent_messages_of_a_batch_are_deleted(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [of_run(studio, studio.start(stream)["id"]) for stream in ("bookings", "inquiries")]
    with http_fake() as fake:
        fake.on(
            "/",
            Reply({"Messages": [received(number, run) for number, run in enumerate(runs)]}),
            Reply({"Successful": [{"Id": "1"}], "Failed": [{"Id": "0", "Code": "Throttled", "SenderFault": False}]}),
            Reply({"Successful": [{"Id": "0"}], "Failed": []}),
            Reply({}),
        )
        monkeypatch.setenv("AWS_ENDPOINT_URL", fake.url)
        work_queue.sqs.cache_clear()
        report = requeue()
    work_queue.sqs.cache_clear()
    calls = [(r.headers["x-amz-target"].removeprefix("AmazonSQS."), r.body) for r in fake.requests]
    (deleted,) = [body for target, body in calls if target == "DeleteMessageBatch"]
    (put_back,) = [body for target, body in calls if target == "ChangeMessageVisibilityBatch"]
    assert ("receipt 1" in deleted, "receipt 0" in deleted) == (True, False)
    assert ("receipt 0" in put_back, "receipt 1" in put_back, '"VisibilityTimeout": 0' in put_back) == (
        True,
        False,
        True,
    )
    assert (report.sent, report.kept, report.dropped) == (1, 1, 0)


def test_an_unresponsive_queue_is_unavailable(dead: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    work_queue.sqs.cache_clear()
    for look in (requeue, lambda: show_dead_letters(1)):
        with pytest.raises(Unavailable):
            look()
    work_queue.sqs.cache_clear()


def test_without_a_queue_the_variable_is_named(dead: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEAD_LETTER_QUEUE_URL")
    get_settings.cache_clear()
    with pytest.raises(SettingsError, match="DEAD_LETTER_QUEUE_URL"):
        show_dead_letters(1)
