"""Writes that carry an `Idempotency-Key`: done once, their repeats answered with the first answer for a day."""

from collections.abc import Callable
from hashlib import sha256
from uuid import UUID

import msgspec

from chalicelib.data import idempotency as rows
from chalicelib.data.database import read, write
from chalicelib.data.idempotency import StoredResponse
from chalicelib.errors import Conflict, InvalidInput, TooManyRequests

MAX_KEY_LENGTH = 255
MAX_KEPT = 10_000
"""Keys of a studio that are kept at a time, for a day each."""


class Answer(msgspec.Struct, frozen=True):
    """What a write answered."""

    status: int
    body: str
    location: str | None = None
    replayed: bool = False


def idempotent(studio_id: UUID, key: str, request: bytes, work: Callable[[], Answer]) -> Answer:
    """Does `work` unless this key has been used: then its answer is given again.

    An answer that is an error is not kept, so that a corrected request may use the key. Raises InvalidInput for a
    malformed key or one used for another request, Conflict while the first request is under way, TooManyRequests when
    the studio has used too many keys within a day.
    """
    if not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
        raise InvalidInput(f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable ASCII characters")
    fingerprint = sha256(request).digest()
    about = {"studio_id": studio_id, "key": key, "request_hash": fingerprint}
    reservation = write(studio_id, rows.RESERVE_KEY, **about, most=MAX_KEPT)
    if reservation.room_seconds is not None:
        raise TooManyRequests(
            f"The studio has used {MAX_KEPT:,} Idempotency-Keys within a day",
            code="too_many_idempotency_keys",
            retry_after_seconds=reservation.room_seconds,
        )
    if not reservation.reserved:
        return _repeat(read(studio_id, rows.FIND_STORED_RESPONSE, key=key), fingerprint)
    try:
        answer = work()
    except BaseException:
        write(studio_id, rows.RELEASE_KEY, key=key)
        raise
    write(studio_id, rows.STORE_RESPONSE, key=key, status=answer.status, location=answer.location, body=answer.body)
    return answer


def _repeat(kept: StoredResponse | None, fingerprint: bytes) -> Answer:
    if kept is not None and kept.request_hash != fingerprint:
        raise InvalidInput("This Idempotency-Key was used for another request", code="idempotency_key_reused")
    if kept is None or kept.status is None or kept.body is None:
        raise Conflict("A request with this Idempotency-Key is still in progress", code="request_in_progress")
    return Answer(status=kept.status, body=kept.body, location=kept.location, replayed=True)
