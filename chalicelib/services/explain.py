"""Reasons in words: what each code means, and what the user must do. Statements return only codes and facts."""

from collections.abc import Mapping
from typing import Literal, NamedTuple
from uuid import UUID

from chalicelib import errors
from chalicelib.data.connections import BaseConnection, ConnectionFacts, ConnectionStatus
from chalicelib.data.postgres.rows import ErrorCode, Moment, Row, reshape
from chalicelib.data.reasons import Code, ReasonFacts
from chalicelib.data.sync.accounts import AccountFacts, BaseAccount, BaseAccountStream
from chalicelib.data.sync.stream_status import BaseStreamAccount, BaseStreamStatus, StreamFacts, StreamState

Action = Literal[
    "none",
    "reconnect",
    "grant_scopes",
    "fix_account",
    "ask_administrator",
    "confirm_deletions",
    "resume",
    "wait",
    "contact_support",
]
"""What the user must do. `none`: nothing. `reconnect`: connect the account again. `grant_scopes`: connect again and
grant every permission. `fix_account`: change the account at the platform, or connect another. `ask_administrator`: ask
the administrator of the account's organization. `confirm_deletions`: confirm them with a sync. `resume`: resume the
schedule. `wait`: we retry automatically. `contact_support`: only we can fix it."""


class Reason(Row):
    """The cause of a state, and what to do about it."""

    code: ErrorCode
    message: str
    """What happened and what to do about it, for a person."""
    action: Action
    """What the user must do."""


class StatusReason(Row):
    """Why a connection is in its status, since when, and what the user must do."""

    code: str | None
    """A stable code for the cause; null while nothing is wrong."""
    message: str | None
    """What happened and what to do about it, for a person; null while nothing is wrong."""
    since: Moment
    """When this began."""
    action: Action
    """What the user must do."""


class Connection(BaseConnection):
    """A studio's link to one account of a platform. It never contains a token."""

    status_reason: StatusReason
    """Why the connection is in its status."""


class AccountStream(BaseAccountStream):
    """The state of one stream for an account."""

    reason: Reason | None
    """Why the stream fails or waits for this account; null when it does neither."""


class Account(BaseAccount):
    """An account found under a connection, such as a calendar or an ad account."""

    streams: list[AccountStream]
    """The streams that have read the account, or tried to."""


class StreamAccount(BaseStreamAccount):
    """The state of the stream for one of the accounts that it reads."""

    reason: Reason | None
    """Why the stream fails or waits for this account; null when it does neither."""


class StreamStatus(BaseStreamStatus):
    """What one stream of a connection is doing, and why."""

    reason: Reason | None
    """Why the stream is in its state; null when nothing is wrong."""
    accounts: list[StreamAccount]
    """The selected accounts that the stream reads; empty for a stream without accounts of its own."""


class Explanation(NamedTuple):
    action: Action
    message: str = ""
    """For a code without a stored message; {platform}, {connection}, {stream} and {missing} are filled in"""


def _of_error(error: type[errors.AppError], action: Action) -> dict[str, Explanation]:
    return {error.code: Explanation(action, error.title)}


