"""Quarantine: notes of sealed values and data keys that did not open. What they tell of stays as it is."""

from uuid import UUID

from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import Moment, Row


class QuarantinedValue(Row):
    """Where something lies that did not open, under which data key, and why."""

    id: UUID
    studio_id: UUID
    table_name: str
    column_name: str
    row_id: UUID
    data_key_id: UUID | None
    """None where the value names none"""
    reason: str
    found_at: Moment


class QuarantinedPage(Row):
    count: int
    """Of all there are"""
    items: list[QuarantinedValue]


NOTE_QUARANTINED: Query[None] = Query(
    """
    INSERT INTO quarantine (studio_id, table_name, column_name, row_id, data_key_id, reason)
    SELECT s.id, :table_name, :column_name, :row_id, :data_key_id, :reason FROM studio AS s WHERE s.id = :studio_id
    ON CONFLICT (studio_id, table_name, column_name, row_id) DO UPDATE SET
        data_key_id = excluded.data_key_id, reason = excluded.reason
    """
)
"""Once a place; it keeps the time of the first find. Not for a studio that was erased meanwhile."""

FIND_QUARANTINED: Query[QuarantinedPage] = Query(
    "SELECT cross_tenant.find_quarantined(:after, :batch)", QuarantinedPage
)
