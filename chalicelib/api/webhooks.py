"""/api/webhooks: what platforms tell of their users. Public: a signature proves who speaks."""

import msgspec

from chalicelib.api.params import ConfirmationCode
from chalicelib.errors import AppError
from chalicelib.runtime.declare import PUBLIC, Routes
from chalicelib.runtime.decoding import FORM, JSON, decode_ascii
from chalicelib.runtime.problems import ErrorFormat
from chalicelib.services import webhooks
from chalicelib.services.webhooks import DeletionStatus
from chalicelib.settings import get_settings

routes = Routes()

SECURITY_EVENT = "application/secevent+jwt"
EVENT_ERRORS = ("invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed")


class SignedRequest(msgspec.Struct):
    """Whatever else the form holds is passed over."""

    signed_request: str


class DeletionReceipt(msgspec.Struct):
    """Where the user may see what became of the request: the shape that Meta asks for."""

    url: str
    confirmation_code: str


class EventRefused(msgspec.Struct):
    """Why a security event token was not taken (RFC 8935, 2.3)."""

    err: str
    description: str


def _event_refused(error: AppError, request_id: str) -> EventRefused:
    return EventRefused(err=error.code if error.code in EVENT_ERRORS else EVENT_ERRORS[0], description=error.message)


@routes.post(
    "/api/webhooks/google",
    scope=PUBLIC,
    status=202,
    accepts=SECURITY_EVENT,
    error_format=ErrorFormat(_event_refused, EventRefused, JSON),
)
def handle_google_event(body: bytes) -> None:
    """Receive a security event token of Google's Cross-Account Protection"""
    webhooks.handle_google_event(decode_ascii(body).strip())


@routes.post("/api/webhooks/meta/deauthorize", scope=PUBLIC, status=204, accepts=FORM)
def deauthorize_meta(body: SignedRequest) -> None:
    """Meta's deauthorize callback: a user has removed the application"""
    webhooks.deauthorize_meta(body.signed_request)


@routes.post("/api/webhooks/meta/data-deletion", scope=PUBLIC, accepts=FORM)
def delete_meta_data(body: SignedRequest) -> DeletionReceipt:
    """Meta's data deletion callback: erases tokens and account, and says where to follow that up"""
    code = webhooks.delete_meta_data(body.signed_request)
    return DeletionReceipt(
        url=f"{get_settings().public_url}/api/webhooks/meta/data-deletion/{code}", confirmation_code=code
    )


@routes.get("/api/webhooks/meta/data-deletion/{code}", scope=PUBLIC)
def get_meta_data_deletion(code: ConfirmationCode) -> DeletionStatus:
    """What became of a data deletion"""
    return webhooks.get_deletion_status("meta", code)
