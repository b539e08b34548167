"""Webhook endpoints: an event reaches each receiver at least once, signed, or its failure is visible."""

import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pg8000.native
import pytest

from chalicelib.data.postgres.database import write
from chalicelib.data.webhook_endpoints import CLAIM_DELIVERY, KEPT_TESTS
from chalicelib.errors import DecryptionFailed
from chalicelib.services import dispatch
from chalicelib.services.webhook_deliveries import ATTEMPTS, DELAYS, NEEDED_MS, deliver, enqueue_due_deliveries
from tests.conftest import Api, Queue, Studios, from_now
from tests.http_fake import Fake, Reply
from tests.services.webhook_studio import Studio, connect_studio

GRACE = timedelta(minutes=2)


@pytest.fixture
def studio(
    api: Api, queue: Queue, receiver: Fake, superuser: pg8000.native.Connection, delivery_function: Path
) -> Studio:
    return connect_studio(api, queue, receiver, superuser)


def test_failure_and_recovery_are_sent_signed_and_without_tokens(studio: Studio) -> None:
    studio.fail()
    assert studio.work() == ["delivered"]
    studio.recover()
    assert studio.work() == ["delivered"]
    broke, recovered = studio.received()
    assert (broke["type"], recovered["type"]) == ("connection.failed", "connection.recovered")
    assert broke["data"]["event"]["code"] == "token_revoked"
    assert broke["data"]["event"]["message"] == "The grant is gone"
    assert broke["timestamp"] == broke["data"]["event"]["at"]
    assert broke["data"]["connection"]["status"] == "revoked"
    assert recovered["data"]["connection"] == studio.api.get("/api/connections/pinterest").json
    assert "canary" not in "".join(request.body for request in studio.receiver.requests)
    first, second = studio.receiver.requests
    assert first.headers["webhook-id"] == broke["data"]["event"]["id"] != second.headers["webhook-id"]
    assert first.headers["content-type"] == "application/json"


def test_the_message_in_the_queue_holds_only_ids(studio: Studio) -> None:
    studio.fail()
    (message,) = studio.queue.receive()
    assert (set(message), message["kind"]) == ({"kind", "id", "studioId"}, "delivery")


def test_each_endpoint_gets_its_own_delivery_of_an_event(studio: Studio) -> None:
    studio.receiver.on("/second", Reply(status=500))
    studio.add_webhook("/second")
    studio.fail()
    assert sorted(studio.work()) == ["delivered", "failed"]
    ids = {request.headers["webhook-id"] for request in studio.receiver.requests}
    assert len(ids) == 1


def test_a_duplicate_message_is_dropped(studio: Studio) -> None:
    studio.receiver.on("/hook", Reply(status=503))
    studio.fail()
    (delivery_id,) = studio.enqueued()
    assert [studio.deliver(delivery_id) for _ in range(3)] == ["failed", "dropped", "dropped"]
    assert len(studio.receiver.requests) == 1


def test_a_completed_delivery_is_not_repeated(studio: Studio) -> None:
    studio.fail()
    (delivery_id,) = studio.enqueued()
    assert [studio.deliver(delivery_id) for _ in range(2)] == ["delivered", "dropped"]
    studio.pass_time()
    assert studio.enqueued() == []


@pytest.mark.parametrize("status", [301, 307, 400, 404, 429, 500, 503])
def test_any_response_but_a_2xx_is_retried_under_the_same_id(studio: Studio, status: int) -> None:
    studio.receiver.on("/hook", Reply(status=status, headers={"Location": "/inside"}), Reply(status=202))
    studio.fail()
    assert studio.work() == ["failed"]
    (waiting,) = studio.deliveries()
    assert (waiting["state"], waiting["problem"]) == ("waiting", f"the receiver responded with {status}")
    studio.pass_time()
    assert studio.work() == ["delivered"]
    first, second = studio.receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    (delivered,) = studio.deliveries()
    assert (delivered["state"], delivered["problem"], delivered["attempts"]) == ("delivered", None, 2)
    assert delivered["deliveredAt"]
    assert delivered["nextAttemptAt"] is None


def test_retries_back_off_for_three_days_and_then_the_delivery_is_given_up(studio: Studio) -> None:
    studio.receiver.on("/hook", Reply(status=500))
    studio.fail()
    waits = []
    for attempt in range(1, ATTEMPTS + 1):
        assert studio.work() == ["given_up" if attempt == ATTEMPTS else "failed"]
        (delivery,) = studio.deliveries()
        assert delivery["attempts"] == attempt
        if attempt < ATTEMPTS:
            waits.append(from_now(delivery["nextAttemptAt"]))
            studio.pass_time()
    assert delivery["state"] == "given_up"
    assert delivery["problem"] == "the receiver responded with 500"
    for wait, delay in zip(waits, DELAYS, strict=False):
        assert timedelta(seconds=0.9 * delay) < wait < timedelta(seconds=1.11 * delay)
    assert timedelta(days=2.9) < sum(waits, timedelta()) < timedelta(days=3.4)
    studio.pass_time()
    assert studio.enqueued() == []


