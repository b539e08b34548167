"""Commands about the keys that seal studios' secrets."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from chalicelib.data.postgres.rows import BEFORE_ALL_IDS, Moment, Row
from chalicelib.services.operations.commands.base import Command, DryRun, RemainingMs


class KeysStatus(Command, tag="keys status"):
    """Show which KMS keys wrap the data keys, how old these are, and what could not be opened."""

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.key_rotation import get_key_status

        return get_key_status()


class RewrapKeys(Command, tag="keys rewrap"):
    """Wrap every data key under exactly the current KMS keys. Repeat the command to resume."""

    dry_run: DryRun = False

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.key_rotation import rewrap_data_keys

        return rewrap_data_keys(dry_run=self.dry_run, remaining_ms=remaining_ms)


class RotateKeys(Command, tag="keys rotate"):
    """Give studios with an old data key a new one and re-seal their values. Repeat the command to resume."""

    made_before: Annotated[Moment, Meta(description="Keys created before this time are old")]
    dry_run: DryRun = False

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.key_rotation import rotate_data_keys

        return rotate_data_keys(self.made_before, dry_run=self.dry_run, remaining_ms=remaining_ms)


class ListQuarantined(Command, tag="quarantine list"):
    """List the sealed values and data keys that could not be opened."""

    after: Annotated[UUID, Meta(description="The last id of the previous page")] = BEFORE_ALL_IDS

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.key_rotation import list_quarantined

        return list_quarantined(after=self.after)
