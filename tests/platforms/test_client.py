"""The client against a real server: typed results, the error for each failure, and where the token goes."""

import gzip
import itertools
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.errors import (
    AnswerTooLarge,
    ContractChanged,
    PermissionMissing,
    PlatformError,
    RateLimited,
    TokenExpired,
    TransientFault,
)
from chalicelib.platforms.core import transport
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.decoding import decode
from chalicelib.platforms.core.faults import Fault
from chalicelib.platforms.core.transport import PlatformResponse, Transport
from chalicelib.platforms.core.urls import url_of
from chalicelib.secret import Secret
from tests.conftest import NOON
from tests.http_fake import Fake, Reply

CANARY = "ya29.canary-token-4711"
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ACME = Platform(name="acme", title="Acme", hosts=frozenset({"api.acme.test"}))
URL = url_of("https://api.acme.test/v1/things")
PATH = "/api.acme.test/v1/things"


class Thing(msgspec.Struct):
    size: int
    name: str = ""


class Things(msgspec.Struct):
    items: list[Thing] = []


def make_client(fake: Fake, **limits: float) -> Client:
    limited = Transport(title="Acme", hosts=ACME.hosts, sandbox_url=fake.url, **limits)  # type: ignore[arg-type]
    return Client(ACME, Secret(CANARY), transport=limited, now=lambda: NOW)


def test_a_response_is_typed_and_the_token_goes_in_the_header(fake: Fake) -> None:
    fake.on(PATH, Reply({"items": [{"size": 3, "unknown": True}]}))
    client = make_client(fake)
    assert client.get(URL, [("a", "1"), ("a", "x y")], into=Things) == Things([Thing(3)])
    [request] = fake.requests
    assert request.query == [("a", "1"), ("a", "x y")]
    assert request.headers["authorization"] == f"Bearer {CANARY}"
    assert client.api_calls == 1


def test_a_form_can_carry_the_token_in_a_field(fake: Fake) -> None:
    fake.on(PATH, Reply({}))
    make_client(fake).post_form(URL, {"fields": "id,name"}, into=Things, token_field="access_token")
    [request] = fake.requests
    assert request.method == "POST"
    assert request.form == {"fields": "id,name", "access_token": CANARY}
    assert request.query == []


def test_json_is_posted_and_the_answer_comes_back_typed(fake: Fake) -> None:
    fake.on(PATH, Reply({"items": [{"size": 3}]}))
    body = {"metrics": ["views"], "from": NOW, "thing": Thing(2, "ü")}
    assert make_client(fake).post_json(URL, body, into=Things) == Things([Thing(3)])
    [request] = fake.requests
    assert (request.method, request.query) == ("POST", [])
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == f"Bearer {CANARY}"
    assert json.loads(request.body) == {
        "metrics": ["views"],
        "from": "2026-11-22T10:00:00Z",
        "thing": {"size": 2, "name": "ü"},
    }


def test_json_is_sent_again_with_a_fresh_token(fake: Fake) -> None:
    fake.on(PATH, Reply({}, status=401), Reply({}))
    refreshing(fake, lambda: Secret("ya29.fresh")).post_json(URL, {"a": 1}, into=Things)
    assert [json.loads(request.body) for request in fake.requests] == [{"a": 1}, {"a": 1}]
    assert fake.requests[1].headers["authorization"] == "Bearer ya29.fresh"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/things", {"acme-version": "2026-11", "x-all": "1"}),
        ("/v1", {"acme-version": "2026-11", "x-all": "1"}),
        ("/v10/things", {"x-all": "1"}),
        ("/v2/things", {"x-all": "1"}),
    ],
)
def test_headers_are_facts_of_a_host_or_of_one_of_its_apis(fake: Fake, path: str, expected: dict[str, str]) -> None:
    headers = {
        "https://api.acme.test": {"X-All": "1", "Authorization": "Basic none"},
        "https://api.acme.test/v1": {"Acme-Version": "2026-11"},
        "https://api.acme": {"X-Other": "1"},
    }
    platform = replace(ACME, headers=headers)
    fake.on(f"/api.acme.test{path}", Reply({}))
    client = Client(platform, Secret(CANARY), sandbox_url=fake.url)
    client.get(url_of(f"https://api.acme.test{path}"), {"a": "b"}, into=Things)
    client.post_json(url_of(f"https://api.acme.test{path}"), {}, into=Things)
    for request in fake.requests:
        found = {name: value for name, value in request.headers.items() if name in ("acme-version", "x-all", "x-other")}
        assert found == expected
        assert request.headers["authorization"] == f"Bearer {CANARY}"


