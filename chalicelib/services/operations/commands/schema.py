"""Commands about the schema."""

from typing import Annotated

from msgspec import Meta

from chalicelib.data.postgres.rows import Row
from chalicelib.errors import FieldProblem, InvalidInput
from chalicelib.services.operations.commands.base import Command, RemainingMs

LockSeconds = Annotated[int, Meta(description="Maximum wait for a lock, in seconds", ge=1, le=60)]
StatementSeconds = Annotated[int, Meta(description="Maximum duration of a statement, in seconds", ge=1, le=3600)]


class MigrateStatus(Command, tag="migrate status"):
    """Show the database's current migration, the one this release needs, and those that are pending."""

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.migrations import get_schema_status

        return get_schema_status()


class MigrateUp(Command, tag="migrate up"):
    """Apply migrations: up to what this release needs before it is deployed, all with `to: head` afterwards."""

    to: Annotated[str | None, Meta(description="A revision, or head")] = None
    lock_timeout: LockSeconds = 5
    statement_timeout: StatementSeconds = 600

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.migrations import Timeouts, migrate_up

        return migrate_up(self.to, Timeouts(self.lock_timeout, self.statement_timeout), remaining_ms)


class MigrateDown(Command, tag="migrate down"):
    """Revert the newest migration; what it created is lost."""

    confirm: Annotated[bool, Meta(description="Must be true")]
    lock_timeout: LockSeconds = 5
    statement_timeout: StatementSeconds = 600

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.migrations import Timeouts, migrate_down

        if not self.confirm:
            raise InvalidInput(fields=[FieldProblem("confirm", "must be true: what the migration created is lost")])
        return migrate_down(Timeouts(self.lock_timeout, self.statement_timeout), remaining_ms)
