"""The worker and its delivery function: what is handed over, and what happens to a delivery if the function fails."""

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import msgspec
import pg8000.native
import pytest

from chalicelib import telemetry
from chalicelib.security.outbound_messages import OutboundRequest, Outcome
from chalicelib.services import delivery_function
from chalicelib.services.delivery_function import DeliveryFault, attempt
from chalicelib.services.webhook_deliveries import ATTEMPTS, OUR_FAULT
from tests.conftest import Api, LogLines, Queue, from_now
from tests.http_fake import Fake, Reply, http_fake
from tests.services.webhook_studio import Studio, connect_studio

PATH = "/2015-03-31/functions/ansel-local-deliver/invocations"
REFUSED = {"x-amzn-ErrorType": "TooManyRequestsException:http://internal.amazon.com/coral/"}
FAULTS = {
    "throttled": (Reply({"Reason": "ConcurrentInvocationLimitExceeded"}, 429, REFUSED), "TooManyRequestsException"),
    "not allowed": (Reply({}, 403, {"x-amzn-ErrorType": "AccessDeniedException"}), "AccessDeniedException"),
    "not there": (Reply({}, 404, {"x-amzn-ErrorType": "ResourceNotFoundException"}), "ResourceNotFoundException"),
    "Lambda down": (Reply({}, 503), "HTTP 503"),
    "crashed": (Reply({"errorType": "Runtime.ExitError"}, headers={"X-Amz-Function-Error": "Unhandled"}), "Unhandled"),
    "no response": (Reply(breaks=True), "ConnectionResetError"),
    "late": (Reply(waits=True), "TimeoutError"),
    "no JSON": (Reply(body=b"<html>"), "InvalidOutcome"),
    "no text": (Reply(body=b"\xff"), "InvalidOutcome"),
    "empty": (Reply({}), "InvalidOutcome"),
    "both": (Reply({"status": 200, "failure": "timed_out"}), "InvalidOutcome"),
    "a text of its own": (Reply({"failure": "your account is closed, sign in at ..."}), "InvalidOutcome"),
    "more than asked for": (Reply({"status": 200, "body": "x"}), "InvalidOutcome"),
    "a delay of years": (Reply({"status": 503, "retryAfterSeconds": 10**9}), "InvalidOutcome"),
    "endless": (Reply(body=b"[" * 10_000_000), "InvalidOutcome"),
}


@pytest.fixture
def lambda_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """In place of Lambda's own."""
    monkeypatch.setattr(delivery_function, "TIMEOUT_SECONDS", 0.5)
    with http_fake() as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", fake.url)
        yield fake


@pytest.fixture
def studio(api: Api, queue: Queue, receiver: Fake, superuser: pg8000.native.Connection, lambda_api: Fake) -> Studio:
    return connect_studio(api, queue, receiver, superuser)


def request(body: bytes = b"{}") -> OutboundRequest:
    return OutboundRequest(delivery_id=uuid4(), url="https://studio.example/hook", headers={}, body=body)


