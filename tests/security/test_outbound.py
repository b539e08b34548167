"""Requests to URLs that studios choose: over real sockets on loopback, and never to internal addresses."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6, SOCK_STREAM, gaierror, socket
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib.security import outbound
from chalicelib.security.outbound import post
from chalicelib.security.outbound_messages import Outcome
from chalicelib.security.outbound_urls import problem_of_url
from tests.http_fake import Fake, Reply, http_fake

NOT_PUBLIC = "the host is not on the public internet"
INSIDE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.170.2", "100.64.0.1", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.1.2.3"),
    *("240.0.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fd00:ec2::254", "fe80::1", "ff02::1", "ff0e::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe"),
    *("2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe", "2001:db8::1"),
]
"""Private, loopback, link-local, metadata, shared, multicast, reserved; also inside an IPv6 address."""


@pytest.fixture
def receiver() -> Iterator[Fake]:
    with http_fake() as fake:
        yield fake


class Resolver:
    """Name server responses, counted."""

    def __init__(self, *addresses: str) -> None:
        self.addresses, self.asked = addresses, 0

    def __call__(self, host: str, port: int, **kind: Any) -> list[tuple[Any, ...]]:
        self.asked += 1
        families = {4: AF_INET, 6: AF_INET6}
        return [(families[ip_address(each).version], SOCK_STREAM, 6, "", (each, port)) for each in self.addresses]


def test_a_request_arrives_with_its_headers_and_query(receiver: Fake) -> None:
    receiver.on("/hook", Reply(status=204))
    outcome = post(f"{receiver.url}/hook?a=b", b"x=y", {"webhook-id": "1"}, loopback=True)
    assert outcome == Outcome(status=204)
    (request,) = receiver.requests
    assert (request.method, request.path, request.query, request.form) == ("POST", "/hook", [("a", "b")], {"x": "y"})
    assert (request.headers["webhook-id"], request.headers["host"]) == ("1", receiver.url.removeprefix("http://"))


def test_a_redirect_is_a_response_and_is_not_followed(receiver: Fake) -> None:
    receiver.on("/hook", Reply(status=307, headers={"Location": f"{receiver.url}/inside"}))
    assert post(f"{receiver.url}/hook", b"", {}, loopback=True) == Outcome(status=307)
    assert receiver.paths() == ["/hook"]


def test_only_the_start_of_a_response_is_read(receiver: Fake) -> None:
    receiver.on("/hook", Reply(body=b"x" * 50_000_000))
    assert post(f"{receiver.url}/hook", b"", {}, loopback=True) == Outcome(status=200)


def test_a_closed_port_a_reset_and_an_unknown_host_are_described_in_words(receiver: Fake) -> None:
    receiver.on("/hook", Reply(breaks=True))
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/"

        def fails(*args: object, **more: object) -> list[tuple[Any, ...]]:
            raise gaierror

        assert post(closed, b"", {}, loopback=True).failure == "no_response"
    assert post(f"{receiver.url}/hook", b"", {}, loopback=True).failure == "no_response"
    assert post("https://studio.example/", b"", {}, resolve=fails).failure == "host_not_found"
    assert post("https://studio.example/", b"", {}, resolve=Resolver()).failure == "host_not_found"


def test_a_name_server_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "RESOLVE_SECONDS", 0.1)
    answered = threading.Event()

    def hangs(*args: object, **more: object) -> list[tuple[Any, ...]]:
        answered.wait(10)
        return []

    assert post("https://studio.example/", b"", {}, resolve=hangs) == Outcome(failure="host_not_found")
    answered.set()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), (" 7 ", 7), ("100000", 86_400), ("-1", 0), ("1.5", 0), ("\u00b2", 0), ("9" * 400, 0)],
)
def test_a_retry_after_is_passed_on_if_it_is_a_plain_number(receiver: Fake, value: str, seconds: int) -> None:
    receiver.on("/hook", Reply(status=429, headers={"Retry-After": value}))
    assert post(f"{receiver.url}/hook", b"", {}, loopback=True) == Outcome(429, retry_after_seconds=seconds)


class _Trickling(BaseHTTPRequestHandler):
    """Sends the headers of its response forever, a line at a time."""

    def do_POST(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                self.wfile.write(b"X: y\r\n")
                time.sleep(0.02)
        except OSError:
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Logs nothing, to keep the test output clean."""


def test_a_response_that_trickles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.2)
    with serving(HTTPServer(("127.0.0.1", 0), _Trickling)) as port:
        assert post(f"http://127.0.0.1:{port}/", b"", {}, loopback=True) == Outcome(failure="timed_out")


