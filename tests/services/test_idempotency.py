"""Writes with an Idempotency-Key: done once, whatever happens in between."""

from collections.abc import Callable
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.errors import AppError, Conflict, InvalidInput, TooManyRequests, TransientFault
from chalicelib.services import idempotency
from chalicelib.services.idempotency import MAX_KEY_LENGTH, EncodedResponse, idempotent
from tests.api.seeding import connect_google
from tests.conftest import Api, Studios

DONE = EncodedResponse(status=201, body='{"id": 1}', headers={"Location": "/api/things/1", "X-Count": "1"})
LOCATED = {"Location": "/api/things/1"}
REPLAYED = {"Idempotency-Replayed": "true"}


class Work:
    """Counts its calls."""

    def __init__(self, answer: EncodedResponse = DONE) -> None:
        self.answer, self.times = answer, 0

    def __call__(self) -> EncodedResponse:
        self.times += 1
        return self.answer


def repeat(
    studio_id: UUID, work: Callable[[], EncodedResponse], key: str = "key", request: bytes = b"request"
) -> EncodedResponse:
    return idempotent(studio_id, key, request, work)


def age(superuser: pg8000.native.Connection, interval: str) -> None:
    superuser.run(f"UPDATE idempotency_key SET started_at = started_at - interval '{interval}'")


def test_the_work_is_done_once_and_its_response_replayed(api: Api) -> None:
    work = Work()
    assert repeat(api.studio_id, work) == DONE
    for _ in range(2):
        again = repeat(api.studio_id, work)
        assert again == EncodedResponse(201, DONE.body, {**LOCATED, **REPLAYED})
    assert work.times == 1


def test_a_response_without_a_body_is_stored_too(api: Api) -> None:
    work = Work(EncodedResponse(status=204, body=""))
    repeat(api.studio_id, work)
    assert repeat(api.studio_id, work) == EncodedResponse(204, "", REPLAYED)


def test_keys_are_independent_across_studios_and_values(studios: Studios) -> None:
    work, studio_id = Work(), studios.new().studio_id
    repeat(studio_id, work)
    repeat(studio_id, work, key="other")
    repeat(studios.new().studio_id, work)
    assert work.times == 3


def test_a_key_of_another_request_is_rejected(api: Api) -> None:
    work = Work()
    repeat(api.studio_id, work)
    with pytest.raises(InvalidInput) as caught:
        repeat(api.studio_id, work, request=b"another request")
    assert caught.value.code == "idempotency_key_reused"
    assert work.times == 1


@pytest.mark.parametrize("error", [TransientFault("down"), ValueError("a bug"), KeyboardInterrupt()])
def test_failed_work_releases_its_key(api: Api, error: BaseException) -> None:
    def fail() -> EncodedResponse:
        raise error

    with pytest.raises(type(error)):
        repeat(api.studio_id, fail)
    work = Work()
    assert repeat(api.studio_id, work, request=b"a corrected request") == DONE


def test_a_repeat_during_the_first_request_is_a_conflict(api: Api) -> None:
    under_way, may_end = Event(), Event()
    answers: list[EncodedResponse] = []

    def slowly() -> EncodedResponse:
        under_way.set()
        assert may_end.wait(10)
        return DONE

    first = Thread(target=lambda: answers.append(repeat(api.studio_id, slowly)))
    first.start()
    assert under_way.wait(10)
    work = Work()
    with pytest.raises(Conflict) as caught:
        repeat(api.studio_id, work)
    assert caught.value.code == "request_in_progress"
    may_end.set()
    first.join(10)
    assert answers == [DONE]
    assert repeat(api.studio_id, work).headers == {**LOCATED, **REPLAYED}
    assert work.times == 0


def leave_behind(api: Api, superuser: pg8000.native.Connection) -> None:
    """A request that never finished: its process died before it could release its key."""
    repeat(api.studio_id, Work())
    superuser.run("UPDATE idempotency_key SET status = NULL, location = NULL, body = NULL")


def test_the_key_of_a_dead_request_is_free_after_a_minute(api: Api, superuser: pg8000.native.Connection) -> None:
    leave_behind(api, superuser)
    work = Work()
    age(superuser, "59 seconds")
    with pytest.raises(Conflict):
        repeat(api.studio_id, work)
    age(superuser, "2 seconds")
    assert repeat(api.studio_id, work) == DONE
    assert work.times == 1