EXPLANATIONS: Mapping[str, Explanation] = {
    **_of_error(errors.ReconnectRequired, "reconnect"),
    **_of_error(errors.TokenExpired, "reconnect"),
    **_of_error(errors.TokenRevoked, "reconnect"),
    **_of_error(errors.AnotherAccount, "reconnect"),
    **_of_error(errors.AccountConnectedTwice, "reconnect"),
    Code.CONNECTION_NOT_ACTIVE: Explanation("reconnect", errors.ReconnectRequired.title),
    "business_not_found": Explanation("reconnect"),
    "business_moved": Explanation("reconnect"),
    **_of_error(errors.PermissionMissing, "grant_scopes"),
    "scopes_missing": Explanation("grant_scopes"),
    **_of_error(errors.ServiceNotEnabled, "fix_account"),
    **_of_error(errors.AccountGone, "fix_account"),
    "mailbox_not_enabled": Explanation("fix_account"),
    "calendar_not_enabled": Explanation("fix_account"),
    "business_not_shown": Explanation("fix_account"),
    **_of_error(errors.BlockedByAdministrator, "ask_administrator"),
    Code.DELETIONS_REFUSED: Explanation(
        "confirm_deletions",
        "{missing} records were missing from the last complete read; that is too many to delete without confirmation, "
        "so they were kept. If they are really gone, confirm with "
        'POST /api/sync/{platform}?connection={connection} {{"syncType": "{stream}", "confirmDeletions": true}}',
    ),
    Code.PAUSED: Explanation(
        "resume",
        "The schedule is paused; resume it with POST /api/sync/{platform}/schedule/resume?connection={connection}",
    ),
    Code.REFRESH_FAILING: Explanation("wait", "The access token could not be refreshed yet; we will retry"),
    Code.DEFERRED: Explanation("wait", "The run will continue shortly"),
    **_of_error(errors.TransientFault, "wait"),
    **_of_error(errors.RateLimited, "wait"),
    **_of_error(errors.QuotaSpent, "wait"),
    **_of_error(errors.CircuitOpen, "wait"),
    **_of_error(errors.RefreshInProgress, "wait"),
    **_of_error(errors.ReportPending, "wait"),
    **_of_error(errors.ReportOverdue, "wait"),
    Code.NO_WORKER: Explanation(
        "contact_support", "No worker has picked up the run for more than ten minutes; contact support if this persists"
    ),
    **_of_error(errors.Misconfigured, "contact_support"),
    **_of_error(errors.ContractChanged, "contact_support"),
    **_of_error(errors.CursorExpired, "contact_support"),
    **_of_error(errors.PlatformError, "contact_support"),
    **_of_error(errors.DecryptionFailed, "contact_support"),
    **_of_error(errors.RunCrashed, "contact_support"),
    **_of_error(errors.RunAbandoned, "contact_support"),
}
"""By code. Platform-specific codes always come with a stored message."""
UNKNOWN = Explanation("contact_support")
"""For the code of another release."""
OF_STATUS: Mapping[ConnectionStatus, Action] = {
    "expired": "reconnect",
    "revoked": "reconnect",
    "misconfigured": "contact_support",
    "error": "contact_support",
}
"""The action that ends such a status, whatever its code."""
OF_STATE: Mapping[StreamState, Action] = {"throttled": "wait", "deferred": "wait"}
"""A waiting run is retried, whatever it waits for."""
OF_THE_STUDIO: tuple[Action, ...] = ("reconnect", "grant_scopes", "fix_account", "ask_administrator")
"""Actions that only the studio can take; until then the problem recurs."""


def explain(
    facts: ReasonFacts,
    action: Action | None = None,
    *,
    platform: str = "",
    connection: UUID | None = None,
    stream: str = "",
    missing: int = 0,
) -> Reason:
    """The reason in words. A stored message is shown unchanged; `action` overrides the code's own."""
    known = EXPLANATIONS.get(facts.code, UNKNOWN)
    words = known.message.format(platform=platform, connection=connection, stream=stream, missing=missing)
    message = facts.message or words or facts.code
    if facts.account:
        message = f"{facts.account}: {message}"
    return Reason(code=facts.code, message=message, action=action or known.action)


def explain_connection(facts: ConnectionFacts) -> Connection:
    return reshape(Connection, facts, status_reason=_status_reason(facts))


def explain_account(facts: AccountFacts) -> Account:
    streams = [reshape(AccountStream, stream, reason=_reason(stream.reason)) for stream in facts.streams]
    return reshape(Account, facts, streams=streams)


def explain_stream(facts: StreamFacts) -> StreamStatus:
    accounts = [reshape(StreamAccount, account, reason=_reason(account.reason)) for account in facts.accounts]
    return reshape(StreamStatus, facts, reason=_stream_reason(facts), accounts=accounts)


def _status_reason(connection: ConnectionFacts) -> StatusReason:
    """A working connection shows what the studio must do for one of its streams or accounts."""
    facts = connection.status_reason
    for failure in facts.failing or ():
        reason = explain(failure)
        if reason.action in OF_THE_STUDIO:
            since = failure.since or facts.since
            return StatusReason(code=reason.code, message=reason.message, since=since, action=reason.action)
    action = OF_STATUS.get(connection.status)
    if facts.code is None:
        return StatusReason(code=None, message=facts.message, since=facts.since, action=action or "none")
    reason = explain(ReasonFacts(code=facts.code, message=facts.message, account=None), action)
    return StatusReason(code=reason.code, message=reason.message, since=facts.since, action=reason.action)


def _stream_reason(status: StreamFacts) -> Reason | None:
    if status.reason is None:
        return None
    action = OF_STATUS.get(status.connection_status) if status.state == "broken" else OF_STATE.get(status.state)
    return explain(
        status.reason,
        action,
        platform=status.platform,
        connection=status.connection_id,
        stream=status.sync_type,
        missing=status.refused_deletions,
    )


def _reason(facts: ReasonFacts | None) -> Reason | None:
    return None if facts is None else explain(facts)