def hidden_errors(response: PlatformResponse) -> Fault | None:
    code = json.loads(response.body).get("code")
    kinds: dict[int, type[PlatformError]] = {40100: RateLimited, 40105: TokenExpired}
    return Fault(kinds[code], str(code)) if code in kinds else None


def test_a_success_may_hide_an_error(fake: Fake) -> None:
    platform = replace(ACME, find_hidden_error=hidden_errors)
    fake.on(PATH, Reply({"code": 40100}, headers={"Retry-After": "90"}), Reply({"code": 0, "items": [{"size": 3}]}))
    client = Client(platform, Secret(CANARY), sandbox_url=fake.url, now=lambda: NOW)
    with pytest.raises(RateLimited) as caught:
        client.get(URL, into=Things)
    assert str(caught.value) == "200 GET api.acme.test/v1/things: 40100"
    assert caught.value.resume_at == NOW + timedelta(seconds=90)
    assert client.get(URL, into=Things) == Things([Thing(3)])


def test_an_expired_token_is_refreshed_when_a_success_hides_it(fake: Fake) -> None:
    platform = replace(ACME, find_hidden_error=hidden_errors)
    fake.on(PATH, Reply({"code": 40105}), Reply({}))
    client = Client(platform, Secret(CANARY), sandbox_url=fake.url, refresh=lambda: Secret("ya29.fresh"))
    assert client.get(URL, into=Things) == Things()
    assert client.api_calls == 2


def test_connections_are_reused(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    fake.on(PATH, Reply({}))
    with caplog.at_level(logging.DEBUG, logger="urllib3.connectionpool"):
        for _ in range(3):
            make_client(fake).get(URL, into=Things)
    assert caplog.text.count("Starting new HTTP connection") == 1


def test_connections_idle_for_too_long_are_not_reused(
    fake: Fake, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.on(PATH, Reply({}))
    with caplog.at_level(logging.DEBUG, logger="urllib3.connectionpool"):
        for moment in (NOON, NOON + timedelta(minutes=2)):
            with clock.at(moment):
                make_client(fake).get(URL, into=Things)
    assert caplog.text.count("Starting new HTTP connection") == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, TokenExpired),
        (403, PermissionMissing),
        (408, TransientFault),
        (429, RateLimited),
        (500, TransientFault),
        (503, TransientFault),
        (400, ContractChanged),
        (404, ContractChanged),
        (304, ContractChanged),
    ],
)
def test_a_status_alone_has_a_meaning(fake: Fake, status: int, kind: type[PlatformError]) -> None:
    fake.on(PATH, Reply({}, status=status))
    with pytest.raises(kind) as caught:
        make_client(fake).get(URL, {"page": "2"}, into=Things)
    assert type(caught.value) is kind
    assert str(caught.value) == f"{status} GET api.acme.test/v1/things"
    assert "Acme" in caught.value.message


def test_retry_after_may_be_in_seconds(fake: Fake) -> None:
    fake.on(PATH, Reply({}, status=429, headers={"Retry-After": "90"}))
    with pytest.raises(RateLimited) as caught:
        make_client(fake).get(URL, into=Things)
    assert caught.value.resume_at == datetime(2026, 11, 22, 10, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("90", NOW + timedelta(seconds=90)),
        ("Sun, 22 Nov 2026 11:00:00 GMT", datetime(2026, 11, 22, 11, 0, tzinfo=UTC)),
        ("soon", None),
    ],
)
def test_an_unavailable_platform_may_say_when_to_retry(
    fake: Fake, status: int, value: str, expected: datetime | None
) -> None:
    fake.on(PATH, Reply({}, status=status, headers={"Retry-After": value}))
    with pytest.raises(PlatformError) as caught:
        make_client(fake).get(URL, into=Things)
    assert caught.value.resume_at == expected


