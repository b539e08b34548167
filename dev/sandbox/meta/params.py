"""A Graph request's parameters, parsed strictly: unsupported ones are rejected, not ignored as by Graph."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from dev.sandbox.meta.errors import invalid_cursor, invalid_parameter
from dev.sandbox.tokens import seal, unseal
from dev.sandbox.wire import Json, Pairs

# On every call. The last two are sent by the vendor's own clients.
EVERYWHERE = frozenset({"access_token", "fields", "limit", "after", "before", "appsecret_proof", "summary"})
DEFAULT_LIMIT, LARGEST_LIMIT = 25, 500


class Params:
    """Cursors carry the `epoch`: those of an earlier one are rejected."""

    def __init__(self, query: Pairs, served: Sequence[str], epoch: int) -> None:
        self._values = dict(query)
        self._epoch = epoch
        for name in self._values.keys() - EVERYWHERE - set(served):
            raise invalid_parameter(f"Unknown parameter, or not one the sandbox serves: {name}")

    def fields(self, known: Sequence[str], default: Sequence[str], always: Sequence[str]) -> list[str]:
        """The names in `fields`, and those that are always included."""
        text = self._values.get("fields")
        asked = text.split(",") if text else list(default)
        for name in asked:
            if name not in known:
                raise invalid_parameter(f"Tried accessing nonexisting field ({name})")
        return list(dict.fromkeys([*always, *asked]))

    def limit(self) -> int:
        text = self._values.get("limit", str(DEFAULT_LIMIT))
        if not (text.isascii() and text.isdigit() and int(text)):
            raise invalid_parameter("param limit must be a positive integer")
        return min(int(text), LARGEST_LIMIT)

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        value = self._values.get(name)
        if value is not None and value not in choices:
            raise invalid_parameter(f"{name} must be one of the following values: {', '.join(choices)}")
        return value

    def json(self, name: str, kind: type) -> Any:
        """A JSON parameter, such as a list or map; None if absent."""
        text = self._values.get(name)
        if text is None:
            return None
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, kind):
            raise invalid_parameter(f"param {name} must be a JSON {kind.__name__}")
        return value

    def days(self, name: str) -> tuple[date, date] | None:
        given = self.json(name, dict)
        if given is None:
            return None
        try:
            since, until = date.fromisoformat(given["since"]), date.fromisoformat(given["until"])
        except (KeyError, TypeError, ValueError):
            raise invalid_parameter(f"param {name} must have since and until as YYYY-MM-DD") from None
        if since > until:
            raise invalid_parameter("The start date must not be after the end date")
        return since, until

    def start(self) -> int:
        """The position of the cursor `after`, which is only valid for the parameters it was issued for."""
        cursor = self._values.get("after")
        if cursor is None:
            return 0
        claims = unseal("after", cursor)
        if claims is None or claims["of"] != self._fingerprint() or claims["epoch"] != self._epoch:
            raise invalid_cursor()
        position: int = claims["position"]
        return position

    def cursor(self, position: int) -> str:
        return seal("after", {"position": position, "of": self._fingerprint(), "epoch": self._epoch})

    def with_cursor(self, cursor: str) -> Mapping[str, str]:
        """The parameters of the page at the cursor."""
        return {**self._values, "after": cursor}

    def _fingerprint(self) -> Json:
        return {name: value for name, value in sorted(self._values.items()) if name not in EVERYWHERE}
