"""/api/webhook-endpoints: created with a secret that is shown once, listed, tested and deleted."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from chalicelib.errors import Conflict
from chalicelib.services import webhook_endpoints
from chalicelib.services.webhook_endpoints import MAX_WEBHOOK_ENDPOINTS, create_webhook_endpoint
from chalicelib.settings import get_settings
from tests.conftest import Api, Queue, Studios

URL = "https://studio.example/hooks/ansel"


def make(api: Api, url: str = URL) -> Any:
    answer = api.post("/api/webhook-endpoints", {"url": url})
    assert answer.status == 201, answer.text
    return answer.json


def test_the_secret_of_a_new_endpoint_is_returned_only_once(api: Api) -> None:
    endpoint = make(api)
    assert endpoint["secret"].startswith("whsec_")
    assert (endpoint["url"], endpoint["state"], endpoint["deliveries"]) == (URL, "enabled", [])
    answer = api.get("/api/webhook-endpoints")
    assert answer.json["items"] == [{name: value for name, value in endpoint.items() if name != "secret"}]
    assert endpoint["secret"] not in answer.text


def test_the_response_with_the_secret_is_not_stored_for_repeats(api: Api) -> None:
    answer = api.post("/api/webhook-endpoints", {"url": URL}, Idempotency_Key="once")
    assert (answer.status, answer.json["code"]) == (400, "not_repeatable")
    assert api.get("/api/webhook-endpoints").json["items"] == []


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
def test_an_unusable_url_is_rejected_and_the_field_named(api: Api, url: str) -> None:
    answer = api.post("/api/webhook-endpoints", {"url": url})
    assert answer.status == 422
    assert [problem["field"] for problem in answer.json["errors"]] == ["url"]
    assert url not in answer.text


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_loopback_urls_are_for_development_only(api: Api, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(api, "http://localhost:8080/hook")
    elsewhere = replace(get_settings(), stage=stage)
    monkeypatch.setattr(webhook_endpoints, "get_settings", lambda: elsewhere)
    refused = api.post("/api/webhook-endpoints", {"url": "http://localhost:8080/other"})
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "url")


def test_urls_are_unique_and_a_studio_has_at_most_five(api: Api) -> None:
    for number in range(MAX_WEBHOOK_ENDPOINTS):
        make(api, f"{URL}/{number}")
    again = api.post("/api/webhook-endpoints", {"url": f"{URL}/0"})
    assert (again.status, again.json["code"]) == (409, "webhook_endpoint_exists")
    more = api.post("/api/webhook-endpoints", {"url": f"{URL}/more"})
    assert (more.status, more.json["code"]) == (409, "too_many_webhook_endpoints")
    (first, *_) = api.get("/api/webhook-endpoints").json["items"]
    assert api.delete(f"/api/webhook-endpoints/{first['id']}").status == 204
    make(api, f"{URL}/more")


def test_concurrent_requests_do_not_exceed_the_limit_of_endpoints(api: Api) -> None:
    def attempt(number: int) -> bool:
        try:
            create_webhook_endpoint(api.studio_id, f"{URL}/{number}")
        except Conflict as refused:
            return refused.code != "too_many_webhook_endpoints"
        return True

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(8)))
    assert sum(results) == MAX_WEBHOOK_ENDPOINTS


def test_a_test_is_accepted_and_found_at_its_location(api: Api, queue: Queue) -> None:
    endpoint = make(api)
    answer = api.post(f"/api/webhook-endpoints/{endpoint['id']}/test")
    assert answer.status == 202
    location = f"/api/webhook-endpoints/{endpoint['id']}/deliveries/{answer.json['id']}"
    assert answer.headers["Location"] == location
    assert api.get(location).json == answer.json
    assert api.get("/api/webhook-endpoints").json["items"][0]["deliveries"] == [answer.json]
    delivery = answer.json
    assert (delivery["type"], delivery["platform"], delivery["eventId"]) == ("test", None, delivery["id"])
    assert (delivery["state"], delivery["attempts"], delivery["problem"], delivery["deliveredAt"]) == (
        "waiting",
        0,
        None,
        None,
    )
    assert queue.receive() == [{"kind": "delivery", "id": delivery["id"], "studioId": str(api.studio_id)}]


def test_an_endpoint_has_one_test_at_a_time(api: Api, queue: Queue) -> None:
    first, second = make(api), make(api, f"{URL}/2")
    tests = [
        api.post(f"/api/webhook-endpoints/{endpoint['id']}/test").json["id"] for endpoint in (first, first, second)
    ]
    assert tests[0] == tests[1] != tests[2]
    assert {message["id"] for message in queue.receive()} == set(tests)


def test_concurrent_requests_for_a_test_share_one(api: Api) -> None:
    endpoint = make(api)
    with ThreadPoolExecutor(8) as pool:
        tests = list(
            pool.map(
                lambda _: webhook_endpoints.test_webhook_endpoint(api.studio_id, UUID(endpoint["id"])).id, range(8)
            )
        )
    assert len(set(tests)) == 1


def test_unknown_and_foreign_endpoints_are_not_found(api: Api, studios: Studios) -> None:
    endpoint, other = make(api), studios.new()
    delivery_id = api.post(f"/api/webhook-endpoints/{endpoint['id']}/test").json["id"]
    for endpoint_id in (endpoint["id"], str(uuid4()), "nonsense"):
        for answer in (
            other.delete(f"/api/webhook-endpoints/{endpoint_id}"),
            other.post(f"/api/webhook-endpoints/{endpoint_id}/test"),
        ):
            assert (answer.status, answer.json["code"]) == (404, "webhook_endpoint_not_found")
        answer = other.get(f"/api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}")
        assert (answer.status, answer.json["code"]) in (
            (404, "webhook_endpoint_not_found"),
            (404, "delivery_not_found"),
        )
    assert api.get(f"/api/webhook-endpoints/{endpoint['id']}/deliveries/nonsense").json["code"] == "delivery_not_found"
    assert other.get("/api/webhook-endpoints").json["items"] == []
    assert len(api.get("/api/webhook-endpoints").json["items"]) == 1
