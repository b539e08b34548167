"""Positions: where a stream stands with each account it reads, and which accounts a run still has to visit.

The SQL here is for statements on a run `r` of `sync_log`, its schedule `s`, an account `a` and a position `p`.
"""

from typing import Literal
from uuid import UUID

from chalicelib.data.counted_accounts import PRESENT
from chalicelib.data.postgres.query import columns, many
from chalicelib.data.postgres.rows import Row


class Visit(Row):
    """An account that a run has to read, and where to continue."""

    account_id: UUID
    """The connection's own id for a stream that reads the connection as a whole"""
    external_id: str | None
    own_address: str | None
    time_zone: str | None
    currency: str | None
    rule: Literal["all", "matching"]
    words: list[str]
    cursor: str | None
    full_read: bool
    skipped: dict[str, int]
    attempts_without_progress: int
    wait_seconds: float | None
    """How long it has to wait, if at all"""
    report_asks: int
    report_seconds: float
    """How often, and for how long, it has been asked for a page that the platform prepares"""


READ_STARTED_AT = """
    (SELECT p.read_started_at FROM account_position AS p
     WHERE p.run_id = :run_id AND p.account_id = :account_id AND p.stream = :stream AND p.backfill_id IS NULL)
"""
"""When the run began to read the account: a record not encountered since then no longer exists."""

DUE = f"""
    SELECT run.connection_id AS account_id WHERE run.account_kind IS NULL
    UNION ALL
    SELECT a.id FROM connected_account AS a
    WHERE a.studio_id = run.studio_id AND a.connection_id = run.connection_id
      AND a.kind = run.account_kind AND {PRESENT}
"""


def opened(run: str, *, again: str = "false") -> str:
    """A CTE that opens the positions of a run in the CTE `run`: the run begins to read each account that is due.
    Positions that it has already opened or finished stay as they are, unless all are to be read `again`.

    An account that has to wait is opened by a later run, unless all have to wait; a new account gets its position here.
    """
    return f"""
    opened AS (
        INSERT INTO account_position AS p (
            studio_id, connection_id, stream, account_id, backfill_id, run_id, is_open, full_read, read_started_at
        )
        SELECT run.studio_id, run.connection_id, run.stream, due.account_id,
               CASE WHEN run.trigger = 'backfill' THEN run.id END, run.id, true, run.trigger <> 'backfill', now()
        FROM {run} AS run CROSS JOIN LATERAL ({DUE}) AS due
        ORDER BY due.account_id
        ON CONFLICT (studio_id, connection_id, stream, account_id, backfill_id) DO UPDATE SET
            run_id = excluded.run_id, is_open = true, page_cursor = NULL, read_started_at = now(), resume_at = NULL,
            report_asks = 0, report_asked_at = NULL,
            full_read = p.cursor IS NULL OR (NOT {again} AND (SELECT deletions_confirmed FROM {run})),
            skipped = CASE WHEN p.run_id = excluded.run_id THEN p.skipped ELSE '{{}}' END
        WHERE {again} OR (p.run_id IS DISTINCT FROM excluded.run_id AND (
            coalesce(p.resume_at <= now(), true) OR NOT EXISTS (
                SELECT FROM account_position AS o JOIN {run} AS run
                  ON o.studio_id = run.studio_id AND o.connection_id = run.connection_id AND o.stream = run.stream
                CROSS JOIN LATERAL ({DUE}) AS due
                WHERE o.account_id = due.account_id AND o.backfill_id IS NULL AND coalesce(o.resume_at <= now(), true)
            )
        ))
        RETURNING p.*
    )"""


OF_RUN = """
    p.studio_id = run.studio_id AND p.connection_id = run.connection_id AND p.stream = run.stream
    AND p.run_id = run.id
"""
"""The positions that the run in the CTE or table `run` has opened."""


IS_READ = f"""
    (p.account_id = p.connection_id OR EXISTS (
        SELECT FROM connected_account AS a WHERE a.studio_id = p.studio_id AND a.id = p.account_id AND {PRESENT}
    ))
"""


def visits(run: str) -> str:
    """SQL for the visits that a run in the CTE `run` still has to make, after `opened` in the same statement.

    The account whose last turn is longest ago comes first.
    """
    own_address = """(
        SELECT own.external_id FROM connected_account AS own
        WHERE own.studio_id = a.studio_id AND own.connection_id = a.connection_id AND own.kind = a.kind
          AND own.is_primary AND own.gone_at IS NULL
        LIMIT 1
    )"""
    shown = columns(
        Visit,
        "p",
        external_id="a.external_id",
        own_address=own_address,
        time_zone="a.time_zone",
        currency="a.currency",
        rule="coalesce(a.rule, 'matching')",
        words="coalesce(a.words, '[]')",
        cursor="coalesce(p.page_cursor, CASE WHEN NOT p.full_read AND p.backfill_id IS NULL THEN p.cursor END)",
        report_seconds="coalesce(extract(epoch FROM now() - p.report_asked_at), 0)",
        wait_seconds="CASE WHEN p.resume_at > now() THEN extract(epoch FROM p.resume_at - now()) END",
    )
    select = f"""
        SELECT {shown}
        FROM (
            SELECT * FROM opened
            UNION ALL
            SELECT p.* FROM account_position AS p JOIN {run} AS run ON {OF_RUN} WHERE p.is_open
        ) AS p
        LEFT JOIN connected_account AS a ON a.studio_id = p.studio_id AND a.id = p.account_id
        WHERE p.account_id = p.connection_id OR ({PRESENT})
        ORDER BY p.turn_at NULLS FIRST, p.id
    """
    return f"({many(select)})"


def closed(accounts: str) -> str:
    """SQL that detaches the positions of the accounts in a CTE from their runs, so that no run waits for them."""
    return f"""
        UPDATE account_position AS p SET
            is_open = false, resume_at = NULL, page_cursor = CASE WHEN p.backfill_id IS NOT NULL THEN p.page_cursor END,
            run_id = CASE WHEN p.backfill_id IS NOT NULL THEN p.run_id END
        FROM {accounts} AS a
        WHERE p.studio_id = a.studio_id AND p.connection_id = a.connection_id AND p.account_id = a.id
    """
