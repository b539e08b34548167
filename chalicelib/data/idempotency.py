"""Writes that a client may repeat: the first request is executed, repeats get its stored response."""

from chalicelib.data.postgres.query import Query, one
from chalicelib.data.postgres.rows import Row


class StoredResponse(Row):
    """What is known about a key: its request and, once that is done, the response."""

    request_hash: bytes
    status: int | None
    location: str | None
    body: str | None


class Reservation(Row):
    reserved: bool
    room_seconds: float | None
    """If the studio has reached its maximum of keys: the time until the oldest one expires"""


RESERVE_KEY: Query[Reservation] = Query(
    """
    WITH kept AS (
        SELECT
            min(recent.started_at) AS oldest,
            count(*) >= :most AND NOT EXISTS (SELECT FROM idempotency_key AS k WHERE k.key = :key) AS is_full
        FROM (
            SELECT k.started_at FROM idempotency_key AS k WHERE k.started_at > now() - interval '1 day' LIMIT :most
        ) AS recent
    ), reserved AS (
        INSERT INTO idempotency_key AS k (studio_id, key, request_hash)
        SELECT :studio_id, :key, :request_hash FROM kept WHERE NOT kept.is_full
        ON CONFLICT (studio_id, key) DO UPDATE SET
            request_hash = excluded.request_hash, started_at = now(), status = NULL, location = NULL, body = NULL
        WHERE k.started_at < now() - interval '1 day'
           OR (k.status IS NULL AND k.started_at < now() - interval '1 minute')
        RETURNING 1
    )
    SELECT json_build_object(
        'reserved', EXISTS (SELECT FROM reserved),
        'roomSeconds', CASE WHEN kept.is_full THEN extract(epoch FROM kept.oldest + interval '1 day' - now()) END
    )
    FROM kept
    """,
    Reservation,
)
"""Takes a key that is new, expired after a day, or abandoned by a request that never ended; a new one only if the
studio has fewer than the maximum from the last day.
"""

FIND_STORED_RESPONSE: Query[StoredResponse | None] = Query(
    one(
        """
        SELECT translate(encode(k.request_hash, 'base64'), E'\\n', '') AS "requestHash", k.status, k.location, k.body
        FROM idempotency_key AS k WHERE k.key = :key
        """
    ),
    StoredResponse | None,
)
STORE_RESPONSE: Query[None] = Query(
    "UPDATE idempotency_key SET status = :status, location = :location, body = :body WHERE key = :key"
)
RELEASE_KEY: Query[None] = Query("DELETE FROM idempotency_key WHERE key = :key AND status IS NULL")
