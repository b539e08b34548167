"""Dispatch: due rows are claimed batch by batch, across studios, and one message is enqueued per row."""

from collections.abc import Callable
from typing import TypeVar

from chalicelib import work_queue
from chalicelib.data.postgres.database import write
from chalicelib.data.postgres.query import Query
from chalicelib.work_queue import Message

T = TypeVar("T")

BATCH = 1000


def enqueue_due(claim: Query[list[T]], message: Callable[[T], Message]) -> int:
    """Enqueues a message for each row that `claim`, a cross-tenant function with a batch size, returns; counts them."""
    enqueued = 0
    while True:
        due = write(None, claim, batch=BATCH)
        work_queue.enqueue(map(message, due))
        enqueued += len(due)
        if len(due) < BATCH:
            return enqueued
