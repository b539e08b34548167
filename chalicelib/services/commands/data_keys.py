"""Commands about the keys that seal studios' secrets."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from chalicelib.data.rows import BEFORE_ALL_IDS, Moment, Row
from chalicelib.services.commands.base import Command, DryRun, RemainingMs


class KeysStatus(Command, tag="keys status"):
    """Tell under which KMS keys the data keys are wrapped, how old they are, and what did not open."""

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.rotations import get_key_status

        return get_key_status()


class RewrapKeys(Command, tag="keys rewrap"):
    """Wrap every data key under the present KMS keys, and those only. The same command goes on."""

    dry_run: DryRun = False

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.rotations import rewrap_data_keys

        return rewrap_data_keys(dry_run=self.dry_run, remaining_ms=remaining_ms)


class RotateKeys(Command, tag="keys rotate"):
    """Give studios with an old data key a new one and seal with it what is there. The same command goes on."""

    made_before: Annotated[Moment, Meta(description="Keys made before then are old")]
    dry_run: DryRun = False

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.rotations import rotate_data_keys

        return rotate_data_keys(self.made_before, dry_run=self.dry_run, remaining_ms=remaining_ms)


class ListQuarantined(Command, tag="quarantine list"):
    """List the sealed values and data keys that did not open."""

    after: Annotated[UUID, Meta(description="The last id of the page before")] = BEFORE_ALL_IDS

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.rotations import list_quarantined

        return list_quarantined(after=self.after)
