"""Explanations of reasons: every code has an action, and a message if none was stored with it."""

import re
from datetime import UTC, datetime
from typing import get_args
from uuid import uuid4

import pytest

from chalicelib import errors
from chalicelib.data.connections import LIST_CONNECTIONS, ConnectionFacts, Failure, StatusFacts
from chalicelib.data.reasons import Code, ReasonFacts
from chalicelib.data.sync.stream_status import LIST_STREAM_STATUSES
from chalicelib.errors import AppError, PlatformError
from chalicelib.platforms import pinterest, yelp
from chalicelib.platforms.google import errors as google
from chalicelib.platforms.meta import errors as meta
from chalicelib.services.explain import EXPLANATIONS, Action, StatusReason, explain, explain_connection
from tests.conftest import ROOT

ANSWERED_CODE = re.compile(r"json_build_object\('code', (?:coalesce\([^()']*)?'(\w+)'")
EARLIER, LATER = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)


def codes_of(kind: type[AppError]) -> set[str]:
    return {kind.code, *(code for child in kind.__subclasses__() for code in codes_of(child))}


def facts(code: str, message: str | None = None, account: str | None = None) -> ReasonFacts:
    return ReasonFacts(code=code, message=message, account=account)


def failure(code: str, *, account: str | None = None, since: datetime | None = LATER) -> Failure:
    return Failure(code=code, message="What the platform said", account=account, since=since)


def connection(code: str | None = None, status: str = "active", *failing: Failure) -> ConnectionFacts:
    return ConnectionFacts(
        id=uuid4(),
        platform="google",
        status=status,  # type: ignore[arg-type]
        health="degraded",
        account_id=None,
        account_name=None,
        scopes=None,
        has_refresh_token=True,
        token_expires_at=None,
        last_sync_at=None,
        last_error=None,
        created_at=EARLIER,
        updated_at=EARLIER,
        status_reason=StatusFacts(code=code, since=EARLIER, failing=[*failing]),
    )


def status_reason(code: str | None, status: str = "active", *failing: Failure) -> StatusReason:
    return explain_connection(connection(code, status, *failing)).status_reason


def test_the_statements_return_the_codes_of_the_enum_and_each_is_explained() -> None:
    answered = {code for query in (LIST_CONNECTIONS, LIST_STREAM_STATUSES) for code in ANSWERED_CODE.findall(query.sql)}
    assert answered == set(Code)
    for code in Code:
        assert EXPLANATIONS[code].message


def test_every_error_code_of_runs_and_connections_is_explained() -> None:
    rules = (*google.RULES, *meta.RULES, *pinterest.RULES, *yelp.RULES)
    internal_codes = {errors.DecryptionFailed.code, errors.RunCrashed.code, errors.RunAbandoned.code}
    assert codes_of(PlatformError) | internal_codes | {rule.code for rule in rules if rule.code} <= set(EXPLANATIONS)


def test_a_code_with_a_title_uses_it_as_its_message() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AppError)]
    titles = {kind.code: kind.title for kind in kinds if "title" in vars(kind)}
    explained = titles.keys() & EXPLANATIONS.keys()
    assert explained
    for code in explained:
        assert explain(facts(code)).message == titles[code]


def test_every_action_is_documented() -> None:
    documents = "".join((ROOT / "docs" / name).read_text("utf-8") for name in ("api.md", "sync.md"))
    assert {known.action for known in EXPLANATIONS.values()} == {*get_args(Action)} - {"none"}
    for action in get_args(Action):
        assert f"`{action}`" in documents


def test_a_stored_message_is_shown_unchanged_after_its_account() -> None:
    assert explain(facts("token_revoked", "Google {said} so")).message == "Google {said} so"
    assert explain(facts("account_gone", "It was deleted", "Weddings")).message == "Weddings: It was deleted"


def test_an_unknown_code_is_its_own_message_and_goes_to_support() -> None:
    reason = explain(facts("of_a_later_release"))
    assert (reason.message, reason.action) == ("of_a_later_release", "contact_support")


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("expired", "reconnect"),
        ("revoked", "reconnect"),
        ("misconfigured", "contact_support"),
        ("error", "contact_support"),
        ("active", "ask_administrator"),
    ],
)
def test_the_status_determines_the_action_before_the_code(status: str, action: Action) -> None:
    assert status_reason("blocked_by_administrator", status).action == action


def test_a_working_connection_without_a_code_needs_no_action() -> None:
    assert status_reason(None) == StatusReason(code=None, message=None, since=EARLIER, action="none")


def test_a_working_connection_shows_the_first_action_only_the_studio_can_take() -> None:
    passing = failure("platform_unavailable"), failure("platform_contract_changed")
    reason = status_reason("scopes_missing", "active", *passing, failure("account_gone", account="Weddings"))
    message = "Weddings: What the platform said"
    assert reason == StatusReason(code="account_gone", message=message, since=LATER, action="fix_account")
    assert status_reason("scopes_missing", "active", *passing).action == "grant_scopes"
    assert status_reason(None, "active", *passing).action == "none"


def test_a_failure_without_a_time_has_the_time_of_the_status() -> None:
    assert status_reason(None, "active", failure("account_gone", since=None)).since == EARLIER
