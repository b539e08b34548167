"""Kinds of messages: of each, what a worker does about it, whether it is still wanted, and who enqueues what is due."""

from collections.abc import Callable, Mapping
from typing import NamedTuple
from uuid import UUID

from chalicelib.data.database import read
from chalicelib.data.runs import FIND_RUN_STATE
from chalicelib.services.pending_grants import enqueue_expired_grants, revoke_expired_grant
from chalicelib.services.refresh import enqueue_due_refreshes, refresh_idle
from chalicelib.services.runs import execute_run
from chalicelib.services.schedules import start_due_runs
from chalicelib.services.webhook_endpoints import deliver, enqueue_due_deliveries
from chalicelib.work_queue import DeliveryMessage, Message, RefreshMessage, RevocationMessage, RunMessage

ACTIVE = ("queued", "running", "deferred")


class Kind(NamedTuple):
    """Each is called with the studio's id and the message's."""

    handle: Callable[[UUID, UUID, Callable[[], int]], object]
    """With the milliseconds that are left, besides"""
    is_wanted: Callable[[UUID, UUID], bool]
    """Whether a message that failed too often may be sent again"""
    enqueue_due: Callable[[], int]
    """For the tick: enqueues what is due, also what got lost. Returns how many."""


def _is_active_run(studio_id: UUID, run_id: UUID) -> bool:
    run = read(studio_id, FIND_RUN_STATE, run_id=run_id)
    return run is not None and run.status in ACTIVE


def _is_for_the_worker_to_judge(studio_id: UUID, id: UUID) -> bool:
    """It drops what is not due."""
    return True


def _revoke(studio_id: UUID, grant_id: UUID, remaining_ms: Callable[[], int]) -> object:
    return revoke_expired_grant(studio_id, grant_id)


KINDS: Mapping[type[Message], Kind] = {
    RunMessage: Kind(execute_run, _is_active_run, start_due_runs),
    RefreshMessage: Kind(refresh_idle, _is_for_the_worker_to_judge, enqueue_due_refreshes),
    DeliveryMessage: Kind(deliver, _is_for_the_worker_to_judge, enqueue_due_deliveries),
    RevocationMessage: Kind(_revoke, _is_for_the_worker_to_judge, enqueue_expired_grants),
}


def handle(message: Message, remaining_ms: Callable[[], int]) -> None:
    KINDS[type(message)].handle(message.studio_id, message.id, remaining_ms)


def is_wanted(message: Message) -> bool:
    return KINDS[type(message)].is_wanted(message.studio_id, message.id)


def enqueue_due() -> None:
    """Of every kind, in the order of the table."""
    for kind in KINDS.values():
        kind.enqueue_due()
