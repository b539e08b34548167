"""Kinds of messages: for each, its handler, and whether it is still wanted."""

from collections.abc import Callable, Mapping
from uuid import UUID

from chalicelib.data.postgres.database import read
from chalicelib.data.sync.runs import FIND_RUN_STATE
from chalicelib.services.connections.refresh import refresh_idle
from chalicelib.services.pending_grants import revoke_expired_grant
from chalicelib.services.sync.execute import execute_run
from chalicelib.services.webhook_deliveries import deliver
from chalicelib.work_queue import DeliveryMessage, Message, RefreshMessage, RevocationMessage, RunMessage

ACTIVE = ("queued", "running", "deferred")


def _is_active_run(studio_id: UUID, run_id: UUID) -> bool:
    run = read(studio_id, FIND_RUN_STATE, run_id=run_id)
    return run is not None and run.status in ACTIVE


def _is_for_the_worker_to_judge(studio_id: UUID, id: UUID) -> bool:
    """The worker drops messages that are not due."""
    return True


def _revoke(studio_id: UUID, grant_id: UUID, remaining_ms: Callable[[], int]) -> object:
    return revoke_expired_grant(studio_id, grant_id)


Handler = Callable[[UUID, UUID, Callable[[], int]], object]
"""Called with the studio's id, the message's id, and the remaining milliseconds"""
HANDLERS: Mapping[type[Message], Handler] = {
    RunMessage: execute_run,
    RefreshMessage: refresh_idle,
    DeliveryMessage: deliver,
    RevocationMessage: _revoke,
}
IS_WANTED: Mapping[type[Message], Callable[[UUID, UUID], bool]] = {
    RunMessage: _is_active_run,
    RefreshMessage: _is_for_the_worker_to_judge,
    DeliveryMessage: _is_for_the_worker_to_judge,
    RevocationMessage: _is_for_the_worker_to_judge,
}
"""Whether a message that failed too often may be sent again. Separate from the handlers, because an operator's command
has none of their privileges."""


def handle(message: Message, remaining_ms: Callable[[], int]) -> None:
    HANDLERS[type(message)](message.studio_id, message.id, remaining_ms)


def is_wanted(message: Message) -> bool:
    return IS_WANTED[type(message)](message.studio_id, message.id)