def test_path_values_are_sent_but_never_logged(fake: Fake) -> None:
    path = "/api.acme.test/v1/things/anna%40example.org%2F%3F/parts"
    fake.on(path, Reply({}, status=404))
    url = url_of("https://api.acme.test/v1/things/{thing}/parts", thing="anna@example.org/?")
    with pytest.raises(ContractChanged) as caught:
        make_client(fake).get(url, {"q": "private"}, into=Things)
    assert fake.paths() == [path]
    assert str(caught.value) == "404 GET api.acme.test/v1/things/{thing}/parts"
    fake.on(path, Reply(breaks=True))
    with pytest.raises(TransientFault, match=r"^- GET api\.acme\.test/v1/things/\{thing\}/parts: ProtocolError$"):
        make_client(fake).get(url, into=Things)


def test_a_url_without_a_template_is_logged_by_its_host_alone(fake: Fake) -> None:
    fake.on("/api.acme.test/v1/things/anna%40example.org", Reply({}, status=404))
    with pytest.raises(ContractChanged) as caught:
        make_client(fake).get("https://api.acme.test/v1/things/anna%40example.org", into=Things)
    assert str(caught.value) == "404 GET api.acme.test/..."


def test_retry_after_may_be_a_date(fake: Fake) -> None:
    fake.on(PATH, Reply({}, status=429, headers={"Retry-After": "Sun, 22 Nov 2026 11:00:00 GMT"}))
    with pytest.raises(RateLimited) as caught:
        make_client(fake).get(URL, into=Things)
    assert caught.value.resume_at == datetime(2026, 11, 22, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(breaks=True),
        Reply({"items": []}, announced=500),
        Reply(body=b'{"items": [{"si'),
        Reply(body=b""),
        Reply(body=b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["reset", "cut off by length", "cut off within", "empty", "badly compressed"],
)
def test_a_broken_response_is_transient(fake: Fake, reply: Reply) -> None:
    fake.on(PATH, reply)
    with pytest.raises(TransientFault):
        make_client(fake).get(URL, into=Things)


def test_a_silent_platform_is_transient(fake: Fake) -> None:
    fake.on(PATH, Reply(waits=True))
    with pytest.raises(TransientFault, match="ReadTimeoutError"):
        make_client(fake, read_seconds=0.05).get(URL, into=Things)


def test_a_request_never_outlasts_the_callers_deadline(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.on(PATH, Reply(waits=True))
    client = make_client(fake)
    monkeypatch.setattr(transport, "LEAST_SECONDS", 0.1)
    with clock.deadline(in_seconds=0.2):
        with pytest.raises(TransientFault, match="ReadTimeoutError"):
            client.get(URL, into=Things)
    with clock.deadline(in_seconds=0.1):
        with pytest.raises(TransientFault, match="no time"):
            client.get(URL, into=Things)
    assert len(fake.requests) == 1


def test_an_endless_response_is_transient(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.on(PATH, Reply({"items": []}))
    client = make_client(fake)
    monkeypatch.setattr(clock, "monotonic", itertools.count(step=61).__next__)
    with pytest.raises(TransientFault, match="took longer"):
        client.get(URL, into=Things)


def test_an_unreachable_platform_is_transient() -> None:
    nowhere = Transport(title="Acme", hosts=ACME.hosts, sandbox_url="http://127.0.0.1:9", connect_seconds=0.5)
    with pytest.raises(TransientFault):
        Client(ACME, Secret(CANARY), transport=nowhere).get(URL, into=Things)


def test_a_huge_response_is_rejected_by_its_decompressed_size(fake: Fake) -> None:
    fake.on(PATH, Reply(body=gzip.compress(b" " * 3_000_000), headers={"Content-Encoding": "gzip"}))
    with pytest.raises(AnswerTooLarge, match="larger than 1000000 bytes"):
        make_client(fake, max_bytes=1_000_000).get(URL, into=Things)


def test_a_compressed_response_is_read(fake: Fake) -> None:
    content = gzip.compress(b'{"items": [{"size": 1}]}')
    fake.on(PATH, Reply(body=content, headers={"Content-Encoding": "gzip"}))
    assert make_client(fake).get(URL, into=Things).items == [Thing(1)]


def test_a_redirect_is_not_followed(fake: Fake) -> None:
    fake.on(PATH, Reply({}, status=302, headers={"Location": f"{fake.url}/elsewhere"}))
    with pytest.raises(ContractChanged, match="302"):
        make_client(fake).get(URL, into=Things)
    assert fake.paths() == [PATH]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/v1",
        "http://api.acme.test/v1",
        "https://api.acme.test:8443/v1",
        "https://api.acme.test@evil.test/v1",
        "https://api.acme.test\\@evil.test/v1",
        "https://api.acme.test.evil.test/",
        "//api.acme.test/v1",
    ],
)
def test_the_token_goes_to_no_other_host(fake: Fake, url: str) -> None:
    with pytest.raises(ContractChanged, match="not a host of Acme"):
        make_client(fake).get(url, into=Things)
    assert fake.requests == []


def test_a_wrong_shape_is_described_by_path_and_never_by_value(fake: Fake) -> None:
    fake.on(PATH, Reply({"items": [{"size": 1}, {"size": "a private value"}]}))
    with pytest.raises(ContractChanged) as caught:
        make_client(fake).get(URL, into=Things)
    assert "items[1].size" in str(caught.value)
    assert "private" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>private</html>", b'{"items": [,]}', b'{"items": []} trailing', b"\xff\xfe"])
def test_a_garbled_response_is_transient(fake: Fake, body: bytes) -> None:
    fake.on(PATH, Reply(body=body))
    with pytest.raises(TransientFault) as caught:
        make_client(fake).get(URL, into=Things)
    assert "private" not in str(caught.value)


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"null", b"7", b'{"items": {}}'])
def test_json_of_another_shape_is_a_changed_contract(fake: Fake, body: bytes) -> None:
    fake.on(PATH, Reply(body=body))
    with pytest.raises(ContractChanged) as caught:
        make_client(fake).get(URL, into=Things)
    assert "private" not in str(caught.value)


