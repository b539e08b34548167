"""What the errors of Google's Calendar and Gmail APIs, its token endpoint and its consent page mean.

Sources: the error pages of both APIs (developers.google.com/workspace/calendar/api/guides/errors and
.../gmail/api/guides/handle-errors), the reasons of google.rpc.ErrorInfo (googleapis/googleapis,
google/api/error_reason.proto), google-auth for the token endpoint, support.google.com/accounts/answer/16668185 for the
consent page; any other source is noted at its row.
"""

import re
from datetime import UTC, datetime

from chalicelib.errors import (
    BlockedByAdministrator,
    CursorExpired,
    Misconfigured,
    PermissionMissing,
    RateLimited,
    ScopeMissing,
    ServiceNotEnabled,
    TokenExpired,
    TokenRevoked,
    TransientFault,
)
from chalicelib.platforms.core.error_rules import (
    ErrorRule,
    Json,
    judge,
    loggable,
    member,
    members,
    read_object,
    text,
    words_of,
)
from chalicelib.platforms.core.faults import Fault, kind_of
from chalicelib.platforms.core.token_answers import TOKEN_RULES
from chalicelib.platforms.core.transport import PlatformResponse

PHRASES = ("mail service not enabled",)
PER_PROJECT = "limit per project"
"""For a quota that all studios share: `quota_limit` in the metadata names it, e.g. `ReadsPerMinutePerProject`."""

RULES = (
    ErrorRule(
        TokenExpired, frozenset({"401", "invalid_token", "authError", "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED"})
    ),
    # Decisions of the administrator of the account's Google Workspace, when a token is requested and when it is used.
    ErrorRule(
        TokenRevoked,
        frozenset({"admin_policy_enforced", "access_not_configured"}),
        code="blocked_by_administrator",
        message="An administrator of this Google Workspace does not allow this app: ask them to allow it, then"
        " reconnect",
    ),
    ErrorRule(
        BlockedByAdministrator,
        frozenset({"domainPolicy", "USER_BLOCKED_BY_ADMIN"}),
        message="An administrator of this Google Workspace does not let apps read this: ask them to allow this app, and"
        " the next sync will succeed",
    ),
    # The account has no mailbox, or Gmail is turned off for it (WPManageNinja/fluent-smtp, issue 152; both spellings
    # of the message come with this reason).
    ErrorRule(
        ServiceNotEnabled,
        frozenset({"failedPrecondition", "mail service not enabled"}),
        code="mailbox_not_enabled",
        message="This Google account has no Gmail mailbox: turn on Gmail for it (in a Google Workspace an"
        " administrator does this), or connect the account that receives your inquiries",
    ),
    # Calendar is turned off for the account, or was never opened (closeio/sync-engine, pull request 462).
    ErrorRule(
        ServiceNotEnabled,
        frozenset({"notACalendarUser"}),
        code="calendar_not_enabled",
        message="This Google account has no Google Calendar: open calendar.google.com with it (in a Google Workspace an"
        " administrator turns on Calendar), or connect the account that holds your bookings",
    ),
    # Session control of a Google Workspace: support.google.com/a/answer/9368756
    ErrorRule(
        TokenRevoked,
        frozenset({"invalid_rapt", "rapt_required"}),
        message="This Google Workspace requires its users to sign in again regularly: reconnect, or ask its"
        " administrator to exempt this app",
    ),
    # Our own OAuth client was deleted or disabled, or is restricted to one organization.
    # googleapis/google-api-nodejs-client, issue 1256; openpubkey/opkssh, issue 617
    ErrorRule(Misconfigured, frozenset({"deleted_client", "disabled_client", "restricted_client", "org_internal"})),
    *TOKEN_RULES,
    # The last one is from the consent page: too many new users for an application that Google has not verified:
    # support.google.com/cloud/answer/9028764
    ErrorRule(RateLimited, frozenset({"dailyLimitExceeded", PER_PROJECT, "rate_limit_exceeded"}), scope="app"),
    ErrorRule(
        RateLimited,
        frozenset(
            {
                "429",
                "rateLimitExceeded",
                "userRateLimitExceeded",
                "quotaExceeded",
                "RATE_LIMIT_EXCEEDED",
                "RESOURCE_QUOTA_EXCEEDED",
                "RESOURCE_EXHAUSTED",
            }
        ),
    ),
    ErrorRule(
        Misconfigured,
        frozenset(
            {
                "accessNotConfigured",
                "SERVICE_DISABLED",
                "BILLING_DISABLED",
                "CONSUMER_INVALID",
                "CONSUMER_SUSPENDED",
                "GCP_SUSPENDED",
                "USER_PROJECT_DENIED",
                "RESOURCE_USAGE_RESTRICTION_VIOLATED",
                "SECURITY_POLICY_VIOLATED",
            }
        ),
    ),
    ErrorRule(ScopeMissing, frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})),
    ErrorRule(PermissionMissing, frozenset({"403"})),
    ErrorRule(CursorExpired, frozenset({"410", "fullSyncRequired", "updatedMinTooLongAgo", "pageToken", "syncToken"})),
    ErrorRule(TransientFault, frozenset({"backendError", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"})),
)

# Words that decide nothing but help a reader of the log; the last line names our own parameters.
VOCABULARY = words_of(RULES) | {
    *("badRequest", "invalid", "invalidParameter", "required", "notFound", "forbidden", "conditionNotMet", "conflict"),
    *(
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "UNKNOWN",
        "OUT_OF_RANGE",
    ),
    *("ACCOUNT_STATE_INVALID", "CREDENTIALS_MISSING", "ACCESS_TOKEN_TYPE_UNSUPPORTED", "invalid_request"),
    *("Authorization", "maxResults", "timeMin", "timeMax", "startHistoryId", "historyTypes", "labelIds", "q", "format"),
}


def classify(response: PlatformResponse) -> Fault:
    error = read_object(response.body).get("error")
    reasons = [error] if isinstance(error, str) else _reasons(error if isinstance(error, dict) else {})
    message = text(error, "message") if isinstance(error, dict) else ""
    phrases = (phrase for phrase in PHRASES if phrase in message.lower())
    rule = judge(RULES, {str(response.status), *reasons, *phrases}, otherwise=kind_of(response.status))
    return rule.fault(loggable(reasons, VOCABULARY), _resume_at(message))


def _reasons(error: Json) -> list[str]:
    """The status, and the reasons in each entry of `errors` (Calendar, Gmail) and `details` (google.rpc.Status)."""
    reasons = [text(error, "status")]
    for problem in members(error, "errors") + members(error, "details"):
        reasons += [text(problem, "reason"), text(problem, "location")]
        limit = text(member(problem, "metadata"), "quota_limit")
        reasons += [PER_PROJECT] if "PerProject" in limit and "PerUser" not in limit else []
    return reasons


def _resume_at(message: str) -> datetime | None:
    """Gmail names the time in its message: `User-rate limit exceeded. Retry after 2026-11-22T10:00:00.000Z`."""
    match = re.search(r"Retry after (\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))", message, re.ASCII)
    try:
        return datetime.fromisoformat(match[1]).astimezone(UTC) if match else None
    except (ValueError, OverflowError):
        return None
