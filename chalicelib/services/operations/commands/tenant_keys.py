"""Commands about the keys for tenant proofs."""

from typing import Annotated

from msgspec import Meta

from chalicelib.data.postgres.rows import Row
from chalicelib.services.operations.commands.base import Command, RemainingMs


class TenantKeysStatus(Command, tag="tenant-keys status"):
    """Show fingerprints of the keys that prove a studio to the database, and of those that it accepts."""

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.tenant_keys import get_tenant_keys_status

        return get_tenant_keys_status()


class ApplyTenantKeys(Command, tag="tenant-keys apply"):
    """Make the database accept exactly the keys in TENANT_PROOF_KEYS."""

    force: Annotated[bool, Meta(description="Also remove a key that containers may still use: they fail")] = False

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.tenant_keys import apply_tenant_keys

        return apply_tenant_keys(force=self.force)
