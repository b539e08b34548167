"""Dead letters: looked at, sent again, dropped when nobody waits for them, and never lost on the way."""

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
    """A queue of dead letters, empty."""
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


def test_what_waits_is_sent_and_what_has_ended_is_dropped(studio: Studio, dead: Queue, queue: Queue) -> None:
    waiting, ended = studio.start("bookings"), studio.start("inquiries")
    cancel_run(studio.id, UUID(ended["id"]))
    queue.receive()
    bury(dead, of_run(studio, waiting["id"]), of_run(studio, ended["id"]), of_run(studio, str(uuid4())))
    report = requeue()
    assert (report.sent, report.dropped, report.kept, report.malformed, report.complete) == (1, 2, 0, [], True)
    assert queue.receive() == [of_run(studio, waiting["id"])]
    assert dead.receive() == []


def test_a_requeued_run_is_worked_on_to_its_end(studio: Studio, dead: Queue, queue: Queue) -> None:
    run = studio.start("bookings")
    queue.receive()
    bury(dead, of_run(studio, run["id"]))
    requeue()
    assert studio.work() == ["succeeded"]
    assert studio.run(run["id"])["status"] == "succeeded"


def test_all_but_runs_is_left_to_the_worker_to_judge(studio: Studio, dead: Queue, queue: Queue) -> None:
    kinds = {"refresh", "delivery", "revocation"}
    messages = [{"kind": kind, "id": str(uuid4()), "studioId": str(studio.id)} for kind in kinds]
    bury(dead, *messages)
    assert {letter.kind for letter in show_dead_letters(10).shown} == kinds
    assert requeue().sent == 3
    assert sorted(queue.receive(), key=str) == sorted(messages, key=str)


def test_what_nobody_can_read_stays_and_is_told_and_not_quoted(dead: Queue, queue: Queue) -> None:
    bury(dead, "QXcanary{", "[" * 5000, {"studioId": str(uuid4())}, {"kind": "run", "id": "QXcanary", "studioId": "x"})
    report = requeue()
    assert len(report.malformed) == 4
    assert (report.sent, report.dropped, report.complete) == (0, 0, True)
    shown = show_dead_letters(10)
    assert [(letter.kind, letter.state) for letter in shown.shown] == [("malformed", "malformed")] * 4
    assert "QXcanary" not in f"{report} {shown}"
    assert sorted(letter.message_id for letter in shown.shown) == sorted(report.malformed)
    assert queue.receive() == []


def test_looking_takes_nothing_away(studio: Studio, dead: Queue, queue: Queue) -> None:
    run = studio.start("bookings")
    queue.receive()
    bury(dead, of_run(studio, run["id"]), "{")
    for _ in range(2):
        shown = show_dead_letters(10)
        assert shown.total == 2
        assert {(letter.kind, letter.state, str(letter.id)) for letter in shown.shown} == {
            ("run", "waiting", run["id"]),
            ("malformed", "malformed", "None"),
        }
    assert len(show_dead_letters(1).shown) == 1


def test_all_of_many_that_were_looked_at_are_put_back(dead: Queue) -> None:
    bury(dead, *[{}] * 25)
    assert len(show_dead_letters(100).shown) == 25
    assert len(dead.receive()) == 25


def test_a_dry_run_tells_and_changes_nothing(
    studio: Studio, dead: Queue, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    run = studio.start("bookings")
    queue.receive()
    bury(dead, of_run(studio, run["id"]), of_run(studio, str(uuid4())), "{")
    told = requeue(dry_run=True)
    assert (told.sent, told.dropped, len(told.malformed), told.dry_run) == (1, 1, 1, True)
    (logged,) = [vars(record)["fields"] for record in caplog.records if "dead_letters" in record.getMessage()]
    assert (logged["dry_run"], logged["sent"]) == (True, 1)
    assert queue.receive() == []
    assert requeue() == Requeued(dry_run=False, sent=1, dropped=1, malformed=told.malformed, complete=True)


def test_no_more_than_the_limit_is_taken_and_the_next_time_goes_on(studio: Studio, dead: Queue) -> None:
    bury(dead, *(of_run(studio, str(uuid4())) for _ in range(25)))
    first = requeue(limit=12)
    assert (first.dropped, first.complete) == (12, False)
    second = requeue()
    assert (second.dropped, second.complete) == (13, True)


def test_it_stops_before_the_time_is_up(studio: Studio, dead: Queue) -> None:
    bury(dead, *(of_run(studio, str(uuid4())) for _ in range(25)))
    left = iter([STOP_MS + 1, STOP_MS])
    first = requeue(remaining_ms=lambda: next(left))
    assert (first.dropped, first.complete) == (10, False)
    assert requeue().dropped == 15


def test_what_cannot_be_sent_stays_among_the_dead(
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


def test_of_a_batch_only_what_was_sent_is_taken_away(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
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
    asked = [(r.headers["x-amz-target"].removeprefix("AmazonSQS."), r.body) for r in fake.requests]
    (deleted,) = [body for target, body in asked if target == "DeleteMessageBatch"]
    (put_back,) = [body for target, body in asked if target == "ChangeMessageVisibilityBatch"]
    assert ("receipt 1" in deleted, "receipt 0" in deleted) == (True, False)
    assert ("receipt 0" in put_back, "receipt 1" in put_back, '"VisibilityTimeout": 0' in put_back) == (
        True,
        False,
        True,
    )
    assert (report.sent, report.kept, report.dropped) == (1, 1, 0)


def test_a_queue_that_does_not_answer_is_unavailable(dead: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
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
