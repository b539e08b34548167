"""What an error means for the work it interrupts: a policy of its class, decided by nothing else."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from chalicelib import errors
from chalicelib.data.reasons import Code
from chalicelib.errors import (
    BACKOFF,
    FINAL,
    OUTAGE,
    WAIT,
    AnswerTooLarge,
    AppError,
    CircuitOpen,
    PlatformError,
    QuotaSpent,
    RateLimited,
    RefreshInProgress,
    ReportOverdue,
    ReportPending,
    RetryPolicy,
    RunAbandoned,
    RunCrashed,
    Throttled,
    TransientFault,
)
from chalicelib.services.explain import EXPLANATIONS
from chalicelib.services.throttling.retries import LONGEST_BACKOFF, MAX_ATTEMPTS_WITHOUT_PROGRESS, delay_after

POLICIES: dict[type[AppError], RetryPolicy] = {
    TransientFault: OUTAGE,
    AnswerTooLarge: OUTAGE,
    RunCrashed: BACKOFF,
    RefreshInProgress: WAIT,
    Throttled: WAIT,
    RateLimited: WAIT,
    QuotaSpent: WAIT,
    CircuitOpen: WAIT,
    ReportPending: WAIT,
}
"""The policy of every error that is retried"""


def kinds_of(kind: type[AppError]) -> Iterator[type[AppError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from kinds_of(child)


KINDS = [kind for kind in kinds_of(AppError) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_has_the_policy_of_the_table_or_is_final(kind: type[AppError]) -> None:
    assert kind.retry == POLICIES.get(kind, FINAL)


@pytest.mark.parametrize("kind", POLICIES)
def test_an_error_has_the_policy_of_its_base_classes(kind: type[AppError]) -> None:
    for parent in kind.__mro__[1:]:
        assert parent in (Exception, BaseException, object, AppError, PlatformError) or (
            POLICIES[parent] == POLICIES[kind]
        )


def test_retried_errors_ask_a_person_to_wait() -> None:
    retried = {kind.code for kind in POLICIES if kind not in (RunCrashed, Throttled)}
    waited_for = {code for code, known in EXPLANATIONS.items() if known.action == "wait" and not isinstance(code, Code)}
    assert retried | {ReportOverdue.code} == waited_for, "the next run requests another report"


def test_transient_errors_are_abandoned_in_the_end_and_requested_waits_are_not() -> None:
    for kind, policy in POLICIES.items():
        last = delay_after(kind(), attempts=99, attempts_without_progress=MAX_ATTEMPTS_WITHOUT_PROGRESS)
        assert (last is None) == (not policy.waits)
        early = delay_after(kind(), attempts=1, attempts_without_progress=1)
        assert early is not None
        assert timedelta() < early <= LONGEST_BACKOFF


def test_final_errors_are_not_retried() -> None:
    for kind in (RunAbandoned, errors.TokenRevoked, errors.ContractChanged):
        assert delay_after(kind(), attempts=1, attempts_without_progress=1) is None


def test_a_crash_is_no_sign_of_a_platform_outage() -> None:
    assert RunCrashed.code == AppError.code
    assert not issubclass(RunCrashed, PlatformError)
    assert not RunCrashed.retry.is_outage
