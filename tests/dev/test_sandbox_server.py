"""The sandbox as a server: hosts in the path, limits, its request log, its own process."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.sandbox import Sandbox, issue_token
from tests.conftest import TODAY
from tests.dev.sandbox_client import EVENTS, GMAIL, SandboxClient

ROOT = Path(__file__).parents[2]


@contextmanager
def own_process(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`python -m dev.sandbox` and the first line it prints."""
    command = [sys.executable, "-m", "dev.sandbox", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_the_error_for_an_unknown_host_lists_the_known_ones(google: SandboxClient) -> None:
    answer = google.get("/graph.example/me")
    assert answer.status == 404
    assert "www.googleapis.com" in answer.json["error"]


def test_an_unknown_path_fails_in_the_vendors_words(google: SandboxClient) -> None:
    answer = google.get("/gmail.googleapis.com/gmail/v1/users/me/drafts")
    assert (answer.status, answer.reason) == (404, "notFound")


def test_one_connection_serves_many_requests(google: SandboxClient) -> None:
    for _ in range(3):
        assert google.get(f"{GMAIL}/profile").status == 200
    assert google.pool.connection_from_url(google.sandbox.url).num_connections == 1


def test_a_body_without_a_length_is_refused(google: SandboxClient) -> None:
    answer = google.send("POST", "/oauth2.googleapis.com/token", body=iter([b"grant_type=x"]), chunked=True)
    assert answer.status == 411


def test_a_body_that_is_too_large_is_refused_without_being_read(google: SandboxClient) -> None:
    host, port = google.sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"POST /oauth2.googleapis.com/token HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
        assert connection.recv(64).startswith(b"HTTP/1.1 413 ")


def test_requests_are_logged_without_tokens(google: SandboxClient) -> None:
    google.get(EVENTS, {"singleEvents": "true"})
    google.send("POST", f"/www.googleapis.com/oauth2/v2/tokeninfo?access_token={google.grant.access_token}")
    google.get("/www.googleapis.com/calendar/v3/colors")
    log = google.control("GET", "/requests").json
    assert log["counts"] == {"calendar.events.list": 1, "oauth2.tokeninfo": 1, "unknown": 1}
    first, second, _ = log["requests"]
    assert (first["method"], first["host"], first["status"]) == ("GET", "www.googleapis.com", 200)
    assert first["path"] == "/calendar/v3/calendars/primary/events"
    assert first["query"] == [["singleEvents", "true"]]
    assert second["query"] == []
    assert google.grant.access_token not in str(log)


def test_the_request_log_can_be_cleared(google: SandboxClient) -> None:
    google.get(EVENTS)
    google.control("DELETE", "/requests")
    assert google.control("GET", "/requests").json == {"requests": [], "counts": {}}


def test_a_control_request_with_unknown_arguments_is_refused(google: SandboxClient) -> None:
    for path, body in (("/revoke", {"acount": "studio"}), ("/faults", {"kind": "slow", "sconds": 1})):
        assert google.control("POST", path, **body).status == 400
    assert google.control("POST", "/expire-history", account="nobody").status == 400
    assert google.control("POST", "/nothing").status == 404
    assert google.send("POST", "/_sandbox/revoke", body=b"[1").status == 400
    assert google.get(f"{GMAIL}/profile").status == 200


def test_stopping_ends_kept_alive_connections() -> None:
    with Sandbox(today=TODAY) as sandbox:
        host, port = sandbox.url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)), timeout=5)
        connection.sendall(b"GET /_sandbox/requests HTTP/1.1\r\n\r\n")
        assert connection.recv(1024).startswith(b"HTTP/1.1 200 OK")
    with connection:
        assert connection.recv(1024) == b""


def test_it_runs_as_a_separate_process_and_stops_quietly() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with own_process("--port", "0") as (process, line):
            assert line.startswith("sandbox ready on http://127.0.0.1:")
            port = int(line.rpartition(":")[2])
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            process.send_signal(number)
            assert process.communicate(timeout=10) == ("", "")
            assert process.returncode == 0


def test_a_port_in_use_is_one_clear_line(sandbox: Sandbox) -> None:
    port = sandbox.url.rpartition(":")[2]
    with own_process("--port", port) as (process, line):
        _, errors = process.communicate(timeout=10)
        assert (line, process.returncode) == ("", 1)
        assert errors == f"sandbox cannot listen on port {port}: Address already in use\n"


def test_tokens_and_revocations_survive_a_restart(tmp_path: Path) -> None:
    grant, revoked = issue_token("studio"), issue_token("empty")
    with Sandbox(today=TODAY, state_dir=tmp_path / "state") as sandbox:
        sandbox.google.revoke("empty")
    with Sandbox(today=TODAY, state_dir=tmp_path / "state") as sandbox:
        client = SandboxClient(sandbox, grant)
        assert client.get(f"{GMAIL}/profile").status == 200
        assert SandboxClient(sandbox, revoked, client.pool).get(f"{GMAIL}/profile").status == 401
        client.pool.clear()