def test_a_null_field_counts_as_absent() -> None:
    assert decode(b'{"items": [{"size": 1, "name": null}]}', Things) == Things([Thing(1)])
    assert decode(b'{"items": [{"size": null}]}', Things) == Fault(
        ContractChanged, "expected `int`, got `null` at `items[0].size`"
    )


def test_text_that_cannot_be_stored_does_not_stop_a_page() -> None:
    assert decode(b'{"size": 1, "name": "a\\ud800b"}', Thing) == Thing(1, "a?b")
    assert decode(b'{"size": 1, "name": "a\xffb"}', Thing) == Thing(1, "a�b")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_body_is_read_or_reported_as_invalid(body: bytes) -> None:
    assert isinstance(decode(body, Things), Things | Fault)


def test_deep_nesting_is_reported_as_invalid() -> None:
    deep = b'{"size": 1, "unknown": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert decode(deep, Thing) == Fault(ContractChanged, "the response is nested too deeply")


def test_find_returns_none_for_a_404(fake: Fake) -> None:
    fake.on(PATH, Reply({"error": {}}, status=404))
    assert make_client(fake).find(URL, into=Things) is None
    fake.on(PATH, Reply({}, status=500))
    with pytest.raises(TransientFault):
        make_client(fake).find(URL, into=Things)


def refreshing(fake: Fake, refresh: Callable[[], Secret]) -> Client:
    return Client(ACME, Secret(CANARY), sandbox_url=fake.url, refresh=refresh)


