"""/api/webhooks: made with a secret that is shown once, listed, tried out and deleted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from standardwebhooks import Webhook as Verifier

from chalicelib.errors import Conflict
from chalicelib.services.webhooks import MAX_WEBHOOKS, create_webhook
from tests.conftest import Api, Studios
from tests.http_fake import Fake, Reply, http_fake

URL = "https://studio.example/hooks/ansel"


@pytest.fixture
def receiver() -> Iterator[Fake]:
    with http_fake() as fake:
        yield fake


def make(api: Api, url: str = URL) -> Any:
    answer = api.post("/api/webhooks", {"url": url})
    assert answer.status == 201, answer.text
    return answer.json


def test_a_new_webhook_is_answered_with_its_secret_this_once(api: Api) -> None:
    made = make(api)
    assert made["secret"].startswith("whsec_")
    assert (made["url"], made["state"], made["deliveries"]) == (URL, "enabled", [])
    answer = api.get("/api/webhooks")
    assert answer.json["items"] == [{name: value for name, value in made.items() if name != "secret"}]
    assert made["secret"] not in answer.text


def test_the_answer_with_the_secret_is_not_kept_for_repeats(api: Api) -> None:
    answer = api.post("/api/webhooks", {"url": URL}, Idempotency_Key="once")
    assert (answer.status, answer.json["code"]) == (400, "not_repeatable")
    assert api.get("/api/webhooks").json["items"] == []


@pytest.mark.parametrize(
    "url",
    [
        "http://studio.example/hook",
        "https://user:password@studio.example/hook",
        "https://10.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/hook",
        "https://studio.example/#top",
        "https://studio.example/\n",
        "gopher://studio.example/",
        "not a url",
    ],
)
def test_a_url_that_would_never_be_asked_is_refused_by_its_field(api: Api, url: str) -> None:
    answer = api.post("/api/webhooks", {"url": url})
    assert answer.status == 422
    assert [problem["field"] for problem in answer.json["errors"]] == ["url"]
    assert url not in answer.text


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_loopback_is_for_developers_only(api: Api, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.security.outbound import problem_of_url
    from chalicelib.services.webhooks import _loopback
    from chalicelib.settings import get_settings

    make(api, "http://localhost:8080/hook")
    monkeypatch.setenv("ANSEL_STAGE", stage)
    monkeypatch.delenv("ENCRYPTION_KEY")
    monkeypatch.setenv("KMS_KEY_IDS", "arn:aws:kms:eu-central-1:123456789012:key/one")
    get_settings.cache_clear()
    assert problem_of_url("http://localhost:8080/hook", loopback=_loopback())
    monkeypatch.undo()
    get_settings.cache_clear()


def test_a_url_is_taken_once_and_a_studio_has_room_for_five(api: Api) -> None:
    for number in range(MAX_WEBHOOKS):
        make(api, f"{URL}/{number}")
    again = api.post("/api/webhooks", {"url": f"{URL}/0"})
    assert (again.status, again.json["code"]) == (409, "webhook_exists")
    more = api.post("/api/webhooks", {"url": f"{URL}/more"})
    assert (more.status, more.json["code"]) == (409, "too_many_webhooks")
    (first, *_) = api.get("/api/webhooks").json["items"]
    assert api.delete(f"/api/webhooks/{first['id']}").status == 204
    make(api, f"{URL}/more")


def test_webhooks_made_at_once_do_not_both_take_the_last_place(api: Api) -> None:
    def attempt(number: int) -> bool:
        try:
            create_webhook(api.studio_id, f"{URL}/{number}")
        except Conflict as refused:
            return refused.code != "too_many_webhooks"
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(attempt, range(8)))
    assert sum(made) == MAX_WEBHOOKS


def test_a_test_event_is_sent_at_once_signed_and_tells_what_came_of_it(api: Api, receiver: Fake) -> None:
    receiver.on("/hook", Reply(status=204), Reply(status=500))
    made = make(api, f"{receiver.url}/hook")
    first, second = (api.post(f"/api/webhooks/{made['id']}/test").json for _ in range(2))
    assert (first["delivered"], first["status"], first["problem"]) == (True, 204, None)
    assert (second["delivered"], second["status"]) == (False, 500)
    assert second["problem"] == "the receiver answered 500"
    request, other = receiver.requests
    sent = Verifier(made["secret"]).verify(request.body, request.headers)
    assert (sent["type"], sent["data"]) == ("test", {"webhookId": made["id"]})
    assert request.headers["webhook-id"] != other.headers["webhook-id"]
    assert api.get("/api/webhooks").json["items"][0]["deliveries"] == []


def test_a_receiver_that_cannot_be_reached_is_told_of_in_words(api: Api, receiver: Fake) -> None:
    receiver.on("/hook", Reply(breaks=True))
    made = make(api, f"{receiver.url}/hook")
    tested = api.post(f"/api/webhooks/{made['id']}/test").json
    assert (tested["delivered"], tested["status"]) == (False, None)
    assert tested["problem"].startswith("the connection failed")


def test_another_studios_webhook_and_one_that_never_was_are_not_found(api: Api, studios: Studios) -> None:
    made, other = make(api), studios.new()
    for webhook_id in (made["id"], str(uuid4()), "nonsense"):
        for answer in (other.delete(f"/api/webhooks/{webhook_id}"), other.post(f"/api/webhooks/{webhook_id}/test")):
            assert (answer.status, answer.json["code"]) == (404, "webhook_not_found")
    assert other.get("/api/webhooks").json["items"] == []
    assert len(api.get("/api/webhooks").json["items"]) == 1
