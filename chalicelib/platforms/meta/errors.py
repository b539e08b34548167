"""What Meta's refusals mean: Graph's error codes, also those of its token endpoint. The status says little: almost
everything is a 400.

developers.facebook.com/docs/graph-api/guides/error-handling, .../marketing-api/error-reference,
.../facebook-login/guides/access-tokens, .../guides/advanced/manual-flow
"""

from chalicelib import clock
from chalicelib.errors import (
    AnswerTooLarge,
    ContractChanged,
    CursorExpired,
    Misconfigured,
    PermissionMissing,
    RateLimited,
    TokenExpired,
    TokenRevoked,
    TransientFault,
)
from chalicelib.platforms.core.error_rules import Json, Rule, judge, loggable, member, number, read_object, text
from chalicelib.platforms.core.faults import Fault, kind_of
from chalicelib.platforms.core.transport import Response
from chalicelib.platforms.meta.quota import regained_at

# The words of a refusal: its `code`, `code/subcode`, status, flag, and phrases of its message. In answers of the token
# endpoint each is there once more with `token` before it, since some mean something else there.
RULES = (
    # The redirect URI is not the one of the dialog; the application is unknown; its secret is wrong, under a code that
    # means a passing fault everywhere else.
    Rule(Misconfigured, frozenset({"token 100/36008", "token 101", "validating client secret"})),
    # The code of a consent is too old, was used already, or is none; a token that is dead cannot be exchanged.
    Rule(TokenRevoked, frozenset({"token 100/36007", "token 100/36009", "token invalid verification code"})),
    Rule(
        TokenRevoked,
        frozenset({"190/458"}),
        message="This app was removed in the settings of the Facebook account: connect again",
    ),
    Rule(
        TokenRevoked,
        frozenset({"190/459", "190/464"}),
        message="Facebook wants the owner of the account to confirm it: log in at facebook.com, then connect again",
    ),
    Rule(
        TokenRevoked,
        frozenset({"190/460"}),
        message="The password of the Facebook account was changed, or its session ended: connect again",
    ),
    Rule(
        TokenRevoked,
        frozenset({"190/492"}),
        message="The Facebook account no longer has its role: ask for the role, then connect again",
    ),
    Rule(TokenRevoked, frozenset({"token 190", "token 102"})),
    Rule(TokenExpired, frozenset({"190", "102"})),
    Rule(AnswerTooLarge, frozenset({"100/1504018", "2/1504038", "reduce the amount of data"})),
    # Breakdowns or metrics that do not go together, under the code of passing faults.
    Rule(ContractChanged, frozenset({"2/1504041", "2/1504042"})),
    Rule(RateLimited, frozenset({"4", "341"}), scope="app"),
    Rule(RateLimited, frozenset({"17", "32", "613", "status 429"})),
    # The business use case's limits, which each ad account has for itself.
    Rule(RateLimited, frozenset(str(code) for code in range(80000, 80015)), scope="one_account"),
    # The application is blocked for a policy, or demands a proof of its secret with each call.
    Rule(Misconfigured, frozenset({"368", "appsecret_proof"})),
    Rule(
        PermissionMissing,
        frozenset({"100/33"}),
        message="Meta no longer shows this connection something that was shared with it: ask its owner for access, or"
        " connect again and choose it",
    ),
    Rule(PermissionMissing, frozenset({"3", "10", *(str(code) for code in range(200, 300))})),
    # `Invalid cursors values`: facebook/facebook-java-business-sdk, issue 292
    Rule(CursorExpired, frozenset({"2642"})),
    Rule(TransientFault, frozenset({"1", "2", "104", "960", "-2/2490547", "subcode 99", "transient"})),
    Rule(TokenRevoked, frozenset({"token status 401"})),
)
PHRASES = (*("reduce the amount of data", "appsecret_proof", "validating client secret", "invalid verification code"),)


def classify(response: Response) -> Fault:
    problem = member(read_object(response.body), "error")
    return _judged(problem, response, _words(problem, response.status))


def classify_token_error(response: Response) -> Fault:
    """As of any other answer, but that a code or token that cannot be exchanged any more has ended the grant."""
    problem = member(read_object(response.body), "error")
    words = _words(problem, response.status)
    return _judged(problem, response, words | {f"token {word}" for word in words})


def _judged(problem: Json, response: Response, words: set[str]) -> Fault:
    rule = judge(RULES, words, otherwise=kind_of(response.status))
    resume_at = regained_at(response.headers, clock.now()) if rule.kind is RateLimited else None
    return rule.fault(_reason(problem), resume_at)


def _words(problem: Json, status: int) -> set[str]:
    """`type` is OAuthException for almost everything, and left out."""
    code, subcode, message = number(problem, "code"), number(problem, "error_subcode"), text(problem, "message").lower()
    return {
        str(code),
        f"{code}/{subcode}",
        f"subcode {subcode}",
        f"status {status}",
        *(["transient"] if problem.get("is_transient") is True else []),
        *(phrase for phrase in PHRASES if phrase in message),
    }


def _reason(problem: Json) -> str:
    """Code, subcode, and the trace id that Meta's support asks for."""
    code, subcode = number(problem, "code"), number(problem, "error_subcode")
    said = f"{code}/{subcode}" if subcode else str(code) if code else ""
    return loggable([said], (), trace_id=text(problem, "fbtrace_id"))
