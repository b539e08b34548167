"""Planted secrets, the ways they are used, every form they could leak in, and the places searched for them."""

import base64
import json
import logging
import re
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import UUID

import pg8000.native
import pytest

from chalicelib import work_queue
from chalicelib.data.connections import FIND_STORED_CONNECTION, StoredConnection
from chalicelib.data.postgres.database import read
from chalicelib.data.postgres.tenants import studio_settings
from chalicelib.logs import JsonFormatter
from chalicelib.security.key_providers import provider_from_settings
from chalicelib.services.connections.tokens import Tokens, open_tokens
from chalicelib.services.messages import HANDLERS
from chalicelib.settings import get_settings
from dev.sandbox import CREDENTIALS, Sandbox, issue_token
from tests.conftest import ENCRYPTION_KEY, PROOF_KEY, Answer, Api, Queue, Studios

# These match none of the patterns that the logs would mask.
ACCESS = "QXcanary7f1accessWq83Zt0pLm4Rv9Kd2Ys6"
REFRESH = "QXcanary9b2refreshHn51Gc8oJe7Tu3Xb0Fi"
MISPLACED = "QXcanary4d6misplacedVs29Ak5wMq1Ny8Er4C"
DATABASE_PASSWORD = "QXcanary6c8passwordBt47Uz2hOx9Dl5Wp1Gj"
FRAGMENT = 16
"""This many characters from either end of a secret count as a leak."""


def forms(secret: str | bytes) -> set[bytes]:
    """The search terms: the secret and its ends, plain and in every usual encoding."""
    whole = secret.encode() if isinstance(secret, str) else secret
    encoded: set[bytes] = set()
    for part in {whole, whole[:FRAGMENT], whole[-FRAGMENT:]}:
        text = part.decode("latin-1")
        encoded |= {part, part.hex().encode(), part.hex().upper().encode(), text.encode("unicode_escape")}
        encoded |= {quote(part, safe="").encode(), quote_plus(part).encode(), *_base64(part)}
    return encoded


def _base64(part: bytes) -> Iterator[bytes]:
    """The middle of its Base64 at each of the three offsets it can have in a longer text."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + part).rstrip(b"=")
        inner = encoded[4 if shift else 0 : -1]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


@dataclass
class Evidence:
    """Everything that left the process or was stored, by place."""

    places: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, place: str, text: str | bytes) -> None:
        self.places.setdefault(place, []).append(text.encode("utf-8", "replace") if isinstance(text, str) else text)

    def leaks(self, secrets: dict[str, str | bytes]) -> set[tuple[str, str]]:
        """(place, name of the secret) for each secret that is found in any form."""
        haystacks = {place: b"\n".join(texts) for place, texts in self.places.items()}
        return {
            (place, name)
            for name, secret in secrets.items()
            for form in forms(secret)
            for place, haystack in haystacks.items()
            if form in haystack
        }


class EvidenceHandler(logging.Handler):
    """Records each log line as printed, and also its source: fields and exceptions, unmasked."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__()
        self._evidence = evidence
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self._evidence.add("log", self.format(record))
        self._evidence.add("event", f"{record.getMessage()} {getattr(record, 'fields', {})!r}")
        error = record.exc_info[1] if record.exc_info else None
        while error is not None:
            self._evidence.add("exception", f"{error!r} {error} {vars(error)!r}")
            self._evidence.add("exception", "".join(traceback.format_exception(error)))
            error = error.__cause__ or error.__context__


