"""The API key that a request is sent with: looked up once, before anything else of the request is read."""

from chalicelib import logs
from chalicelib.errors import AppError
from chalicelib.services.authentication import Caller, authenticate, reauthenticate
from chalicelib.services.request_limits import headers_of


class Authentication:
    """Of one request."""

    def __init__(self, authorization: str | None) -> None:
        self.headers: dict[str, str] = {}
        """What the caller may still send, whatever becomes of the request"""
        self._authorization = authorization
        self._succeeded = False

    def require(self, scope: str) -> Caller:
        """Raises Unauthorized, TooManyRequests, or Forbidden for a key without the scope."""
        caller = authenticate(self._authorization)
        logs.bind(studio_id=caller.studio_id)
        self.headers = headers_of(caller.balances)
        caller.require(scope)
        self._succeeded = True
        return caller

    def judge(self, error: Exception) -> Exception:
        """What the caller is to hear of. An unforeseen failure may be that of a key which was valid when it was last
        looked up, and whose studio has been erased since: then it is Unauthorized."""
        if not self._succeeded or (isinstance(error, AppError) and error.status != AppError.status):
            return error
        try:
            reauthenticate(self._authorization)
        except Exception as reason:  # noqa: BLE001  whatever it is, it is told instead of the first failure
            return reason
        return error
