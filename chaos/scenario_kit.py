"""What scenarios are made of: their size, workers at work, the conclusion, and what it came to."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chaos.environment import Environment, Unfinished
from chaos.oracle import Difference
from chaos.queue import Delivery

WORKERS = 4


@dataclass(frozen=True)
class Proof:
    """What a scenario's tries came to."""

    tries: str
    difference: Difference


@dataclass(frozen=True)
class Size:
    """How hard to try: so many disturbances, over calendars of so many events and mailboxes of so many threads.

    Where refreshes are disturbed, `events` counts the workers of a race, or a platform's connections in an outage.
    """

    times: int
    events: int = 0
    threads: int = 0


Scenario = Callable[[Environment, random.Random, Size], Proof]


@contextmanager
def at_work(
    environment: Environment,
    chance: random.Random,
    *,
    workers: int = WORKERS,
    timeout_seconds: float = 60.0,
    copies: int = 1,
    loss: float = 0.0,
    shuffle: bool = False,
) -> Iterator[None]:
    """Workers and a queue that delivers as told; afterwards an empty environment."""
    environment.queue.reset(Delivery(chance=chance, copies=copies, loss=loss, shuffle=shuffle))
    try:
        for _ in range(workers):
            environment.pool.start_worker(timeout_seconds=timeout_seconds)
        yield
    finally:
        environment.clean()


def connect(environment: Environment, size: Size, count: int = 1, *, first: int = 0) -> None:
    """So many calendars of the size and as many mailboxes, each of another account, counted from `first`."""
    for number in range(first, first + count):
        environment.connect(f"bulk-{size.events + number}", ("bookings",))
        environment.connect(f"bulk-{size.threads + number}", ("inquiries",))


def concluded(
    environment: Environment, disturb: Callable[[], object] = lambda: None, *, seconds: float = 300.0
) -> Difference:
    """The difference when all is done, or that it never was."""
    try:
        environment.finish(disturb, seconds=seconds)
    except Unfinished as error:
        found = environment.difference()
        found.note(str(error))
        return found
    return environment.difference()


def changed(environment: Environment, chance: random.Random, *, events: int = 20, mails: int = 10) -> None:
    """Events and mails come, change and go in every account."""
    google = environment.sandbox.google
    for name in sorted({studio.account for studio in environment.studios}):
        account = google.account(name)
        picked = chance.sample(range(len(account.events)), min(events, len(account.events)))
        ids = [account.events[index]["id"] for index in picked]
        gone = len(ids) // 10  # a complete read that misses many more is not believed
        for event_id in ids[:gone]:
            google.delete_event(event_id, name)
        for event_id in ids[gone:]:
            google.update_event(event_id, {"summary": f"Portrait, take {chance.randrange(1000)}"}, name)
        for number in range(mails):
            google.add_event({"summary": f"Wedding that came later {number}"}, name)
            google.add_message(subject=f"Are you free in June? {number}", account=name)


def expect(found: Difference, what: str, happened: bool) -> None:
    """A scenario in which nothing happened has proved nothing."""
    if not happened:
        found.note(f"nothing proved: {what}")
