"""The local database's passwords: random, generated on first use, stored in one file."""

import json
import secrets
from pathlib import Path

from dev.private import write_private


class Passwords:
    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, user: str) -> str:
        known: dict[str, str] = json.loads(self._path.read_bytes()) if self._path.exists() else {}
        if user not in known:
            known[user] = secrets.token_hex(16)
            write_private(self._path, json.dumps(known))
        return known[user]
