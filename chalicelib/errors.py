"""The one error tree: each error has a stable code, an HTTP status, a public message and an internal one.

`str(error)` is the internal message, for logs; `error.message` is what a client of the API may read.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Literal
from uuid import UUID

import msgspec


class FieldProblem(msgspec.Struct, frozen=True):
    """One field of a request and what is wrong with it."""

    field: str
    """The path of the field in the request, such as `scopes[2]`; empty for the whole body."""
    problem: str
    """What is wrong with the field, for a person. It never repeats the value sent."""


class ConnectionChoice(msgspec.Struct, frozen=True, rename="camel"):
    """One of several connections of a platform, for a request that named none."""

    id: UUID
    """The connection's id."""
    account_name: str | None
    """The name of the connected account; null until the platform has told it."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What an error means for the work that hit it, and for all other callers of the same platform."""

    is_retried: bool = False
    """Whether it may be transient: the same work is retried after a while"""
    waits: bool = False
    """Whether it is a requested wait: it takes as long as it takes, and does not count as an attempt without
    progress"""
    is_outage: bool = False
    """Whether it counts towards the platform's circuit breaker"""


FINAL = RetryPolicy()
BACKOFF = RetryPolicy(is_retried=True)
OUTAGE = RetryPolicy(is_retried=True, is_outage=True)
WAIT = RetryPolicy(is_retried=True, waits=True)


