"""Lists of runs, newest first. Each touches as many pages in a long log as in a short one, whatever its filters."""

from uuid import UUID

from chalicelib.data.postgres.query import Query, many
from chalicelib.data.sync.runs import ACTIVE, LIVE, SHOWN, Run

ENDED_STATUSES = ("succeeded", "failed", "cancelled")
ENDED = f"r.status IN {ENDED_STATUSES}"
AFTER_ALL = UUID(int=2**128 - 1)
"""What `before` is on a first page. Ids are UUIDv7, so their order is the order in which runs were queued. With a value
in any case, one plan for all values finds the start of the page in an index."""
STREAMS = """
    WITH RECURSIVE each AS (
        (SELECT r.connection_id, r.stream FROM sync_log AS r ORDER BY r.connection_id, r.stream LIMIT 1)
        UNION ALL
        SELECT next.* FROM each CROSS JOIN LATERAL (
            SELECT r.connection_id, r.stream FROM sync_log AS r
            WHERE (r.connection_id, r.stream) > (each.connection_id, each.stream)
            ORDER BY r.connection_id, r.stream LIMIT 1
        ) AS next
    ), s AS MATERIALIZED (
        SELECT each.* FROM each JOIN platform_connection AS c ON c.id = each.connection_id
        WHERE (:platform::text IS NULL OR c.platform = :platform)
          AND (:connection::uuid IS NULL OR each.connection_id = :connection)
          AND (:stream::text IS NULL OR each.stream = :stream)
    )
"""
"""The streams `s` that match the filters and have runs, also those that are no longer scheduled: one step through an
index for each stream of the studio, however many runs it has."""
OF_STREAM = "newest.connection_id = s.connection_id AND newest.stream = s.stream"


def _newest(runs: str, same: str) -> str:
    """A page of the newest of `runs`, which are as many of each stream `s` as a page has.

    They are those before a place in an index, and so may be another stream's: `same` leaves these out. If `runs`
    compared columns with `=`, the planner could choose the index of the ids, and walk through all runs of all studios.
    """
    return many(
        f"""
        {STREAMS}
        SELECT {SHOWN} FROM sync_log AS r WHERE r.id = ANY(ARRAY(
            SELECT newest.id FROM s CROSS JOIN LATERAL ({runs} LIMIT :limit) AS newest
            WHERE {same} ORDER BY newest.id DESC LIMIT :limit
        ))
        ORDER BY r.id DESC
        """
    )


LIST_RUNS: Query[list[Run]] = Query(
    many(f"SELECT {SHOWN} FROM sync_log AS r WHERE r.id < :before ORDER BY r.id DESC NULLS LAST LIMIT :limit"),
    list[Run],
)
"""An index has its order, which is not the primary key's: that would lead through the runs of all studios."""
LIST_RUNS_OF_STREAMS: Query[list[Run]] = Query(
    _newest(
        """
        SELECT r.connection_id, r.stream, r.id FROM sync_log AS r
        WHERE (r.connection_id, r.stream, r.id) < (s.connection_id, s.stream, :before)
        ORDER BY r.connection_id DESC, r.stream DESC, r.id DESC
        """,
        same=OF_STREAM,
    ),
    list[Run],
)
LIST_ENDED_RUNS: Query[list[Run]] = Query(
    _newest(
        f"""
        SELECT r.connection_id, r.stream, r.status, r.id FROM sync_log AS r
        WHERE {ENDED} AND (r.connection_id, r.stream, r.status, r.id) < (s.connection_id, s.stream, :status, :before)
        ORDER BY r.connection_id DESC, r.stream DESC, r.status DESC, r.id DESC
        """,
        same=f"{OF_STREAM} AND newest.status = :status",
    ),
    list[Run],
)
LIST_ACTIVE_RUNS: Query[list[Run]] = Query(
    many(
        f"""
        SELECT {SHOWN} FROM (
            SELECT * FROM sync_log AS r WHERE {ACTIVE} AND {LIVE}
            UNION ALL
            SELECT * FROM sync_log AS r WHERE {ACTIVE} AND r.trigger = 'backfill'
        ) AS r
        WHERE r.status = :status AND (:platform::text IS NULL OR r.platform = :platform)
          AND (:connection::uuid IS NULL OR r.connection_id = :connection)
          AND (:stream::text IS NULL OR r.stream = :stream) AND r.id < :before
        ORDER BY r.id DESC LIMIT :limit
        """
    ),
    list[Run],
)
"""A stream has at most two active runs, each in an index of its own."""