def test_the_function_is_handed_url_headers_and_body_and_nothing_that_could_sign_another(
    studio: Studio, lambda_api: Fake
) -> None:
    lambda_api.on(PATH, Reply({"status": 204}))
    studio.fail()
    assert studio.work() == ["delivered"]
    (invoked,) = lambda_api.requests
    event = json.loads(invoked.body)
    assert set(event) == {"deliveryId", "url", "headers", "body"}
    signed = {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert set(event["headers"]) == {"Content-Type", "User-Agent"} | signed
    assert json.loads(b64decode(event["body"]))["type"] == "connection.failed"
    assert invoked.headers["x-amz-invocation-type"] == "RequestResponse"
    key = studio.secret.removeprefix("whsec_")
    text = f"{invoked.body} {invoked.headers}"
    assert key not in text
    assert b64decode(key).hex() not in text
    assert "canary" not in text


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_function_does_not_count_as_an_attempt(
    studio: Studio, lambda_api: Fake, fault: str, log_lines: LogLines
) -> None:
    reply, code = FAULTS[fault]
    lambda_api.on(PATH, reply)
    studio.fail()
    with telemetry.collected() as tally:
        assert studio.work() == ["postponed"]
    (delivery,) = studio.deliveries()
    assert (delivery["state"], delivery["attempts"], delivery["problem"]) == ("waiting", 0, OUR_FAULT)
    assert timedelta(minutes=4.9) < from_now(delivery["nextAttemptAt"]) < timedelta(minutes=5.6)
    assert tally.total("DeliveryErrors") == 1
    (line,) = log_lines.named("webhook_delivery.postponed")
    assert (line["code"], line["level"], line["given_up"]) == (code, "error", False)
    assert not log_lines.named("webhook_delivery.failed")
    assert len(lambda_api.requests) == 1
    lambda_api.on(PATH, Reply({"status": 200}))
    studio.pass_time()
    assert studio.work() == ["delivered"]
    (delivery,) = studio.deliveries()
    assert (delivery["attempts"], delivery["problem"]) == (1, None)


def test_a_delivery_is_attempted_as_often_as_ever_whatever_faults_come_between(
    studio: Studio, lambda_api: Fake
) -> None:
    lambda_api.on(PATH, *[Reply({}, 429), Reply({"status": 500})] * ATTEMPTS)
    studio.fail()
    outcomes = []
    for _ in range(2 * ATTEMPTS):
        outcomes += studio.work()
        studio.pass_time()
    assert outcomes == ["postponed", "failed"] * (ATTEMPTS - 1) + ["postponed", "given_up"]


def test_after_a_fault_a_delivery_waits_as_long_as_before_up_to_an_hour(studio: Studio, lambda_api: Fake) -> None:
    lambda_api.on(PATH, Reply({}, 429))
    studio.fail()
    (delivery_id,) = studio.enqueued()
    for age, wait in ((timedelta(minutes=20), timedelta(minutes=20)), (timedelta(days=2), timedelta(hours=1))):
        studio.superuser.run("UPDATE connection_event SET at = now() - CAST(:age AS interval)", age=age)
        studio.superuser.run("UPDATE webhook_delivery SET due_at = now()")
        assert studio.deliver(delivery_id) == "postponed"
        assert wait * 0.99 < from_now(studio.deliveries()[0]["nextAttemptAt"]) < wait * 1.12


@pytest.mark.parametrize(("age", "kind"), [("4 days 1 minute", "event"), ("61 minutes", "test")])
def test_a_receiver_at_which_the_function_always_crashes_is_given_up_in_the_end(
    studio: Studio, lambda_api: Fake, age: str, kind: str
) -> None:
    lambda_api.on(PATH, FAULTS["crashed"][0])
    if kind == "event":
        studio.fail()
        studio.superuser.run("UPDATE connection_event SET at = now() - CAST(:age AS interval)", age=age)
    else:
        studio.ask_for_test()
        studio.superuser.run("UPDATE webhook_delivery SET id = uuidv7(-CAST(:age AS interval))", age=age)
    found = studio.superuser.run("SELECT id FROM webhook_delivery") or [[None]]
    assert studio.deliver(found[0][0]) == "given_up"
    (delivery,) = studio.deliveries()
    assert (delivery["state"], delivery["problem"]) == ("given_up", OUR_FAULT)


def test_a_body_larger_than_an_invocation_may_be_is_a_fault_of_ours(studio: Studio, lambda_api: Fake) -> None:
    with pytest.raises(DeliveryFault, match="RequestTooLarge"):
        attempt(request(b"x" * 4_600_000))
    assert lambda_api.requests == []


def test_the_longest_texts_that_platforms_send_fit_into_an_invocation_many_times(
    studio: Studio, lambda_api: Fake
) -> None:
    lambda_api.on(PATH, Reply({"status": 200}))
    studio.superuser.run(
        "UPDATE platform_connection SET scopes = array_fill(repeat('s', 200), ARRAY[100]),"
        " external_account_name = repeat('n', 10000)"
    )
    studio.fail()
    studio.superuser.run("UPDATE connection_event SET message = repeat('m', 10000)")
    assert studio.work() == ["delivered"]
    assert len(lambda_api.requests[0].body) < delivery_function.MAX_REQUEST_BYTES / 50


def test_boto3_invokes_the_local_function_as_the_product_does(
    local_aws: Any, delivery_function: Path, receiver: Fake
) -> None:
    sent = OutboundRequest(delivery_id=uuid4(), url=f"{receiver.url}/hook", headers={"a": "b"}, body=b"{}")
    client = boto3.client("lambda")
    answer = client.invoke(FunctionName="ansel-local-deliver", Payload=msgspec.json.encode(sent))
    theirs = msgspec.json.decode(answer["Payload"].read(), type=Outcome)
    assert (attempt(sent), theirs) == (Outcome(200), Outcome(200))
    assert len(receiver.requests) == 2
    crashed = client.invoke(FunctionName="ansel-local-deliver", Payload=b"{}")
    assert crashed["FunctionError"] == "Unhandled"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="ansel-local-sync", Payload=b"{}")
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName="ansel-local-deliver", Payload=b"no JSON")


def test_a_trace_continues_in_the_function(studio: Studio, lambda_api: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    lambda_api.on(PATH, Reply({"status": 200}))
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    attempt(request())
    assert lambda_api.requests[0].headers["x-amzn-trace-id"] == trace
