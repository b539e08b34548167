"""One JSON object per line, with context, and never a secret."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import logs
from chalicelib.secret import MASK, Secret

API_KEY = f"ansel_{'1' * 32}_{'a' * 64}"


class Lines:
    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def last(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self.text.splitlines()[-1])
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    written = Lines()
    handler = logging.StreamHandler(written.stream)
    handler.setFormatter(logs.JsonFormatter())
    root, ours = logging.getLogger(), logging.getLogger("ansel")
    before = root.level, ours.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    ours.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(before[0])
    ours.setLevel(before[1])


def test_an_event_is_one_json_line(lines: Lines) -> None:
    logs.event("run.finished", records=12, seconds=0.5, studio="Ansel & Söhne\u2028", missing=None)

    assert len(lines.text.splitlines()) == 1
    assert lines.last["level"] == "info"
    assert lines.last["event"] == "run.finished"
    assert datetime.fromisoformat(lines.last["at"]).tzinfo is not None
    assert (lines.last["records"], lines.last["seconds"], lines.last["missing"]) == (12, 0.5, None)
    assert lines.last["studio"] == "Ansel & Söhne\u2028"


def test_bound_fields_are_only_in_events_inside_the_block(lines: Lines) -> None:
    with logs.bound(studio_id="s", run_id="r"):
        with logs.bound(run_id="inner"):
            logs.event("page.stored")
            assert (lines.last["studio_id"], lines.last["run_id"]) == ("s", "inner")
        logs.event("run.finished", run_id="own")
        assert lines.last["run_id"] == "own"
    logs.event("tick.finished")

    assert "studio_id" not in lines.last


def test_a_field_bound_during_a_block_lasts_until_its_end(lines: Lines) -> None:
    with logs.bound(request_id="r"):
        with logs.bound(route="/"):
            logs.bind(studio_id="s")
            logs.event("page.stored")
            assert (lines.last["request_id"], lines.last["route"], lines.last["studio_id"]) == ("r", "/", "s")
        logs.event("run.finished")
        assert "studio_id" not in lines.last
    logs.event("tick.finished")

    assert set(lines.last) == {"at", "level", "event"}


def test_bound_fields_end_with_an_exception_too(lines: Lines) -> None:
    with pytest.raises(ValueError, match="x"), logs.bound(run_id="r"):
        raise ValueError("x")
    logs.event("tick.finished")

    assert "run_id" not in lines.last


def test_fields_do_not_replace_the_lines_own_fields(lines: Lines) -> None:
    with logs.bound(event="bound", at="never"):
        logs.event("run.finished", name="a field", event="other")

    assert lines.last["event"] == "run.finished"
    assert lines.last["at"] != "never"
    assert lines.last["name"] == "a field"


def test_an_error_is_logged_with_its_traceback_on_the_same_line(lines: Lines) -> None:
    try:
        raise ValueError("broken page")
    except ValueError as error:
        logs.event("run.failed", level=logging.ERROR, error=error)

    assert len(lines.text.splitlines()) == 1
    assert lines.last["level"] == "error"
    assert "test_logs.py" in lines.last["error"]
    assert "broken page" in lines.last["error"]


@pytest.mark.parametrize(
    "name",
    [
        *("token", "accessToken", "refresh_token", "client_secret", "password", "Authorization", "Set-Cookie"),
        *("api_key", "apiKey", "credentials", "code_verifier", "encryption_key", "private_key"),
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        "canary",
        b"canary",
        bytearray(b"canary"),
        ["canary"],
        {"value": "canary"},
        {"a": [{"b": ("canary",)}]},
        {"canary"},
    ],
)
def test_a_field_with_a_secret_name_is_masked_at_any_depth(lines: Lines, name: str, value: Any) -> None:
    logs.event("x.y", **{name: value})
    logs.event("x.y", request={"headers": {name: value}})

    assert "canary" not in lines.text
    assert lines.text.count(MASK) == 2


def test_a_harmless_field_about_tokens_is_logged(lines: Lines) -> None:
    expires_at = datetime(2026, 1, 2, tzinfo=UTC)
    logs.event(
        "token.refreshed",
        token_generation=7,
        has_refresh_token=True,
        token_expires_at=expires_at,
        api_key_id=UUID(int=1),
    )

    assert lines.last["event"] == "token.refreshed"
    assert lines.last["token_generation"] == 7
    assert lines.last["has_refresh_token"] is True
    assert lines.last["token_expires_at"] == "2026-01-02 00:00:00+00:00"
    assert lines.last["api_key_id"] == str(UUID(int=1))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (API_KEY, "a" * 64),
        ("the key " + "0123456789abcdef" * 4, "0123456789abcdef" * 4),
        ("0123456789abcdef" * 4, "0123456789abcdef" * 4),
        ("ya29.a0Af_B-yC", "a0Af_B-yC"),
        ("1//0gLongRefresh-Token", "0gLongRefresh"),
        ("code 4/0AX4XfWhAuthCode", "AX4XfWhAuthCode"),
        ("GOCSPX-client-secret", "client-secret"),
        ("EAAGm0PX4ZCpsBAKZC0123456789", "Gm0PX4ZCpsBAKZC"),
        ("pina_AMAYCanary0123", "AMAYCanary"),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("Basic Y2xpZW50OnNlY3JldA==", "Y2xpZW50OnNlY3JldA"),
        ("GET /me?access_token=opaque&fields=id", "opaque"),
        ('{"refresh_token": "opaque", "scope": ""}', "opaque"),
        ("Grant(client_secret='opaque')", "opaque"),
        ("postgresql://ansel:p@ss-word@db/ansel", "ss-word"),
        ("redis://:opaque@cache", "opaque"),
    ],
)
def test_text_that_looks_like_a_secret_is_masked_anywhere(lines: Lines, text: str, secret: str) -> None:
    class Thing:
        def __repr__(self) -> str:
            return text

    logs.event(text, note=text, nested=[{"deep": text}, Thing()], key={text: 1})
    logging.getLogger("someone.else").warning("called with %s", text)
    logs.event("x.failed", error=ValueError(text))
    with logs.bound(note=text):
        logs.event("x.y")

    assert secret not in lines.text
    assert len(lines.text.splitlines()) == 4


SECRET_LOOKING = st.sampled_from(
    [
        "ansel_",
        "ya29.",
        "1//",
        "4/0",
        "GOCSPX-",
        "EAA",
        "pina_",
        "Bearer ",
        "Basic ",
        "token=",
        "://a:b@",
        "-",
        "0f",
        "A",
    ]
)


@given(st.lists(SECRET_LOOKING | st.text("0123456789abcdef-", max_size=70), max_size=6).map("".join))
def test_a_repeated_text_is_masked_again(text: str) -> None:
    masked = logs.SECRET_VALUES.sub(MASK, text)
    assert [logs._plain(text) for _ in range(3)] == [masked] * 3


def test_the_cache_of_harmless_texts_is_bounded(lines: Lines) -> None:
    for number in range(3000):
        logs.event("x.y", note=f"note {number}")
    assert len(logs._harmless) <= 1000
    assert lines.last["note"] == "note 2999"


def test_text_around_a_secret_is_kept(lines: Lines) -> None:
    logs.event("x.y", url="GET /me?access_token=opaque&fields=id answered 400")

    assert lines.last["url"] == f"GET /me?{MASK}&fields=id answered 400"


def test_a_secret_is_masked_under_any_name(lines: Lines) -> None:
    logs.event("x.y", note=Secret("canary"), more=[Secret("canary")], text=f"{Secret('canary')}")

    assert "canary" not in lines.text
    assert lines.last["note"] == MASK


@pytest.mark.parametrize("value", ["\udc00", "\x00", b"\xff", {UUID(int=1): 1}, {1: {2, 3}}, float("nan"), object()])
def test_any_value_makes_valid_json(lines: Lines, value: object) -> None:
    logs.event("x.y", value=value)

    lines.text.encode()
    assert lines.last["event"] == "x.y"
    json.loads(lines.text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


def test_a_failed_line_reveals_nothing(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("canary")

    logs.event("x.y", value=Broken())
    mistaken = logging.makeLogRecord({"msg": "two %s %s", "args": ("canary",), "pathname": "theirs.py"})
    line = logs.JsonFormatter().format(mistaken)

    assert lines.last["event"] == json.loads(line)["event"] == "log.failed"
    assert json.loads(line)["source"] == "theirs.py:0"
    assert "canary" not in line + lines.text + capsys.readouterr().err


@pytest.fixture
def restored_loggers() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("ansel")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_configure_replaces_other_handlers_once(restored_loggers: None, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    root.handlers[:] = [logging.StreamHandler()]
    logs.configure("DEBUG")
    logs.configure("DEBUG")
    logs.event("x.y", level=logging.DEBUG)
    logging.getLogger("botocore").debug("headers and bodies")

    assert len(root.handlers) == 1
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["x.y"]


def test_the_level_applies_to_every_logger(restored_loggers: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING")
    logs.event("x.y")
    logging.getLogger("botocore").info("found credentials")

    assert capsys.readouterr().out == ""
