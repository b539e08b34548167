"""Events: what happened to a connection, and the deliveries that report it to a studio's webhooks."""

from typing import Literal, get_args
from uuid import UUID

from chalicelib.data.connections import CHOSEN_OR_ENDED
from chalicelib.data.postgres.query import Query, columns, many, one
from chalicelib.data.postgres.rows import Moment, Row

EventKind = Literal[
    "connected",
    "reconnected",
    "failed",
    "recovered",
    "misconfigured",
    "warning",
    "disconnected",
    "rule_changed",
    "account_selected",
    "account_deselected",
]
"""`connected`, `reconnected`, `disconnected`: someone did so. `failed`: it stopped working. `recovered`: it works
again. `misconfigured`: the platform rejects this application. `warning`: it works, but may need attention.
`rule_changed`, `account_selected`, `account_deselected`: the studio changed what is read or counted of an account."""


class Event(Row):
    """Something that happened to a connection."""

    id: UUID
    """The event's id; sorts by time. A webhook for it carries it as `webhook-id`."""
    kind: EventKind
    """What happened."""
    code: str | None
    """A stable code for the cause or the detail; null when the kind says everything."""
    message: str | None
    """What happened, in a sentence for a person; null when the kind says everything."""
    at: Moment
    """When it happened."""


class Change(Row):
    """The connection that a statement changed, and the deliveries it created."""

    id: UUID
    deliveries: list[UUID]


class Found(Row):
    id: UUID


def noted(change: str, *, kind: str, code: str, message: str, deliver_when: str = "false") -> str:
    """CTEs that record an event for each connection `x` of the CTE `change`, unless its kind is NULL.

    If `deliver_when` is true, every enabled webhook of the studio gets a delivery. All arguments except the first are
    SQL.
    """
    return f"""
    event AS (
        INSERT INTO connection_event AS e (studio_id, connection_id, kind, code, message)
        SELECT x.studio_id, x.id, {kind}, {code}, {message} FROM {change} AS x WHERE {kind} IS NOT NULL
        RETURNING e.studio_id, e.id, e.connection_id
    ), delivery AS (
        INSERT INTO webhook_delivery AS d (studio_id, endpoint_id, event_id)
        SELECT event.studio_id, w.id, event.id
        FROM event
        JOIN {change} AS x ON x.id = event.connection_id
        JOIN webhook_endpoint AS w ON w.studio_id = event.studio_id
        WHERE w.disabled_at IS NULL AND {deliver_when}
        RETURNING d.id
    )
    """


def changed(change: str) -> str:
    """The result of a statement with the CTEs of `noted`."""
    return f"""
    SELECT json_build_object('id', x.id, 'deliveries', (SELECT coalesce(json_agg(d.id), '[]') FROM delivery AS d))
    FROM {change} AS x
    """


KNOWN = f"e.kind IN {get_args(EventKind)}"
"""The kinds known to this release: a later release that was rolled back may have recorded others."""

FIND_CONNECTION_ID: Query[Found | None] = Query(
    one(f"SELECT c.id FROM platform_connection AS c WHERE c.id = {CHOSEN_OR_ENDED}"), Found | None
)
"""Includes disconnected connections: their history stays."""

LIST_EVENTS: Query[list[Event]] = Query(
    many(
        f"""
        SELECT {columns(Event, "e")} FROM connection_event AS e
        WHERE e.connection_id = :connection_id AND {KNOWN} AND (:before::uuid IS NULL OR e.id < :before)
        ORDER BY e.id DESC LIMIT :limit
        """
    ),
    list[Event],
)
"""Newest first: ids are UUIDv7."""

NOTE_EVENT: Query[None] = Query(
    """
    INSERT INTO connection_event (studio_id, connection_id, kind, code, message)
    SELECT c.studio_id, c.id, :kind, :code, :message FROM platform_connection AS c WHERE c.id = :id
    """
)
