"""Faults on demand: each kind as a client sees it, and which requests it affects."""

import json
from typing import Any

import pytest
import urllib3

from tests.dev.sandbox_client import EVENTS, GMAIL, TOKEN, SandboxClient


def statuses(client: SandboxClient, count: int) -> list[int]:
    return [client.get(EVENTS).status for _ in range(count)]


@pytest.mark.parametrize(
    ("status", "reason"), [(429, "rateLimitExceeded"), (403, "rateLimitExceeded"), (500, "backendError")]
)
def test_a_status_fault_fails_in_the_vendors_words(google: SandboxClient, status: int, reason: str) -> None:
    google.sandbox.add_fault(kind="status", status=status, headers={"Retry-After": "7"})
    answer = google.get(EVENTS)
    assert (answer.status, answer.reason, answer.headers["retry-after"]) == (status, reason, "7")
    assert answer.json["error"]["code"] == status


def test_the_token_endpoint_fails_in_its_own_words(google: SandboxClient) -> None:
    google.sandbox.add_fault(kind="status", status=503, host="oauth2.googleapis.com")
    answer = google.post(TOKEN, grant_type="refresh_token")
    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", {"error": "odd"}])
def test_a_status_fault_may_have_its_own_body(google: SandboxClient, body: Any) -> None:
    google.sandbox.add_fault(kind="status", status=502, body=body)
    answer = google.get(EVENTS)
    assert answer.status == 502
    assert answer.body.decode() == (body if isinstance(body, str) else json.dumps(body, separators=(",", ":")))


def test_a_fault_occurs_a_number_of_times_after_a_number_of_requests(google: SandboxClient) -> None:
    google.control("POST", "/faults", kind="status", status=500, after=1, times=2)
    assert statuses(google, 5) == [200, 500, 500, 200, 200]


def test_an_unlimited_fault_occurs_until_it_is_removed(google: SandboxClient) -> None:
    google.control("POST", "/faults", kind="status", status=500, times=None)
    assert statuses(google, 4) == [500] * 4
    assert google.control("GET", "/faults").json["faults"][0]["seen"] == 4
    google.control("DELETE", "/faults")
    assert statuses(google, 1) == [200]


def test_a_fault_affects_only_matching_requests(google: SandboxClient) -> None:
    google.sandbox.add_fault(
        kind="status", times=None, host="gmail.googleapis.com", path=r"/gmail/v1/users/\w+/threads/"
    )
    assert google.get(f"{GMAIL}/threads").status == 200
    assert google.get(f"{GMAIL}/threads/1").status == 500
    assert google.get(EVENTS).status == 200
    google.sandbox.clear_faults()
    google.sandbox.add_fault(kind="status", method="POST", times=None)
    assert google.get(EVENTS).status == 200
    assert google.post(TOKEN).status == 500


def test_faults_take_turns(google: SandboxClient) -> None:
    google.sandbox.add_fault(kind="status", status=429)
    google.sandbox.add_fault(kind="status", status=503)
    assert statuses(google, 3) == [429, 503, 200]


def test_a_reset_connection_is_an_error_and_is_logged(google: SandboxClient) -> None:
    google.sandbox.add_fault(kind="reset")
    with pytest.raises(urllib3.exceptions.ProtocolError, match="reset"):
        google.get(EVENTS)
    assert statuses(google, 1) == [200]
    assert [entry["status"] for entry in google.sandbox.requests.list()] == [0, 200]


def test_a_truncated_response_ends_in_the_middle(google: SandboxClient) -> None:
    whole = len(google.get(EVENTS).body)
    google.sandbox.add_fault(kind="truncate")
    with pytest.raises(urllib3.exceptions.ProtocolError) as broken:
        google.get(EVENTS)
    incomplete = broken.value.args[1]
    assert (len(incomplete.partial), incomplete.expected) == (whole // 2, whole - whole // 2)
    assert statuses(google, 1) == [200]


def test_a_slow_response_exceeds_a_clients_timeout(google: SandboxClient) -> None:
    google.sandbox.add_fault(kind="slow", seconds=30)
    with pytest.raises(urllib3.exceptions.TimeoutError):
        google.send("GET", f"{GMAIL}/profile", timeout=0.1)


def test_a_slow_response_is_complete_in_the_end(google: SandboxClient) -> None:
    whole = google.get(EVENTS).body
    google.sandbox.add_fault(kind="slow", seconds=0.01)
    assert google.get(EVENTS).body == whole


def test_a_changed_shape_is_the_real_response_with_a_patch(google: SandboxClient) -> None:
    true = google.get(EVENTS).json
    google.sandbox.add_fault(kind="shape", body={"items": {"now": "an object"}, "timeZone": None, "summary": 7})
    changed = google.get(EVENTS)
    assert changed.status == 200
    del true["timeZone"]
    assert changed.json == {**true, "items": {"now": "an object"}, "summary": 7}


@pytest.mark.parametrize(
    "fault", [{"kind": "earthquake"}, {"kind": "slow", "path": "("}, {"kind": "slow", "unknown": 1}, {}]
)
def test_an_invalid_fault_is_refused(google: SandboxClient, fault: dict[str, Any]) -> None:
    assert google.control("POST", "/faults", **fault).status == 400
    assert google.control("GET", "/faults").json == {"faults": []}
