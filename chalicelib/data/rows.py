"""Rows as they leave the database: decoded from its JSON straight into what the API answers with."""

import msgspec


class Row(msgspec.Struct, kw_only=True, rename="camel"):
    """A row or a part of one; the wire names are camelCase."""