def test_a_response_is_stored_for_a_day(api: Api, superuser: pg8000.native.Connection) -> None:
    work = Work()
    repeat(api.studio_id, work)
    age(superuser, "23 hours 59 minutes")
    assert repeat(api.studio_id, work).headers == {**LOCATED, **REPLAYED}
    age(superuser, "2 minutes")
    assert repeat(api.studio_id, work, request=b"a new request") == DONE
    assert work.times == 2


@pytest.mark.parametrize("key", ["", "x" * (MAX_KEY_LENGTH + 1), "tab\t", "line\n", "\x00", "é", "\ud800"])
def test_a_malformed_key_is_rejected_before_any_work(api: Api, key: str) -> None:
    work = Work()
    with pytest.raises(InvalidInput):
        repeat(api.studio_id, work, key=key)
    assert work.times == 0


@pytest.mark.parametrize("key", ["x", "x" * MAX_KEY_LENGTH, "'; DROP TABLE studio; --", "%s :key $1"])
def test_any_printable_key_is_accepted(api: Api, key: str) -> None:
    work = Work()
    assert repeat(api.studio_id, work, key=key) == DONE
    assert repeat(api.studio_id, work, key=key).headers == {**LOCATED, **REPLAYED}


def test_keys_per_studio_are_limited_but_repeats_are_still_answered(
    studios: Studios, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MAX_STORED", 3)
    studio_id, work = studios.new().studio_id, Work()
    for number in range(3):
        repeat(studio_id, work, key=str(number))
    age(superuser, "1 hour")
    with pytest.raises(TooManyRequests) as caught:
        repeat(studio_id, work, key="one more")
    assert (caught.value.code, work.times) == ("too_many_idempotency_keys", 3)
    assert 22 * 3600 < int(caught.value.headers["Retry-After"]) <= 23 * 3600
    assert repeat(studio_id, work, key="1").headers == {**LOCATED, **REPLAYED}
    repeat(studios.new().studio_id, work)
    age(superuser, "23 hours")
    assert repeat(studio_id, work, key="one more") == DONE


def test_the_query_is_part_of_the_request(api: Api, platforms: Any) -> None:
    connect_google(api)
    path = "/api/sync/google/schedule?syncType="
    assert api.delete(f"{path}bookings", Idempotency_Key="k").status == 204
    answer = api.delete(f"{path}inquiries", Idempotency_Key="k")
    assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
    assert api.delete(f"{path}bookings", Idempotency_Key="k").headers["Idempotency-Replayed"] == "true"


def test_the_path_and_the_method_are_part_of_the_request(api: Api) -> None:
    for platform in ("meta", "pinterest"):
        assert api.post("/api/connections", {"platform": platform, "accessToken": "token"}).status == 201
    assert api.delete("/api/connections/meta", Idempotency_Key="k").status == 204
    assert api.delete("/api/connections/pinterest", Idempotency_Key="k").json["code"] == "idempotency_key_reused"
    assert api.put("/api/connections/meta", Idempotency_Key="k").json["code"] == "idempotency_key_reused"
    assert api.get("/api/connections/pinterest").status == 200


def test_an_error_is_not_stored(api: Api) -> None:
    body = {"platform": "meta", "accessToken": "token"}
    assert api.put("/api/connections/meta", {"accessToken": "token"}, Idempotency_Key="k").status == 404
    api.post("/api/connections", body)
    assert api.put("/api/connections/meta", {"accessToken": "token"}, Idempotency_Key="k").status == 200


def test_replaying_needs_the_scope_of_the_request(studios: Studios) -> None:
    api = studios.new()
    body = {"platform": "meta", "accessToken": "token"}
    assert api.post("/api/connections", body, Idempotency_Key="k").status == 201
    reader = studios.with_key(api.studio_id, "connections:read")
    assert reader.post("/api/connections", body, Idempotency_Key="k").status == 403


def test_an_error_under_a_key_keeps_its_code(api: Api) -> None:
    def conflict() -> EncodedResponse:
        raise Conflict("taken", code="connection_exists")

    with pytest.raises(AppError) as caught:
        repeat(api.studio_id, conflict)
    assert caught.value.code == "connection_exists"
