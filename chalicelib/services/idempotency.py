"""Writes with an `Idempotency-Key`: executed once; for a day, repeats get the first response."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from uuid import UUID

import msgspec

from chalicelib.data import idempotency as rows
from chalicelib.data.idempotency import StoredResponse
from chalicelib.data.postgres.database import read, write
from chalicelib.errors import Conflict, InvalidInput, TooManyRequests

MAX_KEY_LENGTH = 255
MAX_STORED = 10_000
"""Keys stored per studio, for a day each."""


class EncodedResponse(msgspec.Struct, frozen=True):
    """A response as it is sent. Of its headers only the Location is stored."""

    status: int
    body: str
    headers: Mapping[str, str] = {}


def idempotent(studio_id: UUID, key: str, request: bytes, work: Callable[[], EncodedResponse]) -> EncodedResponse:
    """Does `work` unless this key has been used: then its response is repeated, marked `Idempotency-Replayed`.

    Error responses are not stored, so that a corrected request may reuse the key. Raises InvalidInput for a malformed
    key or one used for another request, Conflict while the first request is in progress, TooManyRequests if the studio
    has used too many keys within a day.
    """
    if not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
        raise InvalidInput(f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable ASCII characters")
    fingerprint = sha256(request).digest()
    about = {"studio_id": studio_id, "key": key, "request_hash": fingerprint}
    reservation = write(studio_id, rows.RESERVE_KEY, **about, most=MAX_STORED)
    if reservation.room_seconds is not None:
        raise TooManyRequests(
            f"The studio has used {MAX_STORED:,} Idempotency-Keys within a day",
            code="too_many_idempotency_keys",
            retry_after_seconds=reservation.room_seconds,
        )
    if not reservation.reserved:
        return _repeat(read(studio_id, rows.FIND_STORED_RESPONSE, key=key), fingerprint)
    try:
        response = work()
    except BaseException:
        write(studio_id, rows.RELEASE_KEY, key=key)
        raise
    location = response.headers.get("Location")
    write(studio_id, rows.STORE_RESPONSE, key=key, status=response.status, location=location, body=response.body)
    return response


def _repeat(stored: StoredResponse | None, fingerprint: bytes) -> EncodedResponse:
    if stored is not None and stored.request_hash != fingerprint:
        raise InvalidInput("This Idempotency-Key was used for another request", code="idempotency_key_reused")
    if stored is None or stored.status is None or stored.body is None:
        raise Conflict("A request with this Idempotency-Key is still in progress", code="request_in_progress")
    location = {} if stored.location is None else {"Location": stored.location}
    return EncodedResponse(stored.status, stored.body, {**location, "Idempotency-Replayed": "true"})
