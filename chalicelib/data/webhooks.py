"""What platforms report about accounts: an account's connections in all studios, and the changes they cause."""

from datetime import datetime
from uuid import UUID

from chalicelib.data.connections import STORED, WORKING, StoredConnection
from chalicelib.data.postgres.query import Query, columns, one, returned
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.data.studios import NewId


class AccountConnection(Row):
    """A connection, identified by the account it belongs to at its platform."""

    connection_id: UUID
    studio_id: UUID
    live: bool
    """Whether it is connected; a disconnected one may still name the account."""
    working: bool
    since: datetime
    """When it entered its current state: for a working connection, its grant is at least as old as that"""


class DataDeletion(Row):
    platform: str
    requested_at: Moment
    done_at: Moment | None
    connections: int


FIND_ACCOUNT_CONNECTIONS: Query[list[AccountConnection]] = Query(
    "SELECT cross_tenant.find_account_connections(:platform, :account_id)", list[AccountConnection]
)
FIND_WORKING_CONNECTION: Query[StoredConnection | None] = Query(
    one(
        f"SELECT {STORED} FROM platform_connection AS c"
        f" WHERE c.id = :id AND c.external_account_id = :account_id AND {WORKING}"
    ),
    StoredConnection | None,
)
FORGET_ACCOUNT: Query[NewId | None] = Query(
    returned(
        """
        UPDATE platform_connection AS c SET
            external_account_id = NULL, external_account_name = NULL, updated_at = now()
        WHERE c.id = :id AND c.external_account_id = :account_id
        RETURNING c.id
        """
    ),
    NewId | None,
)
NOTE_ACCOUNT_EVENT: Query[NewId | None] = Query(
    returned(
        """
        INSERT INTO connection_event AS e (studio_id, connection_id, kind, code, message, at)
        SELECT c.studio_id, c.id, 'warning', :code::text, :message::text, :at::timestamptz FROM platform_connection AS c
        WHERE c.id = :id AND NOT EXISTS (
            SELECT FROM connection_event AS known
            WHERE known.studio_id = c.studio_id AND known.connection_id = c.id
              AND known.kind = 'warning' AND known.code = :code::text AND known.at = :at::timestamptz
        )
        RETURNING e.id
        """
    ),
    NewId | None,
)
"""Records an event that changes nothing, once, however often it is reported."""

INSERT_DATA_DELETION: Query[NewId] = Query(
    returned(
        "INSERT INTO data_deletion AS d (platform, code_hash) VALUES (:platform, :code_hash) RETURNING d.id",
    ),
    NewId,
)
FINISH_DATA_DELETION: Query[None] = Query(
    "UPDATE data_deletion SET done_at = now(), connections = :connections WHERE id = :id"
)
FIND_DATA_DELETION: Query[DataDeletion | None] = Query(
    one(f"SELECT {columns(DataDeletion)} FROM data_deletion WHERE code_hash = :code_hash AND platform = :platform"),
    DataDeletion | None,
)
