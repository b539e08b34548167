"""What Graph's error codes mean. The status says little: almost everything is a 400.

developers.facebook.com/docs/graph-api/guides/error-handling, .../marketing-api/error-reference
"""

import msgspec

from chalicelib import clock
from chalicelib.errors import (
    AnswerTooLarge,
    ContractChanged,
    CursorExpired,
    Misconfigured,
    PermissionMissing,
    PlatformError,
    RateLimited,
    TokenExpired,
    TokenRevoked,
    TransientFault,
)
from chalicelib.platforms.client import decode
from chalicelib.platforms.faults import Fault, kind_of
from chalicelib.platforms.meta.quota import regained_at
from chalicelib.platforms.transport import Response

# The first row that shares a word with a refusal (its `code`, `code/subcode`, status, flag, or a phrase of its message)
# tells what it means.
SIGNALS: tuple[tuple[type[PlatformError], frozenset[str]], ...] = (
    # The user removed the application, has to clear a checkpoint, changed the password, never confirmed, lost a role.
    (TokenRevoked, frozenset({"190/458", "190/459", "190/460", "190/464", "190/492"})),
    (TokenExpired, frozenset({"190", "102"})),
    (AnswerTooLarge, frozenset({"100/1504018", "2/1504038", "reduce the amount of data"})),
    # Breakdowns or metrics that do not go together, under the code of passing faults.
    (ContractChanged, frozenset({"2/1504041", "2/1504042"})),
    (
        RateLimited,
        frozenset({"4", "17", "32", "341", "613", "status 429", *(str(code) for code in range(80000, 80015))}),
    ),
    # The application is blocked for a policy, or demands a proof of its secret with each call.
    (Misconfigured, frozenset({"368", "appsecret_proof"})),
    # 100/33 is an object that is gone, or that the grant may not see.
    (PermissionMissing, frozenset({"3", "10", "100/33", *(str(code) for code in range(200, 300))})),
    # `Invalid cursors values`: facebook/facebook-java-business-sdk, issue 292
    (CursorExpired, frozenset({"2642"})),
    (TransientFault, frozenset({"1", "2", "104", "960", "-2/2490547", "subcode 99", "transient"})),
)
APPLICATION_LIMITS = frozenset({4, 341})
PHRASES = ("reduce the amount of data", "appsecret_proof")


class Problem(msgspec.Struct, frozen=True):
    """`type` is OAuthException for almost everything, and left out here."""

    message: str = ""
    code: int = 0
    error_subcode: int = 0
    is_transient: bool = False
    fbtrace_id: str = ""


class Refusal(msgspec.Struct, frozen=True):
    error: Problem = Problem()


def classify(response: Response) -> Fault:
    problem = read_problem(response)
    words = _words(problem, response.status)
    kind = next((kind for kind, signals in SIGNALS if words & signals), kind_of(response.status))
    resume_at = regained_at(response.headers, clock.now()) if kind is RateLimited else None
    return Fault(kind, _reason(problem), resume_at, "app" if problem.code in APPLICATION_LIMITS else "account")


def read_problem(response: Response) -> Problem:
    refusal = decode(response.body, Refusal)
    return refusal.error if isinstance(refusal, Refusal) else Problem()


def _words(problem: Problem, status: int) -> set[str]:
    message = problem.message.lower()
    return {
        str(problem.code),
        f"{problem.code}/{problem.error_subcode}",
        f"subcode {problem.error_subcode}",
        f"status {status}",
        *(["transient"] if problem.is_transient else []),
        *(phrase for phrase in PHRASES if phrase in message),
    }


def _reason(problem: Problem) -> str:
    """Meta's support asks for the trace id."""
    if not problem.code:
        return problem.message
    subcode = f"/{problem.error_subcode}" if problem.error_subcode else ""
    return " ".join(part for part in (f"{problem.code}{subcode}", problem.fbtrace_id, problem.message) if part)