@pytest.mark.parametrize(
    ("asked", "least"),
    [("7200", timedelta(hours=2)), ("1", timedelta(minutes=5)), ("9999999", timedelta(days=1)), ("soon", timedelta())],
)
def test_a_receivers_retry_after_is_respected_up_to_a_day_and_never_shortens_a_delay(
    studio: Studio, asked: str, least: timedelta
) -> None:
    studio.receiver.on("/hook", Reply(status=503, headers={"Retry-After": asked}))
    studio.fail()
    assert studio.work() == ["failed"]
    wait = from_now(studio.deliveries()[0]["nextAttemptAt"])
    assert least * 0.99 < wait < max(least, timedelta(minutes=5)) * 1.11


def test_a_delivery_of_a_dead_worker_is_retried(studio: Studio) -> None:
    studio.fail()
    (delivery_id,) = studio.enqueued()
    studio.receiver.on("/hook", Reply(breaks=True))
    assert studio.deliver(delivery_id) == "failed"
    studio.superuser.run("UPDATE webhook_delivery SET last_problem = NULL")  # as if nothing had been recorded
    studio.receiver.on("/hook", Reply(status=200))
    studio.pass_time()
    assert studio.work() == ["delivered"]


def test_a_delivery_whose_last_attempt_died_is_given_up_without_another(studio: Studio) -> None:
    studio.fail()
    (delivery_id,) = studio.enqueued()
    studio.superuser.run("UPDATE webhook_delivery SET attempts = :attempts", attempts=ATTEMPTS)
    assert studio.deliver(delivery_id) == "given_up"
    assert studio.receiver.requests == []
    (delivery,) = studio.deliveries()
    assert delivery["state"] == "given_up"


def test_the_first_wait_exceeds_the_grace_period() -> None:
    assert timedelta(seconds=min(DELAYS)) > GRACE


def test_the_tick_enqueues_what_is_due_and_not_twice_in_a_row(studio: Studio) -> None:
    studio.fail()
    (delivery_id,) = studio.enqueued()  # this message gets lost
    assert enqueue_due_deliveries() == 1
    assert studio.enqueued() == [delivery_id]
    assert enqueue_due_deliveries() == 0
    assert studio.deliver(delivery_id) == "delivered"


def test_the_tick_enqueues_deliveries_of_every_studio_in_batches(
    studio: Studio, studios: Studios, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "BATCH", 1)
    other = Studio(studios.new(), studio.queue, studio.receiver, studio.superuser)
    assert other.api.post("/api/connections", {"platform": "pinterest", "accessToken": "x"}).status == 201
    other.add_webhook()
    for each in (studio, other):
        each.fail()
    studio.queue.receive()
    assert enqueue_due_deliveries() == 2
    assert {message["studioId"] for message in studio.queue.receive()} == {
        str(studio.api.studio_id),
        str(other.api.studio_id),
    }


def test_a_410_disables_the_endpoint_and_gives_up_its_deliveries(studio: Studio) -> None:
    studio.receiver.on("/hook", Reply(status=500), Reply(status=410))
    studio.fail()
    assert studio.work() == ["failed"]
    studio.recover()
    assert studio.work() == ["disabled"]
    (endpoint,) = studio.api.get("/api/webhook-endpoints").json["items"]
    assert (endpoint["state"], endpoint["disabledReason"]) == ("disabled", "the receiver responded with 410 Gone")
    assert [each["state"] for each in endpoint["deliveries"]] == ["given_up", "given_up"]
    studio.fail()
    assert studio.enqueued() == []


def test_a_delivery_created_while_its_endpoint_is_disabled_is_given_up(studio: Studio) -> None:
    studio.fail()
    (delivery_id,) = studio.enqueued()
    studio.superuser.run("UPDATE webhook_endpoint SET disabled_at = now()")
    assert studio.deliver(delivery_id) == "given_up"
    assert studio.receiver.requests == []


def test_a_deleted_endpoint_is_sent_nothing_more(studio: Studio) -> None:
    studio.fail()
    (delivery_id,) = studio.enqueued()
    assert studio.api.delete(f"/api/webhook-endpoints/{studio.endpoint_id}").status == 204
    assert studio.deliver(delivery_id) == "dropped"
    assert studio.receiver.requests == []


def test_no_attempt_starts_that_could_not_finish_in_time(studio: Studio) -> None:
    studio.fail()
    (delivery_id,) = studio.enqueued()
    assert deliver(studio.api.studio_id, delivery_id, lambda: NEEDED_MS - 1) == "dropped"
    (delivery,) = studio.deliveries()
    assert delivery["attempts"] == 0
    assert enqueue_due_deliveries() == 1


def test_another_studio_cannot_trigger_a_delivery(studio: Studio, studios: Studios) -> None:
    studio.fail()
    (delivery_id,) = studio.enqueued()
    for studio_id in (studios.new().studio_id, uuid4()):
        assert deliver(studio_id, delivery_id, lambda: NEEDED_MS) == "dropped"
    assert studio.receiver.requests == []


