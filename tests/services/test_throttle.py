"""The throttle of a platform: what one run learns about limits applies to all runs of all workers."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pg8000.native
import pytest

from chalicelib.data import throttle as rows
from chalicelib.data.postgres.database import write
from chalicelib.platforms.core.quota import Usage
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.registry import LOADED
from chalicelib.services.throttling import throttle
from chalicelib.services.throttling.throttle import FAILURES_TO_OPEN
from dev.sandbox import Sandbox
from tests.conftest import Api, Database, Queue, Studios, from_now
from tests.data.rows import connection_of, new_studio
from tests.services.conftest import Studio, connect, execute, scalar

CALENDAR = "www.googleapis.com"
EVENTS = "/calendar/v3/calendars/"
KEY = {"platform": "google", "api": "calendar"}


def wait_is_over(superuser: pg8000.native.Connection) -> None:
    """Ends the waits of runs and throttles."""
    superuser.run("UPDATE sync_log SET resume_at = now() WHERE resume_at IS NOT NULL")
    superuser.run("UPDATE platform_circuit SET open_until = now() WHERE open_until IS NOT NULL")
    superuser.run("UPDATE app_quota SET blocked_until = NULL; UPDATE account_quota SET blocked_until = NULL")


def fail(platforms: Sandbox, times: int | None = None) -> None:
    platforms.add_fault(kind="status", status=500, host=CALENDAR, path=EVENTS, times=times)


def open_circuit(superuser: pg8000.native.Connection, failures: int = FAILURES_TO_OPEN) -> None:
    superuser.run(
        "INSERT INTO platform_circuit (platform, api, failures_in_row, open_until)"
        " VALUES ('google', 'calendar', :failures, now() + interval '30 seconds')",
        failures=failures,
    )


def circuit(superuser: pg8000.native.Connection) -> tuple[int, bool]:
    """Consecutive failures, and whether the circuit is open."""
    rows = superuser.run("SELECT failures_in_row, open_until > now() IS TRUE FROM platform_circuit")
    return tuple(rows[0]) if rows else (0, False)


def test_consecutive_failures_open_the_circuit_and_stop_all_calls(
    api: Api, studios: Studios, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio, other = connect(api, queue), connect(studios.new(), queue)
    open_circuit(superuser, FAILURES_TO_OPEN - 1)
    wait_is_over(superuser)
    fail(platforms)
    assert studio.sync("bookings")["error"]["code"] == "platform_unavailable"
    assert circuit(superuser) == (FAILURES_TO_OPEN, True)
    platforms.requests.clear()
    waiting = other.sync("bookings")
    assert (waiting["status"], waiting["error"]["code"], waiting["apiCalls"]) == ("deferred", "platform_down", 0)
    assert platforms.requests.list() == []
    assert scalar(superuser, "SELECT attempts_without_progress FROM sync_log WHERE id = :id", id=waiting["id"]) == 0


def test_the_circuit_of_one_api_does_not_affect_others(studio: Studio, superuser: pg8000.native.Connection) -> None:
    open_circuit(superuser)
    assert studio.sync("bookings")["error"]["code"] == "platform_down"
    assert studio.sync("inquiries")["status"] == "succeeded"


def test_a_half_open_circuit_admits_one_run_whose_success_closes_it(
    api: Api, studios: Studios, queue: Queue, superuser: pg8000.native.Connection, platforms: Sandbox
) -> None:
    studio, other = connect(api, queue), connect(studios.new(), queue)
    open_circuit(superuser)
    superuser.run("UPDATE platform_circuit SET open_until = now()")
    probed = write(studio.id, rows.PROBE_CIRCUIT, threshold=FAILURES_TO_OPEN, seconds=60, **KEY)
    assert probed is not None
    assert other.sync("bookings")["error"]["code"] == "platform_down"
    wait_is_over(superuser)
    assert studio.sync("bookings")["status"] == "succeeded"
    assert circuit(superuser) == (0, False)
    wait_is_over(superuser)
    assert execute(other, other.start("bookings")["id"]) == "succeeded"


def test_a_half_open_circuit_opens_for_longer_when_the_probe_fails(
    studio: Studio, superuser: pg8000.native.Connection, platforms: Sandbox
) -> None:
    open_circuit(superuser)
    superuser.run("UPDATE platform_circuit SET open_until = now()")
    fail(platforms)
    assert studio.sync("bookings")["error"]["code"] == "platform_unavailable"
    seconds = scalar(superuser, "SELECT extract(epoch FROM open_until - now()) FROM platform_circuit")
    assert throttle.OPEN_SECONDS * 2 - 10 < seconds <= throttle.OPEN_SECONDS * 2


def test_a_success_between_failures_keeps_the_circuit_closed(
    studio: Studio, superuser: pg8000.native.Connection, platforms: Sandbox
) -> None:
    fail(platforms, times=1)
    run = studio.sync("bookings")
    assert circuit(superuser) == (1, False)
    wait_is_over(superuser)
    assert execute(studio, run["id"]) == "succeeded"
    assert circuit(superuser) == (0, False)


def test_internal_and_studio_errors_do_not_count_against_a_platform(
    studio: Studio, superuser: pg8000.native.Connection, platforms: Sandbox
) -> None:
    platforms.add_fault(kind="status", status=400, host=CALENDAR, path=EVENTS)
    assert studio.sync("bookings")["error"]["code"] == "platform_contract_changed"
    assert circuit(superuser) == (0, False)


def test_a_rate_limit_of_an_account_delays_its_other_runs_of_that_api(
    api: Api, studios: Studios, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio, other = connect(api, queue), connect(studios.new(), queue)
    platforms.add_fault(kind="status", status=429, host=CALENDAR, path=EVENTS, headers={"Retry-After": "900"}, times=1)
    studio.sync("bookings")
    superuser.run("UPDATE sync_log SET status = 'cancelled', finished_at = now()")
    platforms.requests.clear()
    waiting = studio.sync("bookings")
    assert (waiting["status"], waiting["error"]["code"], waiting["apiCalls"]) == ("deferred", "quota_spent", 0)
    resumes = from_now(waiting["resumeAt"])
    assert timedelta(minutes=14) < resumes < timedelta(minutes=18)
    assert studio.sync("inquiries")["status"] == "succeeded"
    assert other.sync("bookings")["status"] == "succeeded"


def test_a_limit_of_the_application_delays_every_studio(
    api: Api, studios: Studios, queue: Queue, platforms: Sandbox
) -> None:
    studio, other = connect(api, queue), connect(studios.new(), queue)
    body = {"error": {"code": 403, "message": "Daily Limit Exceeded", "errors": [{"reason": "dailyLimitExceeded"}]}}
    platforms.add_fault(kind="status", status=403, host=CALENDAR, path=EVENTS, body=body, times=1)
    assert studio.sync("bookings")["error"]["code"] == "platform_rate_limited"
    assert other.sync("bookings")["error"]["code"] == "quota_spent"


class Spender:
    """A studio that makes calls and learns how much of the application's and of its own quota is used."""

    def __init__(self, studio_id: UUID) -> None:
        self.studio_id = studio_id

    def spend(self, calls: int, *, app: float | None = None, account: float | None = None) -> bool:
        """Returns whether it may make further calls."""
        usage = {"app_used": app, "account_used": account, "app_seconds": 60, "account_seconds": 60}
        connection = {"studio_id": self.studio_id, "connection_id": connection_of(self.studio_id)}
        wait = write(self.studio_id, rows.SPEND_QUOTA, calls=calls, **connection, **usage, **KEY)
        return wait.seconds is None


