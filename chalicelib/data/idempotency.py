"""Writes that a client may repeat: the first one is done, its repeats are answered."""

from chalicelib.data.query import Query, one, returned
from chalicelib.data.rows import Row


class KeptAnswer(Row):
    """What is known of a key: its request and, once that is done, the answer."""

    request_hash: bytes
    status: int | None
    location: str | None
    body: str | None


class Reserved(Row):
    key: str


RESERVE_KEY: Query[Reserved | None] = Query(
    returned(
        """
        INSERT INTO idempotency_key AS k (studio_id, key, request_hash)
        VALUES (:studio_id, :key, :request_hash)
        ON CONFLICT (studio_id, key) DO UPDATE SET
            request_hash = excluded.request_hash, started_at = now(), status = NULL, location = NULL, body = NULL
        WHERE k.started_at < now() - interval '1 day'
           OR (k.status IS NULL AND k.started_at < now() - interval '1 minute')
        RETURNING k.key
        """
    ),
    Reserved | None,
)
"""Takes a key that is new, forgotten after a day, or left behind by a request that never ended."""

FIND_KEPT_ANSWER: Query[KeptAnswer | None] = Query(
    one(
        """
        SELECT translate(encode(k.request_hash, 'base64'), E'\\n', '') AS "requestHash", k.status, k.location, k.body
        FROM idempotency_key AS k WHERE k.key = :key
        """
    ),
    KeptAnswer | None,
)
KEEP_ANSWER: Query[None] = Query(
    "UPDATE idempotency_key SET status = :status, location = :location, body = :body WHERE key = :key"
)
RELEASE_KEY: Query[None] = Query("DELETE FROM idempotency_key WHERE key = :key AND status IS NULL")
