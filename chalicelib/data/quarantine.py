"""Quarantine: notes about sealed values and data keys that could not be decrypted. The values themselves stay."""

from uuid import UUID

from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import Moment, Row


class QuarantinedValue(Row):
    """Where a value is that could not be decrypted, under which data key, and why."""

    id: UUID
    studio_id: UUID
    table_name: str
    column_name: str
    row_id: UUID
    data_key_id: UUID | None
    """None if the value names none"""
    reason: str
    found_at: Moment


class QuarantinedPage(Row):
    count: int
    """The total number"""
    items: list[QuarantinedValue]


NOTE_QUARANTINED: Query[None] = Query(
    """
    INSERT INTO quarantine (studio_id, table_name, column_name, row_id, data_key_id, reason)
    SELECT s.id, :table_name, :column_name, :row_id, :data_key_id, :reason FROM studio AS s WHERE s.id = :studio_id
    ON CONFLICT (studio_id, table_name, column_name, row_id) DO UPDATE SET
        data_key_id = excluded.data_key_id, reason = excluded.reason
    """
)
"""Once per place; it keeps the time of the first finding. Not for a studio that was erased meanwhile."""

FIND_QUARANTINED: Query[QuarantinedPage] = Query(
    "SELECT cross_tenant.find_quarantined(:after, :batch)", QuarantinedPage
)
