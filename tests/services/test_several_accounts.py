"""Two Google accounts of one studio: their records, runs, limits and grants are independent of each other."""

from typing import Any

import pg8000.native
import pytest

from chalicelib.services.scheduling.schedules import start_due_runs
from dev.sandbox import Sandbox, issue_token
from tests.browser import consent
from tests.conftest import Answer, Api, Queue
from tests.services.conftest import CALENDAR, EVENTS, Studio, connect

ACCOUNTS = ("studio", "bulk-3")
SAME = {"id": "sameinboth", "summary": "Wedding Ida & Jon"}


class Both:
    """A studio with two connections, the owner's and a partner's."""

    def __init__(self, studio: Studio, owner: str, partner: str) -> None:
        self.studio, self.owner, self.partner = studio, owner, partner

    def start(self, connection: str, stream: str = "bookings") -> dict[str, Any]:
        answer = self.studio.api.post(f"/api/sync/google?connection={connection}", {"syncType": stream})
        assert answer.status == 202, answer.text
        return answer.json["runs"][0]  # type: ignore[no-any-return]

    def sync(self, connection: str, stream: str = "bookings") -> dict[str, Any]:
        run = self.start(connection, stream)
        self.studio.work()
        return self.studio.run(run["id"])

    def get(self, connection: str) -> Answer:
        return self.studio.api.get(f"/api/connections/google?connection={connection}")

    def delete(self, connection: str) -> Answer:
        return self.studio.api.delete(f"/api/connections/google?connection={connection}")


@pytest.fixture
def both(api: Api, queue: Queue, platforms: Sandbox) -> Both:
    for account in ACCOUNTS:
        platforms.google.add_event(SAME, account)
    owner, partner = (consent(api, account=account).json["connection"]["id"] for account in ACCOUNTS)
    studio = Studio(api, queue, "studio")
    studio.work()
    return Both(studio, owner, partner)


def same_event(superuser: pg8000.native.Connection) -> dict[str, str]:
    """The status of the event that both accounts have, by connection."""
    rows = superuser.run("SELECT connection_id::text, status FROM booking WHERE external_id = :id", id=SAME["id"])
    return dict(rows or ())


def test_the_same_event_id_in_two_accounts_is_two_bookings(both: Both, superuser: pg8000.native.Connection) -> None:
    assert same_event(superuser) == {both.owner: "confirmed", both.partner: "confirmed"}


def test_an_event_deleted_in_one_account_stays_in_the_other(
    both: Both, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.delete_event(str(SAME["id"]), "bulk-3")
    assert both.sync(both.partner)["records"]["deleted"] == 1
    assert same_event(superuser) == {both.owner: "confirmed", both.partner: "cancelled"}


def test_the_same_stream_of_both_runs_concurrently_from_its_own_cursor(both: Both) -> None:
    runs = [both.start(connection) for connection in (both.owner, both.partner)]
    assert [run["status"] for run in runs] == ["queued", "queued"]
    assert both.start(both.owner)["id"] == runs[0]["id"]
    assert both.studio.work() == ["succeeded", "succeeded"]
    assert [both.studio.run(run["id"])["connectionId"] for run in runs] == [both.owner, both.partner]
    assert not any(both.studio.run(run["id"])["fullRead"] for run in runs)


def test_the_tick_starts_what_is_due_for_each(both: Both, superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE sync_schedule SET next_run_at = now() - interval '1 second' WHERE stream = 'bookings'")
    assert start_due_runs() == 2
    assert both.studio.work() == ["succeeded", "succeeded"]


def test_a_dead_grant_breaks_only_its_connection(both: Both, platforms: Sandbox) -> None:
    platforms.google.revoke("bulk-3")
    assert both.sync(both.partner)["status"] == "failed"
    assert both.sync(both.owner)["status"] == "succeeded"
    assert (both.get(both.owner).json["status"], both.get(both.partner).json["status"]) == ("active", "revoked")
    streams = both.studio.api.get("/api/sync/status").json["items"]
    assert {stream["connectionId"]: stream["paused"] for stream in streams} == {both.owner: False, both.partner: True}


def test_a_limit_of_one_account_does_not_delay_the_other(both: Both, platforms: Sandbox) -> None:
    body = {"error": {"code": 403, "message": "Limit", "errors": [{"reason": "userRateLimitExceeded"}]}}
    platforms.add_fault(kind="status", status=403, host=CALENDAR, path=EVENTS, body=body, times=1)
    assert both.sync(both.partner)["error"]["code"] == "platform_rate_limited"
    assert both.sync(both.owner)["status"] == "succeeded"


def test_a_pause_and_a_backfill_affect_only_one_account(both: Both) -> None:
    api = both.studio.api
    bookings = {"syncType": "bookings"}
    assert api.post(f"/api/sync/google/schedule/pause?connection={both.partner}", bookings).status == 200
    may = {**bookings, "from": "2026-05-01", "to": "2026-05-31"}
    backfills = [api.post(f"/api/sync/google/backfill?connection={each}", may) for each in (both.owner, both.partner)]
    ids = {answer.json["runs"][0]["id"] for answer in backfills}
    assert len(ids) == 2
    status = {
        stream["connectionId"]: (stream["paused"], stream["backfill"] is not None)
        for stream in api.get("/api/sync/status").json["items"]
        if stream["syncType"] == "bookings"
    }
    assert status == {both.owner: (False, True), both.partner: (True, True)}


def test_a_disconnect_revokes_one_grant_and_the_other_keeps_working(
    both: Both, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    assert both.delete(both.partner).status == 204
    revoked = superuser.run("SELECT id::text, revocation FROM platform_connection ORDER BY id")
    assert revoked == [[both.owner, None], [both.partner, "revoked"]]
    assert both.studio.sync("bookings")["status"] == "succeeded"
    assert set(same_event(superuser)) == {both.owner, both.partner}


def test_reconnecting_an_account_finds_its_rows_again(
    both: Both, queue: Queue, superuser: pg8000.native.Connection
) -> None:
    before = superuser.run("SELECT count(*) FROM booking")
    both.delete(both.owner)
    both.delete(both.partner)
    again = connect(both.studio.api, queue, "bulk-3")
    assert again.connection()["id"] == both.partner
    run = again.sync("bookings")
    assert (run["fullRead"], run["records"]["created"]) == (True, 0)
    assert superuser.run("SELECT count(*) FROM booking") == before


def test_an_event_with_both_as_guests_counts_once(both: Both, superuser: pg8000.native.Connection) -> None:
    """It has the same iCalUID in both calendars. Figures of the connections add up to those of the studio."""
    superuser.run("UPDATE booking SET booked_at = '2026-05-04T12:00:00Z'")

    def counted(connection: str = "") -> int:
        period = f"/api/metrics/overview?from=2026-05-04&to=2026-05-04{connection}"
        return int(both.studio.api.get(period).json["current"]["bookings"]["count"])

    def each() -> list[int]:
        return [counted(f"&connection={connection}") for connection in (both.owner, both.partner)]

    once = counted()
    assert once == sum(each())
    superuser.run("UPDATE booking SET ical_uid = id::text WHERE external_id = :id", id=SAME["id"])
    assert counted() == once + 1 == sum(each())


def test_tokens_of_the_partner_do_not_replace_the_owners(both: Both) -> None:
    grant = issue_token("bulk-3")
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token}
    answer = both.studio.api.put(f"/api/connections/google?connection={both.owner}", tokens)
    assert answer.status == 200
    assert both.sync(both.owner)["error"]["code"] == "another_account"
    assert both.sync(both.partner)["status"] == "succeeded"
