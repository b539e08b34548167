"""Bells: what is due is claimed batch by batch, in every studio, and a message is sent for each."""

from collections.abc import Callable
from typing import TypeVar

from chalicelib import doorbell
from chalicelib.data.database import write
from chalicelib.data.query import Query
from chalicelib.doorbell import Message

T = TypeVar("T")

BATCH = 1000


def ring_due(claim: Query[list[T]], message: Callable[[T], Message]) -> int:
    """Rings for all that the claim, a door with a batch size, hands out. Returns how many that were."""
    rung = 0
    while True:
        due = write(None, claim, batch=BATCH)
        doorbell.ring(map(message, due))
        rung += len(due)
        if len(due) < BATCH:
            return rung