def dump(superuser: pg8000.native.Connection) -> Iterator[bytes]:
    """Every row of every table as text, and its binary values unchanged."""
    tables = superuser.run("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in tables:
        for (row,) in superuser.run(f"SELECT t::text FROM {table} AS t"):
            yield f"{table} {row}".encode()
            yield from _binary_values(row)


def _binary_values(row: str) -> Iterable[bytes]:
    return (bytes.fromhex(match[1]) for match in re.finditer(r"\\\\x((?:[0-9a-f]{2})+)", row))


class Drive:
    """Uses the product in every possible way and collects its output."""

    def __init__(
        self, api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection, evidence: Evidence
    ) -> None:
        self.api, self.queue, self.platforms, self.superuser = api, queue, platforms, superuser
        self.evidence = evidence
        self.statuses: set[int] = set()
        self.outcomes: set[str] = set()
        self.secrets: dict[str, str | bytes] = {
            "access token": ACCESS,
            "refresh token": REFRESH,
            "misplaced token": MISPLACED,
            "API key": api.key.rsplit("_", 1)[1],
            **{name: value for name, value in CREDENTIALS.items() if not name.endswith("_ID")},
            "encryption key": ENCRYPTION_KEY,
            "key of tenant proofs": PROOF_KEY,
            "proof of the studio": studio_settings(self.api.studio_id)[1],
            "encryption key as bytes": bytes.fromhex(ENCRYPTION_KEY),
            "database password": DATABASE_PASSWORD,
        }

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        answer = self.api.send(method, path, body, headers)
        self.evidence.add("response", f"{answer.headers}\n{answer.text}")
        self.statuses.add(answer.status)
        return answer

    def grant(self, **options: Any) -> dict[str, Any]:
        """Tokens that the sandbox accepts; they become canaries."""
        grant = issue_token("studio", **options)
        self.secrets[f"Google access token {len(self.secrets)}"] = grant.access_token
        self.secrets[f"Google refresh token {len(self.secrets)}"] = grant.refresh_token
        return {"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresIn": 3600}

    def remember_stored_tokens(self) -> None:
        """Tokens from a refresh and the unwrapped data key are canaries too."""
        self.secrets[f"stored token {len(self.secrets)}"] = self.stored_tokens().access.reveal()
        provider = provider_from_settings(get_settings())
        self.secrets["data key"] = provider.unwrap(self._stored().data_keys[0].wrapped, self.api.studio_id)

    def echo(self, status: int, **fault: Any) -> None:
        """The platform's next response is an error that quotes the token it received."""
        access = self.stored_tokens().access.reveal()
        refusal = {"code": status, "message": f"no good: {access}", "status": access, "errors": [{"reason": access}]}
        self.platforms.add_fault(kind="status", status=status, body={"error": refusal}, **fault)

    def echo_of_oauth(self, status: int, path: str, *also_sent: str) -> None:
        """The same for an OAuth endpoint, which receives the refresh token."""
        refresh = self.stored_tokens().refresh
        assert refresh is not None
        parts = ("no good:", refresh.reveal(), *also_sent)
        body = {"error": "server_error", "error_description": " ".join(parts)}
        self.platforms.add_fault(kind="status", status=status, body=body, path=path)

    def stored_tokens(self) -> Tokens:
        return open_tokens(self._stored())

    def _stored(self) -> StoredConnection:
        stored = read(self.api.studio_id, FIND_STORED_CONNECTION, platform="google", connection=None)
        assert stored is not None
        return stored

    def work(self) -> None:
        for message in self.queue.receive():
            self.evidence.add("queue", repr(message))
            try:
                handle = HANDLERS[type(work_queue.decode(json.dumps(message)))]
                outcome = str(handle(UUID(message["studioId"]), UUID(message["id"]), lambda: 60_000))
            except Exception as error:  # noqa: BLE001  a run that crashes raises what it likes
                outcome = "crashed"
                self.evidence.add("exception", f"{error!r}")
            self.outcomes.add(outcome)

    def end_waiting(self) -> None:
        """Cancels deferred runs, so that new ones can be started."""
        self.superuser.run("UPDATE sync_log SET status = 'cancelled' WHERE status IN ('queued', 'running', 'deferred')")

    def end_pauses(self) -> None:
        """The platform may be called again at once, whatever it said."""
        self.superuser.run("DELETE FROM platform_circuit; DELETE FROM app_quota; DELETE FROM account_quota")

    def sync(self) -> None:
        self.call("POST", "/api/sync/google", {})
        self.work()
        self.end_waiting()


@pytest.fixture
def drive(studios: Studios, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection) -> Iterator[Drive]:
    evidence = Evidence()
    handler = EvidenceHandler(evidence)
    logging.getLogger().addHandler(handler)
    yield Drive(studios.new(), queue, platforms, superuser, evidence)
    logging.getLogger().removeHandler(handler)
