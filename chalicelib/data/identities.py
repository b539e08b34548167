"""Identities of connections: finding the connection that a grant is for, and storing its account."""

from typing import Literal
from uuid import UUID

from chalicelib.data.connections import DATA_KEYS_OF_STUDIO, LIVE, STORED, WORKING, StoredConnection
from chalicelib.data.data_keys import StoredDataKey
from chalicelib.data.postgres.query import Query, array_of, one
from chalicelib.data.postgres.rows import Row


class Draft(Row):
    """For sealing tokens of a platform: the row's id (existing or new), its state, and the data keys."""

    id: UUID
    status: str | None
    token_generation: int
    account_id: str | None
    """Of the existing row"""
    has_known: bool
    """Whether the studio has, or had, connections to the platform with known accounts"""
    data_keys: list[StoredDataKey]

    @property
    def is_live(self) -> bool:
        return self.status not in (None, "disabled")


class Identified(Row):
    """Whether the account that the platform named is this connection's: only then is it stored."""

    account: Literal["own", "another", "taken"]
    """`another`: the connection stands for a different account; `taken`: another connection stands for this one"""
    name: str | None
    """Of the connection's account"""


FIND_UNKNOWN_CONNECTION: Query[StoredConnection | None] = Query(
    one(
        f"""
        SELECT {STORED} FROM platform_connection AS c
        WHERE c.platform = :platform AND {WORKING} AND c.external_account_id IS NULL
        """
    ),
    StoredConnection | None,
)
"""The platform's working connection whose account is unknown, if there is one."""
FIND_CONNECTION_OF_GRANT: Query[StoredConnection | None] = Query(
    one(
        f"""
        SELECT {STORED} FROM platform_connection AS c
        WHERE c.platform = :platform AND {LIVE} AND CASE
            WHEN :connection::uuid IS NOT NULL THEN c.id = :connection
            ELSE c.external_account_id = :account_id::text OR c.external_account_id IS NULL
        END
        ORDER BY c.external_account_id IS NULL LIMIT 1
        """
    ),
    StoredConnection | None,
)
"""The live connection that a grant of the account is for: the one that the studio named, or else the account's
own, or the one whose account is unknown."""
DRAFT_CONNECTION: Query[Draft] = Query(
    one(
        f"""
        SELECT coalesce(c.id, uuidv7()) AS id, c.status, coalesce(c.token_generation, 0) AS "tokenGeneration",
               c.external_account_id AS "accountId",
               EXISTS (
                   SELECT FROM platform_connection AS o
                   WHERE o.platform = :platform AND o.external_account_id IS NOT NULL
               ) AS "hasKnown",
               {DATA_KEYS_OF_STUDIO} AS "dataKeys"
        FROM (SELECT) AS nothing LEFT JOIN LATERAL (
            SELECT * FROM platform_connection AS c
            WHERE c.platform = :platform AND CASE
                WHEN :connection::uuid IS NOT NULL THEN c.id = :connection
                ELSE c.external_account_id = :account_id::text OR c.external_account_id IS NULL
            END
            ORDER BY c.external_account_id IS NULL, c.disconnected_at DESC LIMIT 1
        ) AS c ON true
        """
    ),
    Draft,
)
"""As FIND_CONNECTION_OF_GRANT, including disconnected rows, so that the same account gets its rows back.

If the account has no row of its own, a row whose account is unknown or was erased is used: it may be the account's."""

IDENTIFY_CONNECTION: Query[Identified | None] = Query(
    f"""
    WITH before AS (
        SELECT c.id, c.external_account_name, CASE
            WHEN c.external_account_id <> :account_id::text THEN 'another'
            WHEN EXISTS (
                SELECT FROM platform_connection AS o
                WHERE o.platform = c.platform AND o.external_account_id = :account_id AND o.id <> c.id
            ) THEN 'taken'
            ELSE 'own'
        END AS account
        FROM platform_connection AS c
        WHERE c.id = :id AND c.token_generation = :token_generation AND c.disconnected_at IS NULL
    ), identified AS (
        UPDATE platform_connection AS c SET
            external_account_id = coalesce(:account_id, c.external_account_id),
            external_account_name = CASE
                WHEN :account_id IS NULL AND c.external_account_id IS NOT NULL THEN c.external_account_name
                ELSE :account_name::text
            END,
            scopes = coalesce({array_of("scopes")}, c.scopes), account_unverified = false, updated_at = now()
        FROM before
        WHERE c.id = before.id AND before.account = 'own'
          AND c.token_generation = :token_generation AND c.disconnected_at IS NULL
        RETURNING c.id
    )
    SELECT json_build_object('account', before.account, 'name', before.external_account_name) FROM before
    WHERE before.account <> 'own' OR EXISTS (SELECT FROM identified)
    """,
    Identified | None,
)
"""Stores the account of the tokens of this generation; `account_id` is None if the platform does not report it.

Returns nothing if the tokens have been replaced: the new ones may belong to another account."""
