"""Studios that sync from the source, and their runs, ready for a worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from benchmarks import null_queue, source
from benchmarks.handlers import quiet
from benchmarks.server import Server, configure
from benchmarks.source import Source
from chalicelib import clock
from chalicelib.secret import Secret
from chalicelib.services.connections.connections import create_connection
from chalicelib.services.connections.tokens import Tokens
from chalicelib.services.sync.runs import start_sync
from dev.sandbox import issue_token

LIFETIME = 6 * 3600
PLATFORM = "google"


@contextmanager
def at_work() -> Iterator[Source]:
    """The product has a source and a queue, and its log lines are discarded."""
    with quiet(), null_queue.in_use(), source.running() as running:
        configure(**running.environ)
        yield running


def connect(server: Server, account: str) -> UUID:
    """A new studio with this account of the source."""
    grant = issue_token(account, lifetime=LIFETIME)
    tokens = Tokens(
        Secret(grant.access_token),
        Secret(grant.refresh_token),
        clock.now() + timedelta(seconds=grant.expires_in),
        list(grant.scopes),
    )
    studio_id = server.new_studio()
    create_connection(studio_id, PLATFORM, tokens)
    return studio_id


def queue_run(studio_id: UUID, stream: str) -> UUID:
    """A manual sync whose message is not delivered."""
    runs = start_sync(studio_id, PLATFORM, stream)
    return next(run.id for run in runs if run.sync_type == stream)
