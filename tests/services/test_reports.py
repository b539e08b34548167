"""Pages that a platform prepares: a run asks again when the stream says so, without failing or starting over."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pg8000.native
import pytest

from chalicelib import clock
from chalicelib.errors import CursorExpired
from chalicelib.platforms.core.accounts import FoundAccount, FoundAccounts
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import AccountKind, Page, Stream, Window
from chalicelib.platforms.core.items import Items
from chalicelib.platforms.core.records import AdCampaignRecord
from chalicelib.platforms.core.urls import url_of
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.registry import LOADED
from chalicelib.services.sync import reports
from chalicelib.services.throttling.retries import MAX_ATTEMPTS_WITHOUT_PROGRESS
from chalicelib.settings import get_settings
from dev.sandbox import Sandbox
from tests.conftest import NOON, Api, LogLines, Queue
from tests.data.pages import campaign, column
from tests.http_fake import Fake, Reply, http_fake
from tests.services.conftest import Studio, connect, execute, make_due, scalar, status_of

HOST = "www.googleapis.com"
PATH = f"/{HOST}/reports"
RUNNING = {"id": "r1", "status": "RUNNING"}
BOTH = FoundAccounts([FoundAccount(external_id=name, name=name) for name in ("one", "two")], True)


class Cursor(msgspec.Struct, frozen=True):
    report: str


class Report(msgspec.Struct, frozen=True):
    id: str
    status: str = "RUNNING"
    campaigns: list[str] = []


def fetch(client: Client, cursor: Cursor | None) -> Page[Cursor]:
    account = client.account.external_id or "all"
    if cursor is None:
        creation_url = url_of(f"https://{HOST}/reports/{{account}}", account=account)
        report = client.post_json(creation_url, {"days": 7}, into=Report)
    else:
        url = url_of(f"https://{HOST}/reports/{{account}}/{{report}}", account=account, report=cursor.report)
        fetched = client.find(url, into=Report)
        if fetched is None:
            raise CursorExpired()
        report = fetched
    records = [campaign(name) for name in report.campaigns]
    if report.status == "DONE":
        return Page(records, None, True)
    wait = timedelta(hours=1) if report.status == "SLOW" else timedelta(seconds=60)
    at = NOON if report.status == "LATE" else client.now() + wait
    following = None if report.status == "LOST" else Cursor(report.id)
    return Page(records, following, False, ask_again_at=at)


def fetch_window(client: Client, window: Window, cursor: Cursor | None) -> Page[Cursor]:
    return fetch(client, cursor)


REPORTS = Stream(
    name="reports",
    items=(Items(record=AdCampaignRecord, shape=Report, context=Report, parse=lambda item, context: campaign("x")),),
    cursor=Cursor,
    fetch=fetch,
    frequency="daily",
    scopes=GOOGLE.streams[0].scopes,
    fetch_window=fetch_window,
)
OF_ACCOUNTS = msgspec.structs.replace(
    REPORTS, name="account_reports", accounts=AccountKind("advertiser", lambda client: BOTH)
)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with http_fake() as server:
        yield server


@pytest.fixture
def studio(api: Api, queue: Queue, platforms: Sandbox, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """Connected to the sandbox; its streams call the fake."""
    streams = (*GOOGLE.streams, REPORTS, OF_ACCOUNTS)
    monkeypatch.setitem(LOADED, "google", msgspec.structs.replace(GOOGLE, streams=streams))
    studio = connect(api, queue)
    monkeypatch.setenv("PLATFORM_SANDBOX_URL", fake.url)
    get_settings.cache_clear()
    yield studio
    get_settings.cache_clear()


def calls_of(fake: Fake) -> list[tuple[str, str]]:
    return [(request.method, request.path.removeprefix(PATH)) for request in fake.requests]


def ask(studio: Studio, superuser: pg8000.native.Connection, run_id: str) -> str:
    """The next execution, as soon as it is due."""
    make_due(superuser, run_id)
    return execute(studio, run_id)


def positions(superuser: pg8000.native.Connection) -> list[Any]:
    rows = superuser.run("SELECT report_asks, attempts_without_progress, code FROM account_position WHERE is_open")
    return list(rows or ())


def test_a_run_waits_for_a_report_and_continues_with_it(
    studio: Studio, fake: Fake, superuser: pg8000.native.Connection, log_lines: LogLines
) -> None:
    fake.on(f"{PATH}/all", Reply(RUNNING))
    fake.on(f"{PATH}/all/r1", Reply(RUNNING), Reply({"id": "r1", "status": "DONE", "campaigns": ["a", "b"]}))
    run = studio.start("reports")
    with clock.at(NOON):
        assert execute(studio, run["id"]) == "deferred"
    assert [(event["asks"], event["seconds"]) for event in log_lines.named("visit.waiting")] == [(1, 60.0)]
    waiting_run = studio.run(run["id"])
    assert (waiting_run["error"]["code"], waiting_run["pages"], waiting_run["apiCalls"]) == ("report_pending", 0, 1)
    assert positions(superuser) == [[1, 0, "report_pending"]]
    assert execute(studio, run["id"]) == "dropped"
    assert ask(studio, superuser, run["id"]) == "deferred"
    assert ask(studio, superuser, run["id"]) == "succeeded"
    assert calls_of(fake) == [("POST", "/all"), ("GET", "/all/r1"), ("GET", "/all/r1")]
    done = studio.run(run["id"])
    assert (done["status"], done["error"], done["pages"], done["records"]["created"]) == ("succeeded", None, 1, 2)
    assert scalar(superuser, "SELECT attempts_without_progress FROM sync_log") == 0


def test_the_status_says_that_a_report_is_pending(studio: Studio, fake: Fake) -> None:
    fake.on(f"{PATH}/all", Reply(RUNNING))
    run = studio.start("reports")
    execute(studio, run["id"])
    status = status_of(studio, "reports")
    assert (status["state"], status["reason"]["code"], status["reason"]["action"]) == (
        *("deferred", "report_pending", "wait"),
    )


def test_asking_again_does_not_count_as_an_attempt_without_progress(
    studio: Studio, fake: Fake, superuser: pg8000.native.Connection
) -> None:
    fake.on(f"{PATH}/all", Reply(RUNNING))
    waits = 2 * MAX_ATTEMPTS_WITHOUT_PROGRESS
    fake.on(f"{PATH}/all/r1", *[Reply(RUNNING)] * waits, Reply({"id": "r1", "status": "DONE"}))
    run = studio.start("reports")
    assert execute(studio, run["id"]) == "deferred"
    assert [ask(studio, superuser, run["id"]) for _ in range(waits + 1)] == ["deferred"] * waits + ["succeeded"]


def test_a_transient_error_between_two_calls_keeps_the_report(
    studio: Studio, fake: Fake, superuser: pg8000.native.Connection
) -> None:
    fake.on(f"{PATH}/all", Reply(RUNNING))
    fake.on(f"{PATH}/all/r1", Reply({}, status=503), Reply({"id": "r1", "status": "DONE"}))
    run = studio.start("reports")
    assert execute(studio, run["id"]) == "deferred"
    assert ask(studio, superuser, run["id"]) == "deferred"
    assert positions(superuser) == [[1, 1, "platform_unavailable"]]
    assert ask(studio, superuser, run["id"]) == "succeeded"
    assert calls_of(fake) == [("POST", "/all"), ("GET", "/all/r1"), ("GET", "/all/r1")]


def test_after_too_many_calls_the_next_run_requests_another_report(
    studio: Studio, fake: Fake, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MAX_ASKS", 2)
    fake.on(f"{PATH}/all", Reply(RUNNING), Reply({"id": "r2", "status": "DONE"}))
    fake.on(f"{PATH}/all/r1", Reply(RUNNING))
    run = studio.start("reports")
    assert execute(studio, run["id"]) == "deferred"
    assert ask(studio, superuser, run["id"]) == "deferred"
    assert ask(studio, superuser, run["id"]) == "failed"
    assert studio.run(run["id"])["error"]["code"] == "report_overdue"
    assert studio.sync("reports")["status"] == "succeeded"
    assert [method for method, _ in calls_of(fake)] == ["POST", "GET", "GET", "POST"]


@pytest.mark.parametrize(("waited", "outcome"), [("119 minutes", "deferred"), ("121 minutes", "failed")])
def test_after_hours_the_run_stops_waiting_for_a_report(
    waited: str,
    outcome: str,
    studio: Studio,
    fake: Fake,
    superuser: pg8000.native.Connection,
    log_lines: LogLines,
) -> None:
    fake.on(f"{PATH}/all", Reply({**RUNNING, "status": "SLOW"}))
    fake.on(f"{PATH}/all/r1", Reply({**RUNNING, "status": "SLOW"}))
    run = studio.start("reports")
    execute(studio, run["id"])
    superuser.run(f"UPDATE account_position SET report_asked_at = now() - interval '{waited}' WHERE is_open")
    assert ask(studio, superuser, run["id"]) == outcome
    if outcome == "deferred":
        assert log_lines.named("visit.waiting")[-1]["seconds"] <= 60


def test_a_past_time_to_ask_again_does_not_mean_at_once(studio: Studio, fake: Fake, log_lines: LogLines) -> None:
    fake.on(f"{PATH}/all", Reply({**RUNNING, "status": "LATE"}))
    run = studio.start("reports")
    assert execute(studio, run["id"]) == "deferred"
    assert [event["seconds"] for event in log_lines.named("visit.waiting")] == [10.0]
    assert len(fake.requests) == 1


def test_other_accounts_are_read_while_one_waits_for_its_report(
    studio: Studio, fake: Fake, superuser: pg8000.native.Connection
) -> None:
    fake.on(f"{PATH}/one", Reply({"id": "r1", "status": "SLOW"}))
    fake.on(f"{PATH}/one/r1", Reply({"id": "r1", "status": "DONE", "campaigns": ["a"]}))
    fake.on(f"{PATH}/two", Reply({"id": "r2", "status": "DONE", "campaigns": ["b"]}))
    run = studio.start("account_reports")
    assert execute(studio, run["id"]) == "deferred"
    assert column(superuser, "ad_campaign", "status").keys() == {"b"}
    assert ask(studio, superuser, run["id"]) == "succeeded"
    assert column(superuser, "ad_campaign", "status").keys() == {"a", "b"}
    assert sorted(calls_of(fake)) == [("GET", "/one/r1"), ("POST", "/one"), ("POST", "/two")]


def test_records_of_an_unfinished_report_are_stored(
    studio: Studio, fake: Fake, superuser: pg8000.native.Connection
) -> None:
    fake.on(f"{PATH}/all", Reply({**RUNNING, "campaigns": ["a"]}))
    fake.on(f"{PATH}/all/r1", Reply({"id": "r1", "status": "DONE", "campaigns": ["a", "b"]}))
    run = studio.start("reports")
    assert execute(studio, run["id"]) == "deferred"
    assert column(superuser, "ad_campaign", "status").keys() == {"a"}
    assert ask(studio, superuser, run["id"]) == "succeeded"
    records = studio.run(run["id"])["records"]
    assert (records["created"], records["unchanged"], studio.run(run["id"])["pages"]) == (2, 1, 2)


def test_a_report_forgotten_by_the_platform_is_requested_again_within_bounds(
    studio: Studio, fake: Fake, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MAX_ASKS", 3)
    fake.on(f"{PATH}/all", Reply(RUNNING))
    fake.on(f"{PATH}/all/r1", Reply({}, status=404))
    run = studio.start("reports")
    outcomes = [execute(studio, run["id"]), *(ask(studio, superuser, run["id"]) for _ in range(3))]
    assert outcomes == ["deferred", "deferred", "deferred", "failed"]
    assert studio.run(run["id"])["error"]["code"] == "report_overdue"


def test_a_pending_report_without_a_cursor_is_a_transient_error(studio: Studio, fake: Fake) -> None:
    fake.on(f"{PATH}/all", Reply({**RUNNING, "status": "LOST"}))
    run = studio.sync("reports")
    assert (run["status"], run["error"]["code"]) == ("deferred", "platform_unavailable")


def test_a_backfill_waits_for_the_report_of_each_of_its_slices(
    studio: Studio, fake: Fake, superuser: pg8000.native.Connection
) -> None:
    done = {"status": "DONE", "campaigns": ["a"]}
    fake.on(f"{PATH}/all", Reply(RUNNING), Reply({"id": "r2"}))
    fake.on(f"{PATH}/all/r1", Reply({"id": "r1", **done}))
    fake.on(f"{PATH}/all/r2", Reply({"id": "r2", **done}))
    days = {"syncType": "reports", "from": "2026-01-01", "to": "2026-02-10"}
    answer = studio.api.post("/api/sync/google/backfill", days)
    assert answer.status == 202, answer.text
    run_id = answer.json["runs"][0]["id"]
    outcomes = [execute(studio, run_id), *(ask(studio, superuser, run_id) for _ in range(2))]
    assert outcomes == ["deferred", "deferred", "succeeded"]
    assert calls_of(fake) == [("POST", "/all"), ("GET", "/all/r1"), ("POST", "/all"), ("GET", "/all/r2")]
