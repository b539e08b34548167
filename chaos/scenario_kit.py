"""Building blocks of scenarios: size, running workers, conclusion and result."""

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
    """The result of a scenario."""

    tries: str
    difference: Difference


@dataclass(frozen=True)
class Size:
    """The size of a scenario: the number of disturbances, of events per calendar and of threads per mailbox.

    In refresh scenarios `events` is the number of workers in a race, or of a platform's connections in an outage.
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
    """Workers and a queue that delivers as configured; afterwards the environment is emptied."""
    environment.queue.reset(Delivery(chance=chance, copies=copies, loss=loss, shuffle=shuffle))
    try:
        for _ in range(workers):
            environment.pool.start_worker(timeout_seconds=timeout_seconds)
        yield
    finally:
        environment.clean()


def connect(environment: Environment, size: Size, count: int = 1, *, first: int = 0) -> None:
    """Connects `count` calendars and as many mailboxes, each of a different account, numbered from `first`."""
    for number in range(first, first + count):
        environment.connect(f"bulk-{size.events + number}", ("bookings",))
        environment.connect(f"bulk-{size.threads + number}", ("inquiries",))


def concluded(
    environment: Environment, disturb: Callable[[], object] = lambda: None, *, seconds: float = 300.0
) -> Difference:
    """The difference once all runs are done, or a note that they never were."""
    try:
        environment.finish(disturb, seconds=seconds)
    except Unfinished as error:
        found = environment.difference()
        found.note(str(error))
        return found
    return environment.difference()


def changed(environment: Environment, chance: random.Random, *, events: int = 20, mails: int = 10) -> None:
    """Adds, changes and deletes events and mails in every account."""
    google = environment.sandbox.google
    for name in sorted({studio.account for studio in environment.studios}):
        account = google.account(name)
        picked = chance.sample(range(len(account.events)), min(events, len(account.events)))
        ids = [account.events[index]["id"] for index in picked]
        gone = len(ids) // 10  # if many more were missing from a complete read, the sweep would wait for confirmation
        for event_id in ids[:gone]:
            google.delete_event(event_id, name)
        for event_id in ids[gone:]:
            google.update_event(event_id, {"summary": f"Portrait, take {chance.randrange(1000)}"}, name)
        for number in range(mails):
            google.add_event({"summary": f"Wedding that came later {number}"}, name)
            # Of a person who has not written before: a second thread of the same one would be the same inquiry.
            person = f"Kim Lund <kim{chance.getrandbits(48)}@example.com>"
            google.add_message(sender=person, subject=f"Are you free in June? {number}", account=name)


def expect(found: Difference, what: str, happened: bool) -> None:
    """A scenario in which nothing happened has proved nothing."""
    if not happened:
        found.note(f"nothing proved: {what}")
