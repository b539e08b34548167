"""Commands about studios."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from chalicelib.data.postgres.rows import Row
from chalicelib.services.operations.commands.base import (
    Command,
    DryRun,
    Limit,
    Listing,
    Name,
    RemainingMs,
    ShownKey,
    StudioId,
)


class CreateStudio(Command, tag="studio create"):
    """Create a studio and an API key with full access to it. The key is shown only once."""

    name: Name
    time_zone: Annotated[str, Meta(description="An IANA time zone such as Europe/Berlin")] = "UTC"

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.studios import create_studio_with_key

        studio_id, key = create_studio_with_key(self.name, time_zone=self.time_zone)
        return ShownKey(studio_id=studio_id, key_id=key.id, api_key=key.token)


class ListStudios(Command, tag="studio list"):
    """List the studios, oldest first."""

    after: Annotated[UUID | None, Meta(description="The last id of the previous page")] = None
    limit: Limit = 100

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.studios import list_studios

        return Listing(items=list_studios(self.after, self.limit))


class ShowStudio(Command, tag="studio show"):
    """Show a studio's health: connections, streams, runs, data keys, and row counts."""

    studio_id: StudioId

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.studio_health import get_studio_health

        return get_studio_health(self.studio_id)


class EraseStudio(Command, tag="studio erase"):
    """Erase a studio and all its data for good: keys first, then rows. Repeat the command to resume."""

    studio_id: StudioId
    confirm: Annotated[str, Meta(description="The studio's name or id; not needed for a dry run")] = ""
    dry_run: DryRun = False

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.erasures import erase_studio
        from chalicelib.services.studios import check_studio_named

        if not self.dry_run:
            check_studio_named(self.studio_id, self.confirm)
        return erase_studio(self.studio_id, dry_run=self.dry_run, remaining_ms=remaining_ms)


class ListErasures(Command, tag="erasures list"):
    """List the studios that were erased; after restoring a backup, erase them again."""

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.erasures import list_erasures

        return list_erasures()
