"""What Meta's errors mean: the error codes of Graph and of its token endpoint. The status says little: almost
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
from chalicelib.platforms.core.error_rules import ErrorRule, Json, judge, loggable, member, number, read_object, text
from chalicelib.platforms.core.faults import Fault, kind_of
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.platforms.meta.quota import regained_at

# The words of an error: its `code`, `code/subcode`, status, flag, and phrases of its message. Errors of the token
# endpoint have each word again with the prefix `token`, because some mean something else there.
RULES = (
    # The redirect URI differs from the dialog's; the application is unknown; its secret is wrong, under a code that
    # means a transient fault everywhere else.
    ErrorRule(Misconfigured, frozenset({"token 100/36008", "token 101", "validating client secret"})),
    # The authorization code is too old, used or invalid; a dead token cannot be exchanged.
    ErrorRule(TokenRevoked, frozenset({"token 100/36007", "token 100/36009", "token invalid verification code"})),
    ErrorRule(
        TokenRevoked,
        frozenset({"190/458"}),
        message="This app was removed in the settings of the Facebook account: reconnect to continue",
    ),
    ErrorRule(
        TokenRevoked,
        frozenset({"190/459", "190/464"}),
        message="Facebook requires the account's owner to verify it: log in at facebook.com, then reconnect",
    ),
    ErrorRule(
        TokenRevoked,
        frozenset({"190/460"}),
        message="The Facebook account's password was changed, or its session ended: reconnect to continue",
    ),
    ErrorRule(
        TokenRevoked,
        frozenset({"190/492"}),
        message="The Facebook account no longer has its role: ask for the role, then reconnect",
    ),
    ErrorRule(TokenRevoked, frozenset({"token 190", "token 102"})),
    ErrorRule(TokenExpired, frozenset({"190", "102"})),
    ErrorRule(AnswerTooLarge, frozenset({"100/1504018", "2/1504038", "reduce the amount of data"})),
    # Incompatible breakdowns or metrics, under the code of transient faults.
    ErrorRule(ContractChanged, frozenset({"2/1504041", "2/1504042"})),
    ErrorRule(RateLimited, frozenset({"4", "341"}), scope="app"),
    ErrorRule(RateLimited, frozenset({"17", "32", "613", "status 429"})),
    # The limits per business use case, which apply to each ad account separately.
    ErrorRule(RateLimited, frozenset(str(code) for code in range(80000, 80015)), scope="one_account"),
    # The application is blocked for a policy violation, or Meta requires a proof of its secret with each call.
    ErrorRule(Misconfigured, frozenset({"368", "appsecret_proof"})),
    ErrorRule(
        PermissionMissing,
        frozenset({"100/33"}),
        message="This connection no longer has access to something that was shared with it in Meta: ask its owner for"
        " access, or reconnect and choose it",
    ),
    ErrorRule(PermissionMissing, frozenset({"3", "10", *(str(code) for code in range(200, 300))})),
    # `Invalid cursors values`: facebook/facebook-java-business-sdk, issue 292
    ErrorRule(CursorExpired, frozenset({"2642"})),
    ErrorRule(TransientFault, frozenset({"1", "2", "104", "960", "-2/2490547", "subcode 99", "transient"})),
    ErrorRule(TokenRevoked, frozenset({"token status 401"})),
)
PHRASES = (*("reduce the amount of data", "appsecret_proof", "validating client secret", "invalid verification code"),)


def classify(response: PlatformResponse) -> Fault:
    problem = member(read_object(response.body), "error")
    return _judged(problem, response, _words(problem, response.status))


def classify_token_error(response: PlatformResponse) -> Fault:
    """Like other errors, except that a code or token that cannot be exchanged means the grant has ended."""
    problem = member(read_object(response.body), "error")
    words = _words(problem, response.status)
    return _judged(problem, response, words | {f"token {word}" for word in words})


def _judged(problem: Json, response: PlatformResponse, words: set[str]) -> Fault:
    rule = judge(RULES, words, otherwise=kind_of(response.status))
    resume_at = regained_at(response.headers, clock.now()) if rule.kind is RateLimited else None
    return rule.fault(_reason(problem), resume_at)


def _words(problem: Json, status: int) -> set[str]:
    """`type` is left out, because it is almost always OAuthException."""
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
    code_text = f"{code}/{subcode}" if subcode else str(code) if code else ""
    return loggable([code_text], (), trace_id=text(problem, "fbtrace_id"))
