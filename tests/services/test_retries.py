"""What an error means for the work that met it: a policy of its class, told by nothing else."""

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
"""Of every error that is tried again"""


def kinds_of(kind: type[AppError]) -> Iterator[type[AppError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from kinds_of(child)


KINDS = [kind for kind in kinds_of(AppError) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_has_the_policy_of_the_table_or_is_final(kind: type[AppError]) -> None:
    assert kind.retry == POLICIES.get(kind, FINAL)


@pytest.mark.parametrize("kind", POLICIES)
def test_an_error_is_no_subclass_of_one_with_another_policy(kind: type[AppError]) -> None:
    for parent in kind.__mro__[1:]:
        assert parent in (Exception, BaseException, object, AppError, PlatformError) or (
            POLICIES[parent] == POLICIES[kind]
        )


def test_what_is_tried_again_by_itself_asks_a_person_to_wait() -> None:
    retried = {kind.code for kind in POLICIES if kind not in (RunCrashed, Throttled)}
    waited_for = {code for code, known in EXPLANATIONS.items() if known.action == "wait" and not isinstance(code, Code)}
    assert retried | {ReportOverdue.code} == waited_for, "the next run requests another report"


def test_what_may_pass_is_given_up_after_so_many_attempts_and_what_was_asked_for_is_not() -> None:
    for kind, policy in POLICIES.items():
        last = delay_after(kind(), attempts=99, attempts_without_progress=MAX_ATTEMPTS_WITHOUT_PROGRESS)
        assert (last is None) == (not policy.waits)
        early = delay_after(kind(), attempts=1, attempts_without_progress=1)
        assert early is not None
        assert timedelta() < early <= LONGEST_BACKOFF


def test_what_is_final_is_not_tried_again() -> None:
    for kind in (RunAbandoned, errors.TokenRevoked, errors.ContractChanged):
        assert delay_after(kind(), attempts=1, attempts_without_progress=1) is None


def test_a_crash_of_ours_says_nothing_of_the_platform() -> None:
    assert RunCrashed.code == AppError.code
    assert not issubclass(RunCrashed, PlatformError)
    assert not RunCrashed.retry.is_outage