def test_a_silent_receiver_times_out(receiver: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TIMEOUT_SECONDS", 0.1)
    receiver.on("/hook", Reply(waits=True))
    assert post(f"{receiver.url}/hook", b"", {}, loopback=True) == Outcome(failure="timed_out")


@pytest.mark.parametrize("address", INSIDE)
def test_a_host_that_resolves_to_a_private_address_is_refused(address: str) -> None:
    for resolve in (Resolver(address), Resolver("93.184.216.34", address)):
        assert post("https://studio.example/hook", b"", {}, resolve=resolve) == Outcome(failure="address_refused")
        assert resolve.asked == 1
    bracketed = f"[{address}]" if ":" in address else address
    assert problem_of_url(f"https://{bracketed}/hook", loopback=False) == NOT_PUBLIC


@pytest.mark.parametrize("address", [each for each in INSIDE if not ip_address(each).is_loopback])
def test_on_a_developers_machine_only_loopback_is_allowed_in_addition(address: str) -> None:
    if address not in ("::ffff:127.0.0.1", "2002:7f00:1::"):
        outcome = post("https://studio.example/hook", b"", {}, loopback=True, resolve=Resolver(address))
        assert outcome == Outcome(failure="address_refused")


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost", "[::1]", "127.0.0.1."]
)
def test_other_spellings_of_loopback_count_as_loopback(host: str) -> None:
    assert post(f"https://{host}/", b"", {}).failure in ("address_refused", "host_not_found")


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_are_allowed(address: str) -> None:
    bracketed = f"[{address}]" if ":" in address else address
    assert problem_of_url(f"https://{bracketed}/hook", loopback=False) == ""


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://studio.example/hook", "must be an https URL with a host"),
        ("ftp://studio.example/hook", "must be an https URL with a host"),
        ("file:///etc/passwd", "must be an https URL with a host"),
        ("https:///hook", "must be an https URL with a host"),
        ("studio.example/hook", "must be an https URL with a host"),
        ("https://user:password@studio.example/", "must have neither a user name nor a fragment"),
        ("https://studio.example@127.0.0.1/", "must have neither a user name nor a fragment"),
        ("https://studio.example/#top", "must have neither a user name nor a fragment"),
        ("https://studio.example:99999/", "is not a URL"),
        ("https://[::1/", "is not a URL"),
        ("https://studio.example/a b", "is not a plain URL"),
        ("https://studio.example/\r\nX-Injected: 1", "is not a plain URL"),
        ("https://studio.example\\@127.0.0.1/", "is not a plain URL"),
        ("https://st\u00fcdio.example/", "is not a plain URL"),
        ("https://studio.example/" + "x" * 2048, "is not a plain URL"),
    ],
)
def test_a_url_that_is_not_plain_https_is_refused_before_any_request(url: str, problem: str) -> None:
    resolve = Resolver("93.184.216.34")
    assert problem_of_url(url, loopback=False) == problem
    assert post(url, b"", {}, resolve=resolve) == Outcome(failure="url_refused")
    assert resolve.asked == 0


def test_plain_http_is_allowed_only_for_loopback_on_a_developers_machine() -> None:
    assert problem_of_url("http://localhost:8080/hook", loopback=True) == ""
    for url in ("http://studio.example/", "http://10.0.0.1/"):
        assert problem_of_url(url, loopback=True)
    assert problem_of_url("http://localhost:8080/hook", loopback=False)


def test_only_the_port_that_the_functions_firewall_allows_is_used() -> None:
    assert problem_of_url("https://studio.example:8443/hook", loopback=False) == "must use port 443"
    assert problem_of_url("https://studio.example:443/hook", loopback=False) == ""


class _Quiet(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Logs nothing, to keep the test output clean."""


class _Secure(HTTPServer):
    """Performs the TLS handshake with each client; one that aborts it has rejected the certificate."""

    context: ssl.SSLContext

    def get_request(self) -> tuple[Any, Any]:
        plain, address = super().get_request()
        return self.context.wrap_socket(plain, server_side=True), address


@contextmanager
def serving(server: HTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certify(folder: Path, name: str) -> None:
    """A key and a self-signed certificate for a host name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)  # today: the TLS library checks validity against the system clock
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


@pytest.fixture
def secure_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """An HTTPS receiver for studio.example, whose certificate is trusted meanwhile."""
    certify(tmp_path, "studio.example")
    server = _Secure(("127.0.0.1", 0), _Quiet)
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    outbound._tls.cache_clear()
    with serving(server) as port:
        yield port
    outbound._tls.cache_clear()


def test_the_connection_goes_to_the_checked_address_and_tls_verifies_the_name(secure_port: int) -> None:
    resolve = Resolver("127.0.0.1")  # studio.example does not resolve: a second look-up would fail
    assert post(f"https://studio.example:{secure_port}/hook", b"", {}, loopback=True, resolve=resolve) == Outcome(200)
    assert resolve.asked == 1


def test_a_certificate_for_another_name_is_refused(secure_port: int) -> None:
    outcome = post(f"https://other.example:{secure_port}/", b"", {}, loopback=True, resolve=Resolver("127.0.0.1"))
    assert outcome == Outcome(failure="certificate_invalid")


def test_a_receiver_that_speaks_no_tls_is_described_as_such(receiver: Fake) -> None:
    receiver.on("/hook", Reply())
    outcome = post(f"https://localhost:{receiver.url.rpartition(':')[2]}/hook", b"", {}, loopback=True)
    assert outcome.failure == "tls_failed"


def test_an_untrusted_certificate_is_refused(secure_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    outbound._tls.cache_clear()
    outcome = post(f"https://studio.example:{secure_port}/", b"", {}, loopback=True, resolve=Resolver("127.0.0.1"))
    assert outcome == Outcome(failure="certificate_invalid")
