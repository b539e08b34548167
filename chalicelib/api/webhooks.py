"""/api/webhooks: callbacks for platforms. A signature proves the sender; applications do not call them.

The routes follow from the webhooks that each platform declares. All of them stand under the same two parameters, so
that API Gateway never has to choose between a parameter and a name.
"""

from collections.abc import Iterator
from typing import Any

from chalicelib.api.params import ConfirmationCode
from chalicelib.errors import NotFound
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.webhooks import ErasureReceipt, VendorErrorFormat, WebhookSender
from chalicelib.platforms.registry import NAMES, get_platform
from chalicelib.runtime.declare import PUBLIC, Handler, Route, RouteFamily, Routes, route_of
from chalicelib.runtime.decoding import JSON
from chalicelib.runtime.problems import PROBLEM, ErrorFormat
from chalicelib.services import webhooks
from chalicelib.services.webhooks import DeletionStatus
from chalicelib.settings import get_settings

PATH = "/api/webhooks/{platform}/{sender}"
STATUS_PATH = PATH + "/{code}"

Sender = WebhookSender[Any, Any]


def receiver_of(platform: Platform, sender: Sender) -> Route:
    """The route that a sender calls."""
    path = PATH.format(platform=platform.name, sender=sender.name)

    def receive(body: Any) -> Any:
        codes = webhooks.handle_webhook(platform, sender, body)
        base = f"{get_settings().public_url}{path}"
        receipts = [ErasureReceipt(code, f"{base}/{code}") for code in codes]
        return sender.response.make(receipts) if sender.response else None

    return Route(
        method="POST",
        path=path,
        scope=PUBLIC,
        handler=_named(receive, f"receive_{platform.name}_{sender.name}", sender.summary),
        status=sender.status,
        body=sender.body,
        accepts=sender.accepts,
        returns=sender.response.shape if sender.response else None,
        error_format=_error_format(sender.error) if sender.error else PROBLEM,
    )


def erasure_status_of(platform: Platform, sender: Sender) -> Route:
    """The route at which a receipt of an erasing sender is looked up."""
    path = STATUS_PATH.format(platform=platform.name, sender=sender.name, code="{code}")

    def get_status(code: ConfirmationCode) -> DeletionStatus:
        return webhooks.get_deletion_status(platform.name, code)

    handler = _named(get_status, f"get_{platform.name}_{sender.name}", "Get the status of a data deletion")
    return route_of(handler, method="GET", path=path, scope=PUBLIC)


def _named(handler: Handler, name: str, summary: str) -> Handler:
    """As one that is written out: the OpenAPI document names operations after their functions."""
    handler.__name__, handler.__doc__ = name.replace("-", "_"), summary
    return handler


def _error_format(vendor: VendorErrorFormat) -> ErrorFormat:
    return ErrorFormat(lambda error, request_id: vendor.make(error), vendor.shape, JSON)


def _find_receiver(platform: str, sender: str) -> Route:
    found = get_platform(platform)
    return receiver_of(found, found.get_webhook(sender))


def _find_erasure_status(platform: str, sender: str, code: str) -> Route:
    found = get_platform(platform)
    declared = found.get_webhook(sender)
    if declared.response is None:
        raise NotFound("Data deletion request not found", code="deletion_not_found")
    return erasure_status_of(found, declared)


def _senders() -> Iterator[tuple[Platform, Sender]]:
    platforms = [get_platform(name) for name in NAMES]
    return ((platform, sender) for platform in platforms for sender in platform.webhooks)


routes = Routes()
routes.declared += [
    RouteFamily(
        method="POST",
        path=PATH,
        find=_find_receiver,
        members=lambda: (receiver_of(*declared) for declared in _senders()),
    ),
    RouteFamily(
        method="GET",
        path=STATUS_PATH,
        find=_find_erasure_status,
        members=lambda: (erasure_status_of(*declared) for declared in _senders() if declared[1].response),
    ),
]
