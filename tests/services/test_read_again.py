"""A sync requested while a run is reading: the same run reads once more, so that it covers the request."""

from collections.abc import Callable
from typing import Any

import msgspec
import pg8000.native
import pytest

from chalicelib.platforms.core.contract import Page, Stream
from chalicelib.platforms.core.transport import Transport
from chalicelib.services.throttling.retries import MAX_ATTEMPTS_WITHOUT_PROGRESS
from dev.sandbox import Sandbox
from tests.services.conftest import EVENTS, Studio, execute, make_due, scalar


def while_reading(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Calls `action` once, after a page is fetched and before it is stored."""
    todo = [act]
    fetch_page = Stream.fetch_page

    def fetch(stream: Stream[Any], *arguments: Any) -> Page[Any]:
        page = fetch_page(stream, *arguments)
        if todo:
            todo.pop()()
        return page

    monkeypatch.setattr(Stream, "fetch_page", fetch)


def test_a_change_before_the_second_request_is_stored_when_the_run_ends(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[dict[str, Any]] = []

    def change_and_ask() -> None:
        platforms.google.add_event({"summary": "Wedding added meanwhile"})
        answers.append(studio.start("bookings"))

    while_reading(monkeypatch, change_and_ask)
    run = studio.start("bookings")
    assert run["readsAgain"] is False
    assert execute(studio, run["id"]) == "succeeded"
    assert [(answer["id"], answer["readsAgain"]) for answer in answers] == [(run["id"], True)]
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE title = 'Wedding added meanwhile'") == 1
    done = studio.run(run["id"])
    assert (done["status"], done["pages"], done["records"]["deleted"]) == ("succeeded", 2, 0)
    assert studio.sync("bookings")["records"]["seen"] == 0


def test_a_queued_run_reads_once(studio: Studio) -> None:
    first, second = studio.start("bookings"), studio.start("bookings")
    assert (second["id"], second["readsAgain"]) == (first["id"], False)
    studio.work()
    assert studio.run(first["id"])["pages"] == 1


def test_a_worker_taking_over_resumes_where_the_first_read_ended(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask() -> None:
        studio.start("bookings")

    while_reading(monkeypatch, ask)
    run = studio.start("bookings")
    platforms.add_fault(kind="status", status=503, path=EVENTS, after=1)
    assert execute(studio, run["id"]) == "deferred"
    stored = scalar(superuser, "SELECT count(*) FROM booking")
    make_due(superuser, run["id"])
    assert execute(studio, run["id"]) == "succeeded"
    done = studio.run(run["id"])
    assert (done["pages"], done["records"]["seen"], done["fullRead"]) == (2, stored, True)


def test_a_stream_without_incremental_reads_is_fully_read_once_more(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records missing from the second read are deleted, as after any full read."""
    event = platforms.google.add_event({"summary": "Wedding deleted meanwhile"})

    def change_and_ask() -> None:
        platforms.google.delete_event(event["id"])
        studio.start("bookings")

    while_reading(monkeypatch, change_and_ask)
    for _ in range(2):
        platforms.add_fault(kind="shape", path=EVENTS, body={"nextSyncToken": None})
    run = studio.sync("bookings")
    assert (run["status"], run["pages"], run["fullRead"]) == ("succeeded", 2, True)
    assert scalar(superuser, "SELECT status FROM booking WHERE title = 'Wedding deleted meanwhile'") == "cancelled"


def test_a_retry_requests_another_read_too(studio: Studio, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    platforms.add_fault(kind="status", status=400, path=EVENTS)
    failed = studio.sync("bookings")
    answers: list[dict[str, Any]] = []

    def retry() -> None:
        answers.extend(studio.api.post(f"/api/sync/log/{failed['id']}/retry").json["runs"])

    while_reading(monkeypatch, retry)
    studio.sync("bookings")
    assert [answer["readsAgain"] for answer in answers] == [True]


def answer_with(platforms: Sandbox, *bodies: dict[str, Any], times: int | None = 1) -> None:
    for body in bodies:
        platforms.add_fault(kind="status", status=200, path=EVENTS, times=times, body=body)


def test_a_page_naming_itself_as_next_is_retried_a_bounded_number_of_times(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    answer_with(platforms, {"nextPageToken": "again"}, times=None)
    run, outcomes = studio.start("bookings"), []
    for _ in range(MAX_ATTEMPTS_WITHOUT_PROGRESS + 1):
        outcomes.append(execute(studio, run["id"]))
        make_due(superuser, run["id"])
    assert (outcomes[0], outcomes[-1]) == ("deferred", "failed")
    assert studio.run(run["id"])["pages"] == 1


def test_pages_leading_back_to_an_earlier_one_end_the_run(studio: Studio, platforms: Sandbox) -> None:
    answer_with(platforms, *({"nextPageToken": token} for token in ("a", "b", "a")))
    run = studio.sync("bookings")
    assert (run["status"], run["pages"], run["error"]["code"]) == ("failed", 2, "platform_contract_changed")


@pytest.mark.parametrize(("stream", "path"), [("bookings", EVENTS), ("inquiries", "/gmail/v1/users/me/threads$")])
def test_an_empty_page_token_is_the_end(studio: Studio, platforms: Sandbox, stream: str, path: str) -> None:
    platforms.add_fault(kind="shape", path=path, times=None, body={"nextPageToken": ""})
    assert studio.sync(stream)["status"] == "succeeded"


def test_a_page_that_is_too_large_is_requested_in_a_smaller_size(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = Transport.to
    monkeypatch.setattr(Transport, "to", lambda *known: msgspec.structs.replace(to(*known), max_bytes=300_000))
    run = bulk.sync("bookings")
    assert (run["status"], scalar(superuser, "SELECT count(*) FROM booking")) == ("succeeded", 2500)
