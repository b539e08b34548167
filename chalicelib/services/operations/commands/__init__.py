"""The administrator's commands: name, fields and implementation of each. All listings are derived from this.

Each command imports what it needs when it runs: most need little, migrations need much.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.data.postgres.rows import Row
from chalicelib.services.operations.commands.api_keys import CreateApiKey, ListApiKeys, RevokeApiKey, RotateApiKey
from chalicelib.services.operations.commands.base import Command, Listing, RemainingMs
from chalicelib.services.operations.commands.data_keys import KeysStatus, ListQuarantined, RewrapKeys, RotateKeys
from chalicelib.services.operations.commands.dead_letters import RequeueDeadLetters, ShowDeadLetters
from chalicelib.services.operations.commands.schema import MigrateDown, MigrateStatus, MigrateUp
from chalicelib.services.operations.commands.studios import (
    CreateStudio,
    EraseStudio,
    ListErasures,
    ListStudios,
    ShowStudio,
)
from chalicelib.services.operations.commands.tenant_keys import ApplyTenantKeys, TenantKeysStatus
from chalicelib.services.operations.commands.throttles import ClearThrottles, ListThrottles


class Help(Command, tag="help"):
    """List the commands and their fields."""

    def run(self, remaining_ms: RemainingMs) -> Row:
        return Listing(items=[describe(kind) for kind in COMMANDS.values()])


KINDS: tuple[type[Command], ...] = (
    *(Help, MigrateStatus, MigrateUp, MigrateDown),
    *(CreateStudio, ListStudios, ShowStudio, EraseStudio, ListErasures),
    *(CreateApiKey, ListApiKeys, RotateApiKey, RevokeApiKey),
    *(KeysStatus, RewrapKeys, RotateKeys, ListQuarantined, TenantKeysStatus, ApplyTenantKeys),
    *(ShowDeadLetters, RequeueDeadLetters),
    *(ListThrottles, ClearThrottles),
)
COMMANDS: Mapping[str, type[Command]] = {str(kind.__struct_config__.tag): kind for kind in KINDS}


def describe(kind: type[Command]) -> dict[str, Any]:
    """A command as `help` shows it, with its fields as JSON Schema."""
    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]
    fields = {name: field for name, field in schema["properties"].items() if name != "command"}
    required = [name for name in schema["required"] if name != "command"]
    return {"command": kind.__struct_config__.tag, "does": kind.__doc__, "fields": fields, "required": required}
