"""Commands about the keys that studios are proved with."""

from typing import Annotated

from msgspec import Meta

from chalicelib.data.rows import Row
from chalicelib.services.commands.base import Command, RemainingMs


class TenantKeysStatus(Command, tag="tenant-keys status"):
    """Tell which keys prove a studio to the database, and which of them it accepts: by their fingerprints."""

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.tenant_keys import get_tenant_keys_status

        return get_tenant_keys_status()


class ApplyTenantKeys(Command, tag="tenant-keys apply"):
    """Have the database accept the keys of TENANT_PROOF_KEYS, and those only."""

    force: Annotated[bool, Meta(description="Also take away a key that containers may still use: they fail")] = False

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.tenant_keys import apply_tenant_keys

        return apply_tenant_keys(force=self.force)
