"""Commands about messages that failed too often."""

from chalicelib.data.postgres.rows import Row
from chalicelib.services.operations.commands.base import Command, DryRun, Limit, RemainingMs


class ShowDeadLetters(Command, tag="dead-letters show"):
    """Show the messages that failed too often, and leave them in the queue."""

    limit: Limit = 10

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.dead_letters import show_dead_letters

        return show_dead_letters(self.limit)


class RequeueDeadLetters(Command, tag="dead-letters requeue"):
    """Send dead letters to the sync queue again, and drop those whose runs have ended."""

    limit: Limit = 100
    dry_run: DryRun = False

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.dead_letters import requeue_dead_letters

        return requeue_dead_letters(limit=self.limit, dry_run=self.dry_run, remaining_ms=remaining_ms)