def test_an_expired_token_is_refreshed_once_and_the_new_one_reused(fake: Fake) -> None:
    fake.on(PATH, Reply({}, status=401), Reply({"items": [{"size": 1}]}))
    refreshes: list[str] = []

    def refresh() -> Secret:
        refreshes.append("once")
        return Secret("ya29.refreshed")

    client = refreshing(fake, refresh)
    assert client.get(URL, into=Things).items == [Thing(1)]
    client.get(URL, into=Things)
    assert refreshes == ["once"]
    assert [request.headers["authorization"] for request in fake.requests] == [
        f"Bearer {CANARY}",
        "Bearer ya29.refreshed",
        "Bearer ya29.refreshed",
    ]
    assert client.api_calls == 3


def test_a_rejected_new_token_is_not_refreshed_again(fake: Fake) -> None:
    fake.on(PATH, Reply({}, status=401))
    with pytest.raises(TokenExpired):
        refreshing(fake, lambda: Secret("ya29.refreshed")).get(URL, into=Things)
    assert len(fake.requests) == 2


def test_an_expired_token_without_a_refresh_is_an_error(fake: Fake) -> None:
    fake.on(PATH, Reply({}, status=401))
    with pytest.raises(TokenExpired):
        make_client(fake).get(URL, into=Things)
    assert len(fake.requests) == 1


def test_a_failed_refresh_raises_its_own_error(fake: Fake) -> None:
    fake.on(PATH, Reply({}, status=401))

    def refresh() -> Secret:
        raise TransientFault("Acme is not available right now")

    with pytest.raises(TransientFault) as caught:
        refreshing(fake, refresh).get(URL, into=Things)
    assert caught.value.__context__ is None


def test_a_platform_may_classify_a_response_beyond_its_status(fake: Fake) -> None:
    def classify(response: PlatformResponse) -> Fault | None:
        return Fault(RateLimited, "slow\ndown " * 100, NOW) if response.status == 400 else None

    platform = Platform(name="acme", title="Acme", hosts=ACME.hosts, classify=classify)
    fake.on(PATH, Reply({}, status=400), Reply({}, status=403))
    client = Client(platform, Secret(CANARY), sandbox_url=fake.url)
    with pytest.raises(RateLimited) as caught:
        client.get(URL, into=Things)
    assert caught.value.resume_at == NOW
    assert len(str(caught.value)) < 300
    with pytest.raises(PermissionMissing):
        client.get(URL, into=Things)


def test_a_token_that_no_header_can_hold_is_neither_sent_nor_shown(fake: Fake) -> None:
    for token in ("", "ya29.line\nbreak", "ya29.ümlaut", "ya29.\ud800", "two words"):
        client = Client(ACME, Secret(token), sandbox_url=fake.url)
        with pytest.raises(TokenExpired) as caught:
            client.get(URL, into=Things)
        assert not token or token not in str(caught.value)
        assert client.api_calls == 0
    assert fake.requests == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply({}, status=401),
        Reply({"error": f"bad token {CANARY}"}, status=400),
        Reply({"items": CANARY}),
        Reply(body=CANARY.encode()),
        Reply(breaks=True),
        Reply({}, announced=99),
        Reply({}, status=302, headers={"Location": CANARY}),
    ],
)
def test_the_token_is_in_no_error_repr_or_log(fake: Fake, reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    def quoting(response: PlatformResponse) -> Fault | None:
        return Fault(ContractChanged, response.body.decode()) if response.status == 400 else None

    platform = Platform(name="acme", title="Acme", hosts=ACME.hosts, classify=quoting)
    client = Client(platform, Secret(CANARY), sandbox_url=fake.url)
    fake.on(PATH, reply)
    with caplog.at_level(logging.DEBUG), pytest.raises(PlatformError) as caught:
        client.post_form(URL, {"a": "1"}, into=Things, token_field="access_token")
    output = [
        caplog.text,
        repr(client),
        repr(vars(client)),
        repr(PlatformResponse(200, {"a": CANARY}, CANARY.encode())),
    ]
    error: BaseException | None = caught.value
    while error is not None:
        output += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    assert CANARY not in " ".join(output)