@pytest.fixture
def noisy(clean_database: Database) -> Spender:
    return Spender(new_studio("Noisy"))


@pytest.fixture
def quiet(clean_database: Database) -> Spender:
    return Spender(new_studio("Quiet"))


def test_below_three_quarters_of_a_quota_no_studio_waits(noisy: Spender, quiet: Spender) -> None:
    assert noisy.spend(700, app=0.70)
    assert quiet.spend(1, app=0.70)


def test_above_three_quarters_only_the_noisy_studio_waits(noisy: Spender, quiet: Spender) -> None:
    assert quiet.spend(10, app=0.1)
    assert not noisy.spend(700, app=0.76)
    assert quiet.spend(10, app=0.77)
    assert quiet.spend(10, app=0.90)


def test_part_of_the_quota_is_reserved_for_studios_without_calls(noisy: Spender, quiet: Spender) -> None:
    assert not noisy.spend(760, app=0.76)
    assert quiet.spend(1, app=0.76)


def test_at_the_end_of_the_quota_every_studio_waits(noisy: Spender, quiet: Spender) -> None:
    noisy.spend(900, app=0.90)
    assert not quiet.spend(1, app=0.96)
    assert not noisy.spend(1)


def test_an_account_at_the_end_of_its_own_quota_waits_alone(noisy: Spender, quiet: Spender) -> None:
    assert not noisy.spend(10, account=0.97)
    assert quiet.spend(10, account=0.10)
    assert noisy.spend(1, account=0.50)


def test_calls_older_than_an_hour_do_not_count(
    noisy: Spender, quiet: Spender, superuser: pg8000.native.Connection
) -> None:
    noisy.spend(900, app=0.5)
    quiet.spend(1, app=0.5)
    superuser.run("UPDATE app_quota SET window_at = window_at - interval '2 hours'")
    superuser.run("UPDATE studio_quota SET window_at = window_at - interval '2 hours'")
    assert noisy.spend(1, app=0.2)
    assert superuser.run("SELECT calls, studios FROM app_quota") == [[1, 1]]
    assert not quiet.spend(100, app=0.8)
    assert superuser.run("SELECT calls, studios FROM app_quota") == [[101, 2]]


def test_usage_reported_in_headers_is_stored_in_the_shared_rows(
    studio: Studio, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(headers: Any, now: datetime) -> list[Usage]:
        assert "content-type" in headers
        return [Usage("app", 0.99, now + timedelta(seconds=600)), Usage("account", 0.25)]

    monkeypatch.setitem(LOADED, "google", msgspec.structs.replace(GOOGLE, usage=usage))
    assert studio.sync("bookings")["status"] == "succeeded"
    (app,) = superuser.run("SELECT used, calls > 0, extract(epoch FROM blocked_until - now()) FROM app_quota")
    assert app[:2] == [0.99, True]
    assert 500 < app[2] <= 600
    assert superuser.run("SELECT used FROM account_quota") == [[0.25]]
    assert studio.sync("bookings")["error"]["code"] == "quota_spent"
