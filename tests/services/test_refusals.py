"""Effects of rejections by platforms on runs and connections, and the action that they ask of a person."""

from typing import Any

import pg8000.native
import pytest

from dev.sandbox import Sandbox
from tests.conftest import Api, Queue
from tests.services.conftest import Studio, connect

CALENDAR = "www.googleapis.com"
GMAIL = "gmail.googleapis.com"
TOKEN_HOST = "oauth2.googleapis.com"


def envelope(status: int, reason: str, message: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "errors": [{"domain": "global", "reason": reason}]}}


NO_MAILBOX = ("inquiries", GMAIL, 400, envelope(400, "failedPrecondition", "Mail service not enabled"))
NO_CALENDAR = ("bookings", CALENDAR, 403, envelope(403, "notACalendarUser", "The user must be signed up."))
BLOCKED = ("inquiries", GMAIL, 403, envelope(403, "domainPolicy", "The domain administrators have disabled Gmail apps"))
FORBIDDEN = ("bookings", CALENDAR, 403, envelope(403, "insufficientPermissions", "Insufficient Permission"))
CASES = {
    "no mailbox": (NO_MAILBOX, "mailbox_not_enabled", "fix_account", "Gmail"),
    "calendar off": (NO_CALENDAR, "calendar_not_enabled", "fix_account", "Google Calendar"),
    "blocked": (BLOCKED, "blocked_by_administrator", "ask_administrator", "administrator"),
    "not allowed": (FORBIDDEN, "permission_missing", "grant_scopes", "reconnect"),
}


def refuse(platforms: Sandbox, host: str, status: int, body: Any) -> None:
    platforms.add_fault(kind="status", host=host, path="/(calendar|gmail)/", status=status, body=body, times=None)


@pytest.mark.parametrize("case", CASES)
def test_an_error_that_needs_a_person_names_the_action_and_clears_afterwards(
    studio: Studio, platforms: Sandbox, case: str
) -> None:
    (stream, host, status, body), code, action, quoted = CASES[case]
    refuse(platforms, host, status, body)
    run = studio.sync(stream)
    assert (run["status"], run["error"]["code"]) == ("failed", code)
    assert quoted in run["error"]["message"]
    status_item = next(item for item in studio.api.get("/api/sync/status").json["items"] if item["syncType"] == stream)
    assert (status_item["state"], status_item["reason"]) == (
        "failing",
        {"code": code, "message": run["error"]["message"], "action": action},
    )
    connection = studio.connection()
    assert (connection["status"], connection["health"]) == ("active", "degraded")
    reason = connection["statusReason"]
    assert (reason["code"], reason["message"], reason["action"]) == (code, run["error"]["message"], action)
    assert reason["since"] == run["finishedAt"]

    other = "bookings" if stream == "inquiries" else "inquiries"
    assert studio.sync(other)["status"] == "succeeded"
    assert studio.connection()["statusReason"]["code"] == code, "another stream's success does not hide it"

    platforms.clear_faults()
    assert studio.sync(stream)["status"] == "succeeded"
    reason = studio.connection()["statusReason"]
    assert (reason["code"], reason["action"]) == (None, "none")


def test_an_internal_error_asks_no_action_of_the_studio(studio: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="shape", body={"items": "gone"}, host=CALENDAR, path="/calendar/v3/calendars/")
    assert studio.sync("bookings")["error"]["code"] == "platform_contract_changed"
    assert studio.connection()["statusReason"]["action"] == "none"


def test_a_rate_limit_in_googles_newer_format_defers_the_run(studio: Studio, platforms: Sandbox) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"}
    refuse(platforms, CALENDAR, 403, {"error": {"code": 403, "message": None, "details": [None, info]}})
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("deferred", "platform_rate_limited")


def test_a_garbled_response_is_retried(studio: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="status", status=200, body="<html>proxy</html>", host=CALENDAR, path="/calendar/")
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("deferred", "platform_unavailable")


@pytest.mark.parametrize("error", ["deleted_client", "disabled_client", "org_internal"])
def test_an_oauth_client_rejected_by_google_is_a_matter_for_support(
    api: Api, queue: Queue, platforms: Sandbox, error: str
) -> None:
    studio = connect(api, queue, lifetime=0)
    platforms.add_fault(kind="status", status=401, host=TOKEN_HOST, path="/token", body={"error": error}, times=None)
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("failed", "platform_misconfigured")
    connection = studio.connection()
    assert (connection["status"], connection["statusReason"]["action"]) == ("misconfigured", "contact_support")


def test_a_block_by_an_administrator_is_shown_to_the_studio(api: Api, queue: Queue, platforms: Sandbox) -> None:
    studio = connect(api, queue, lifetime=0)
    body = {"error": "admin_policy_enforced", "error_description": None}
    platforms.add_fault(kind="status", status=400, host=TOKEN_HOST, path="/token", body=body, times=None)
    assert studio.sync("bookings")["error"]["code"] == "blocked_by_administrator"
    connection = studio.connection()
    assert (connection["status"], connection["statusReason"]["action"]) == ("revoked", "reconnect")
    assert connection["statusReason"]["code"] == "blocked_by_administrator"
    assert "administrator" in connection["statusReason"]["message"]


def test_another_studios_errors_do_not_show_on_a_connection(
    studio: Studio, studios: Any, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    other = connect(studios.new(), queue)
    _, host, status, body = NO_CALENDAR
    refuse(platforms, host, status, body)
    studio.sync("bookings")
    assert other.connection()["statusReason"]["code"] is None
