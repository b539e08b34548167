"""Graph's errors, distinguished by code and subcode, and when to retry."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import clock
from chalicelib.errors import AnswerTooLarge, PlatformError, RateLimited, TransientFault
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.platforms.meta.errors import classify
from tests.conftest import NOON

PAYLOADS = Path(__file__).parents[1] / "payloads" / "meta"
ERROR_RULES: dict[str, Any] = json.loads((PAYLOADS / "errors.json").read_text())
LIMIT = json.dumps({"error": {"code": 80000, "message": "There have been too many calls."}}).encode()


@pytest.mark.parametrize("name", ERROR_RULES)
def test_errors_are_classified(name: str) -> None:
    status, body, code = ERROR_RULES[name]
    content = body if isinstance(body, str) else json.dumps(body)
    assert classify(PlatformResponse(status, {}, content.encode())).kind.code == code


@pytest.mark.parametrize(
    "error",
    [
        {"code": 1, "message": "Please reduce the amount of data you're asking for, then retry your request"},
        {"code": 100, "error_subcode": 1504018},
        {"code": 2, "error_subcode": 1504038, "is_transient": True},
    ],
)
def test_a_response_that_is_too_large_has_its_own_error(error: dict[str, Any]) -> None:
    fault = classify(PlatformResponse(500, {}, json.dumps({"error": error}).encode()))
    assert fault.kind is AnswerTooLarge
    assert issubclass(fault.kind, TransientFault)


def test_an_error_is_logged_with_its_codes_and_trace_id() -> None:
    error = {"message": "User request limit reached", "code": 17, "error_subcode": 2446079, "fbtrace_id": "AbC"}
    fault = classify(PlatformResponse(400, {}, json.dumps({"error": error}).encode()))
    assert fault.reason == "17/2446079 AbC"


def test_a_limit_ends_when_the_headers_say() -> None:
    case = {"type": "ads_insights", "call_count": 101, "estimated_time_to_regain_access": 19}
    headers = {"x-business-use-case-usage": json.dumps({"1022": [case, {"type": "pages", "call_count": 3}]})}
    with clock.at(NOON):
        fault = classify(PlatformResponse(400, headers, LIMIT))
    assert fault.kind is RateLimited
    assert fault.resume_at == NOON + timedelta(minutes=19)


@pytest.mark.parametrize(("code", "scope"), [(4, "app"), (341, "app"), (17, "account"), (80004, "one_account")])
def test_a_limit_is_the_applications_or_the_accounts(code: int, scope: str) -> None:
    assert classify(PlatformResponse(400, {}, json.dumps({"error": {"code": code}}).encode())).scope == scope


def test_a_limit_without_an_end_has_no_time() -> None:
    headers = {"x-ad-account-usage": json.dumps({"acc_id_util_pct": 40, "reset_time_duration": 100})}
    assert classify(PlatformResponse(400, headers, LIMIT)).resume_at is None


def test_other_errors_have_no_time_whatever_the_headers_say() -> None:
    headers = {"x-ad-account-usage": json.dumps({"acc_id_util_pct": 100, "reset_time_duration": 100})}
    assert classify(PlatformResponse(400, headers, LIMIT)).resume_at is not None
    assert classify(PlatformResponse(503, headers, b"")).resume_at is None


@given(
    st.integers(300, 599),
    st.binary(max_size=100)
    | st.fixed_dictionaries(
        {"code": st.integers(), "error_subcode": st.integers(), "message": st.text(max_size=40)}
    ).map(lambda error: json.dumps({"error": error}).encode()),
)
def test_any_error_is_classified(status: int, body: bytes) -> None:
    assert issubclass(classify(PlatformResponse(status, {}, body)).kind, PlatformError)