class AppError(Exception):
    """Anything this product rejects or fails to do, with the response it causes."""

    status = 500
    code = "internal_error"
    title = "Internal error"
    retry = FINAL
    is_of_one_account: bool = False
    """Whether a run can still read its other accounts"""

    def __init__(
        self,
        message: str = "",
        *,
        internal: str = "",
        code: str = "",
        fields: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or self.title
        self.code = code or self.code
        self.fields = tuple(fields)
        self.headers = dict(headers or {})
        super().__init__(internal or self.message)

    @property
    def is_fault(self) -> bool:
        """Whether a request that ends with it counts as our error."""
        return self.status >= 500


class BadRequest(AppError):
    status = 400
    code = "bad_request"
    title = "The request cannot be read"


class Unauthorized(AppError):
    status = 401
    code = "unauthorized"
    title = "A valid API key is required"

    def __init__(self, message: str = "", *, internal: str = "") -> None:
        super().__init__(message, internal=internal, headers={"WWW-Authenticate": 'Bearer realm="ansel"'})


class Forbidden(AppError):
    status = 403
    code = "forbidden"
    title = "The API key does not allow this"


class NotFound(AppError):
    status = 404
    code = "not_found"
    title = "Not found"


class MethodNotAllowed(AppError):
    status = 405
    code = "method_not_allowed"
    title = "The method is not allowed here"


class Conflict(AppError):
    status = 409
    code = "conflict"
    title = "The request conflicts with the current state"


class SeveralConnections(Conflict):
    """A request that concerns one connection names none, and the studio has several of the platform."""

    code = "several_connections"
    title = "Several accounts of this platform are connected"

    def __init__(self, message: str = "", *, connections: Sequence[ConnectionChoice] = ()) -> None:
        super().__init__(message)
        self.connections = tuple(connections)


class AlreadyExists(Conflict):
    """Another request stored the same thing at this moment."""

    code = "concurrent_request"
    title = "Another request stored the same at this moment; try again"


class PayloadTooLarge(AppError):
    status = 413
    code = "payload_too_large"
    title = "The request body is too large"


class UnsupportedMediaType(AppError):
    status = 415
    code = "unsupported_media_type"
    title = "The content type is not supported"


class InvalidInput(AppError):
    """A well-formed request with invalid values; `fields` names each of them."""

    status = 422
    code = "invalid_input"
    title = "Some values in the request are invalid"


class TooManyRequests(AppError):
    """One of our limits is reached; the same request may be sent again after `retry_after_seconds`, rounded up."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"

    def __init__(
        self,
        message: str = "",
        *,
        internal: str = "",
        code: str = "",
        retry_after_seconds: float = 1,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        waiting = {"Retry-After": str(max(1, ceil(retry_after_seconds)))}
        super().__init__(message, internal=internal, code=code, headers={**(headers or {}), **waiting})


class AuthorizationFailed(AppError):
    """An authorization in the browser created no connection; the code says why."""

    status = 400
    code = "authorization_invalid"
    title = "The authorization did not complete"


class Unavailable(AppError):
    status = 503
    code = "unavailable"
    title = "The service is not available right now"

    def __init__(self, message: str = "", *, internal: str = "", retry_after_seconds: int = 5) -> None:
        super().__init__(message, internal=internal, headers={"Retry-After": str(retry_after_seconds)})


class SettingsError(AppError):
    """The environment is unsuitable to start in. The internal message names the variable; clients never see it."""

    code = "misconfigured"
    title = "The service is misconfigured"

    def __init__(self, problem: str) -> None:
        super().__init__(internal=problem)


class Unreadable(AppError):
    """A stored value is not what it should be. Callers that can do without it continue."""

    code = "unreadable"
    title = "A stored value could not be read"


class DecryptionFailed(AppError):
    """A sealed token cannot be decrypted: wrong key, moved to another place, or damaged."""

    code = "decryption_failed"
    title = "A stored secret could not be decrypted"


class RunCrashed(AppError):
    """An unexpected error stopped a run. It is our bug, not the platform's fault."""

    title = "An internal error stopped the run"
    retry = BACKOFF
    is_of_one_account = True


class RunAbandoned(AppError):
    """The workers of a run died repeatedly without reporting an error."""

    code = "gave_up"
    title = "The run was abandoned after its workers failed repeatedly"


class PlatformError(AppError):
    """A platform did not fulfill a request. The subclass says what that means for the run and the connection.

    `resume_at` (aware UTC) is the time from which the platform accepts requests again, if it says so.
    """

    status = 502
    code = "platform_error"
    title = "The request to the platform failed"

    def __init__(
        self, message: str = "", *, internal: str = "", code: str = "", resume_at: datetime | None = None
    ) -> None:
        super().__init__(message, internal=internal, code=code)
        self.resume_at = resume_at


class TransientFault(PlatformError):
    """Retry later: a 5xx, a timeout, a broken connection, a garbled or truncated response."""

    code = "platform_unavailable"
    title = "The platform is not available right now"
    retry = OUTAGE
    is_of_one_account = True


class AnswerTooLarge(TransientFault):
    """The platform cannot produce a response of this size; a smaller one may succeed."""


class RefreshInProgress(PlatformError):
    """Another worker is refreshing the access token right now; retry when it is done."""

    code = "token_being_refreshed"
    title = "The access token is being refreshed by another worker"
    retry = WAIT


class ReportPending(PlatformError):
    """The platform prepares what was asked for; it is asked again at the time that the stream names."""

    code = "report_pending"
    title = "The platform is preparing a report; we continue when it is ready"
    retry = WAIT
    is_of_one_account = True


class ReportOverdue(PlatformError):
    """A report that was not ready after many asks, or after hours. The next run asks for another one."""

    code = "report_overdue"
    title = "The platform did not finish preparing a report; the next sync asks for a new one"
    is_of_one_account = True


class Throttled(PlatformError):
    """The platform must not be called for now: retry at `resume_at`, or after a backoff if no time is known.

    The subclass says who requires the wait.
    """

    status = 503
    retry = WAIT

    @property
    def is_fault(self) -> bool:
        """A platform that asks us to wait is not a failure, neither its own nor ours."""
        return False


LimitScope = Literal["app", "account", "one_account"]


class RateLimited(Throttled):
    """The platform rejected the request: its limit is reached.

    `scope` is whose limit it is: this application's, for all studios; the connected account's; or, of the accounts
    under it, only that of the one that was read.
    """

    code = "platform_rate_limited"
    title = "The platform's rate limit is reached"

    def __init__(
        self,
        message: str = "",
        *,
        internal: str = "",
        code: str = "",
        resume_at: datetime | None = None,
        scope: "LimitScope" = "account",
    ) -> None:
        super().__init__(message, internal=internal, code=code, resume_at=resume_at)
        self.scope = scope
        self.is_of_one_account = scope == "one_account"


class QuotaSpent(Throttled):
    """No request was sent, to stay below the platform's rate limit."""

    code = "quota_spent"
    title = "The platform's quota is nearly used up"


class CircuitOpen(Throttled):
    """No request was sent: the platform has just failed for all callers."""

    code = "platform_down"
    title = "The platform is not responding; we will retry shortly"


class ReconnectRequired(PlatformError):
    """The studio must reconnect: the grant has expired, was revoked, or is no longer accepted.

    A valid grant that lacks a permission is PermissionMissing: it ends one stream and not the connection.
    """

    code = "reconnect_required"
    title = "Reconnect this account to continue"


class TokenExpired(ReconnectRequired):
    code = "token_expired"
    title = "The access token has expired"


class TokenRevoked(ReconnectRequired):
    code = "token_revoked"
    title = "The platform no longer accepts this connection"


class AnotherAccount(ReconnectRequired):
    """The new tokens are not those of the account that the connection stands for."""

    code = "another_account"
    title = "The new tokens belong to another account; reconnect the account of this connection"


class AccountConnectedTwice(ReconnectRequired):
    """Another connection of the studio stands for the account that the tokens belong to."""

    code = "account_connected_twice"
    title = "Another connection of yours already uses this account; disconnect one of the two"


class PermissionMissing(PlatformError):
    """The grant is valid but does not cover this stream."""

    code = "permission_missing"
    title = "The connection lacks a permission"
    is_of_one_account = True


class ServiceNotEnabled(PlatformError):
    """The grant is valid, but the account lacks what the stream reads, such as a mailbox or a calendar."""

    code = "service_not_enabled"
    title = "The connected account has no data source for this stream"
    is_of_one_account = True


class AccountGone(PlatformError):
    """The grant is valid, but the account under it that a stream reads was deleted or is no longer shared with it."""

    code = "account_gone"
    title = "The account was deleted, or is no longer shared with the connected account"


class BlockedByAdministrator(PlatformError):
    """The grant is valid, but the administrator of the account's organization does not allow this."""

    code = "blocked_by_administrator"
    title = "An administrator of the connected account's organization blocks access"
    is_of_one_account = True


class ScopeMissing(PermissionMissing):
    """The grant was not given the scope for this request. Other requests of the same stream may still be allowed."""


class Misconfigured(PlatformError):
    """Our client id, secret or project is rejected: an operator must fix it. The studio's connection stays."""

    code = "platform_misconfigured"
    title = "The platform rejects this application"


class ContractChanged(PlatformError):
    """The platform's response has a shape or status that its contract does not define."""

    code = "platform_contract_changed"
    title = "The platform sent an unexpected response"
    is_of_one_account = True


class CursorExpired(PlatformError):
    """The platform no longer knows the cursor: the stream has to be read from the start."""

    code = "cursor_expired"
    title = "The platform can no longer resume from where the last sync ended"
    is_of_one_account = True
