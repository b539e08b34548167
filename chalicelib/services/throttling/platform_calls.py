"""Platform calls outside runs: connection tests, look-ups, consents, revocations, refreshes of idle grants.

Like runs, they do not call a platform that is down or whose quota is used up. Calls that a request waits for are
charged to its studio, and leave the rest of the application's quota to syncs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from chalicelib import telemetry
from chalicelib.data.postgres.database import write
from chalicelib.data.throttle import CHECK_CALL, CallState
from chalicelib.errors import PlatformError, QuotaSpent, TooManyRequests
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Platform
from chalicelib.services.throttling.retries import delay_after
from chalicelib.services.throttling.throttle import Throttle, later
from chalicelib.settings import get_settings

API = ""
"""The API that identifies accounts; also the only one of a platform that counts all its APIs together."""


class PlatformCall:
    """Calls to a platform that belong together."""

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle
        self._client: Client | None = None

    def uses(self, client: Client) -> Client:
        """Sets the client whose responses report the quotas."""
        self._client = client
        return client

    def succeeded(self) -> None:
        self._throttle.answered()
        self._spend()

    def failed(self, error: PlatformError) -> None:
        """A permanent error is a response too. The quotas that it reports are recorded before a limit that it means."""
        self._spend()
        if error.retry.is_retried:
            self._throttle.failed(error, delay_after(error, attempts=0, attempts_without_progress=0))
        elif self._client is not None and self._client.api_calls:
            self._throttle.answered()

    def _spend(self) -> None:
        if self._client is not None:
            self._throttle.spend(self._client)


@contextmanager
def requested_call(
    studio_id: UUID, platform: Platform, connection_id: UUID | None = None, *, prepaid: bool = False
) -> Iterator[PlatformCall]:
    """For a request that waits for the platform; without a connection it is about to create one. A call `prepaid` by
    `charge_call` is not charged again.

    Raises TooManyRequests if the studio has used up its calls, CircuitOpen or QuotaSpent if no request may call the
    platform.
    """
    state = _check(studio_id, platform, connection_id, charged=not prepaid)
    throttle = Throttle(studio_id, connection_id, platform.name, state)
    throttle.check()
    if state.reserve_seconds is not None:
        message = f"The rest of {platform.title}'s quota is reserved for syncs"
        raise QuotaSpent(message, resume_at=later(state.reserve_seconds))
    if not prepaid:
        _require_share(platform, state)
    with _noted(PlatformCall(throttle)) as call:
        yield call


@contextmanager
def background_call(studio_id: UUID, platform: Platform, connection_id: UUID | None = None) -> Iterator[PlatformCall]:
    """For calls that no request waits for. Raises CircuitOpen or QuotaSpent."""
    state = _check(studio_id, platform, connection_id, charged=False)
    throttle = Throttle(studio_id, connection_id, platform.name, state)
    throttle.check()
    with _noted(PlatformCall(throttle)) as call:
        yield call


def charge_call(studio_id: UUID, platform: Platform) -> None:
    """Charges a call that a request will cause later, whichever browser triggers it. Raises TooManyRequests."""
    _require_share(platform, _check(studio_id, platform, None, charged=True))


def _check(studio_id: UUID, platform: Platform, connection_id: UUID | None, *, charged: bool) -> CallState:
    return write(
        studio_id,
        CHECK_CALL,
        studio_id=studio_id,
        connection_id=connection_id,
        platform=platform.name,
        api=API,
        charged=charged,
        per_minute=get_settings().limits.studio_platform_calls_per_minute,
    )


def _require_share(platform: Platform, state: CallState) -> None:
    if state.share_seconds is not None:
        message = f"This studio has used its share of {platform.title}'s quota"
        raise _refused(message, state.share_seconds)
    if state.bucket_seconds is not None:
        allowed = get_settings().limits.studio_platform_calls_per_minute
        raise _refused(f"A studio may make {allowed} requests per minute that call a platform", state.bucket_seconds)


def _refused(message: str, seconds: float) -> TooManyRequests:
    telemetry.count("RequestsRefused", limit="platform_calls")
    return TooManyRequests(message, code="platform_calls_exceeded", retry_after_seconds=seconds)


@contextmanager
def _noted(call: PlatformCall) -> Iterator[PlatformCall]:
    try:
        yield call
    except PlatformError as error:
        call.failed(error)
        raise
    call.succeeded()