def test_a_host_that_moved_to_a_private_address_is_not_called(studio: Studio) -> None:
    studio.superuser.run("UPDATE webhook_endpoint SET url = 'https://10.0.0.1/hook'")
    studio.fail()
    assert studio.work() == ["failed"]
    (delivery,) = studio.deliveries()
    assert delivery["problem"] == "the host is not on the public internet"


def test_a_secret_moved_to_another_endpoint_signs_nothing(studio: Studio) -> None:
    studio.add_webhook("/second")
    studio.superuser.run(
        "UPDATE webhook_endpoint SET secret = (SELECT secret FROM webhook_endpoint ORDER BY id LIMIT 1)"
    )
    studio.fail()
    outcomes = []
    for delivery_id in studio.enqueued():
        try:
            outcomes.append(studio.deliver(delivery_id))
        except DecryptionFailed:
            outcomes.append("sealed")
    assert sorted(outcomes) == ["delivered", "sealed"]


def test_a_test_is_sent_signed_once_and_its_result_is_shown(studio: Studio) -> None:
    studio.receiver.on("/hook", Reply(status=204), Reply(status=500))
    first = studio.ask_for_test()
    assert studio.work() == ["delivered"]
    assert studio.ask_for_test() != first
    assert studio.work() == ["given_up"]
    request, other = studio.receiver.requests
    message, _ = studio.received()
    assert (message["type"], message["data"]) == ("test", {"endpointId": studio.endpoint_id})
    assert request.headers["webhook-id"] == first != other.headers["webhook-id"]
    refused, delivered = studio.deliveries()
    assert delivered["occurredAt"] == message["timestamp"]
    assert [(each["type"], each["state"], each["problem"]) for each in (delivered, refused)] == [
        ("test", "delivered", None),
        ("test", "given_up", "the receiver responded with 500"),
    ]
    studio.pass_time()
    assert studio.enqueued() == []


def test_a_test_explains_why_a_receiver_cannot_be_reached(studio: Studio) -> None:
    studio.receiver.on("/hook", Reply(breaks=True))
    studio.ask_for_test()
    assert studio.work() == ["given_up"]
    assert studio.deliveries()[0]["problem"].startswith("the connection failed")


def test_a_disabled_endpoint_can_be_tested_and_tests_do_not_change_endpoints(studio: Studio) -> None:
    studio.receiver.on("/hook", Reply(status=410), Reply(status=200))
    studio.ask_for_test()
    assert studio.work() == ["given_up"]
    (endpoint,) = studio.api.get("/api/webhook-endpoints").json["items"]
    assert (endpoint["state"], endpoint["deliveries"][0]["problem"]) == ("enabled", "the receiver responded with 410")
    studio.superuser.run("UPDATE webhook_endpoint SET disabled_at = now()")
    studio.ask_for_test()
    assert studio.work() == ["delivered"]
    assert studio.api.get("/api/webhook-endpoints").json["items"][0]["state"] == "disabled"


def test_the_tick_re_enqueues_a_lost_test(studio: Studio) -> None:
    test = studio.ask_for_test()
    studio.queue.receive()
    assert enqueue_due_deliveries() == 1
    assert studio.enqueued() == [UUID(test)]
    assert studio.deliver(UUID(test)) == "delivered"


def test_a_test_of_a_dead_worker_is_sent_again_minutes_later(studio: Studio) -> None:
    test = studio.ask_for_test()
    studio.queue.receive()
    for _ in range(ATTEMPTS):
        studio.superuser.run("UPDATE webhook_delivery SET due_at = now()")
        assert write(studio.api.studio_id, CLAIM_DELIVERY, id=UUID(test), delays=DELAYS) is not None
        ((wait,),) = studio.superuser.run("SELECT due_at - now() FROM webhook_delivery")
        assert GRACE < wait <= timedelta(seconds=1.11 * DELAYS[0])
    studio.pass_time()
    assert studio.work() == ["given_up"]
    assert studio.receiver.requests == []
    assert studio.deliveries()[0]["problem"] == "no response"


def test_stored_tests_per_endpoint_are_limited(studio: Studio) -> None:
    studio.fail()
    studio.work()
    for _ in range(KEPT_TESTS + 3):
        last = studio.ask_for_test()
        studio.work()
    stored_tests = studio.superuser.run("SELECT id::text FROM webhook_delivery WHERE event_id IS NULL ORDER BY id")
    assert len(stored_tests) == KEPT_TESTS + 1
    assert stored_tests[-1] == [last]
    assert studio.superuser.run("SELECT count(*) FROM webhook_delivery WHERE event_id IS NOT NULL") == [[1]]


def test_tests_and_events_are_listed_newest_first(studio: Studio) -> None:
    studio.ask_for_test()
    studio.work()
    studio.fail()
    studio.work()
    studio.ask_for_test()
    assert [each["type"] for each in studio.deliveries()] == ["test", "connection.failed", "test"]


def test_the_secret_is_stored_sealed(studio: Studio) -> None:
    stored = studio.superuser.run("SELECT secret FROM webhook_endpoint")
    assert stored
    assert studio.secret.encode() not in bytes(stored[0][0])
    assert studio.secret not in json.dumps(studio.api.get("/api/webhook-endpoints").json)
