"""The audit trail: who changed what, recorded by the statement that makes the change."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal
from uuid import UUID

import msgspec

from chalicelib import logs

ActorKind = Literal["api_key", "admin", "platform", "worker"]
"""platform: a platform's callback about its user"""
Action = Literal[
    "connection.connect",
    "connection.reconnect",
    "connection.disconnect",
    "account.change",
    "schedule.put",
    "schedule.delete",
    "schedule.pause",
    "schedule.resume",
    "sync.start",
    "sync.cancel",
    "deletions.confirm",
    "backfill.start",
    "webhook_endpoint.create",
    "webhook_endpoint.delete",
    "webhook_endpoint.test",
    "api_key.create",
    "api_key.end",
    "api_key.revoke",
    "studio.erase",
]


class Actor(msgspec.Struct, frozen=True, rename="camel"):
    kind: ActorKind
    id: UUID | None = None
    """For an API key"""
    request_id: str | None = None


_WORKER = msgspec.json.encode(Actor("worker")).decode()
_actor: ContextVar[str] = ContextVar("actor", default=_WORKER)


@contextmanager
def acting_as(kind: ActorKind, id: UUID | None = None) -> Iterator[None]:
    """Changes by transactions inside are recorded under this actor, with the request id bound in the log."""
    actor = Actor(kind, id, logs.bound_field("request_id"))
    token = _actor.set(msgspec.json.encode(actor).decode())
    try:
        yield
    finally:
        _actor.reset(token)


def actor_setting() -> str:
    """The value of `app.actor`, which each transaction sets together with its studio."""
    return _actor.get()


def audited(
    change: str,
    *,
    action: Action,
    subject: str,
    id: str = "x.id",
    detail: str = "'{}'::jsonb",
    when: str = "true",
    name: str = "audit",
) -> str:
    """The CTE `name`, which records the action for each row `x` of the CTE `change`. `id`, `detail` and `when` are SQL.

    The detail contains neither secrets nor what a person wrote. Without an actor the statement fails.
    """
    return f"""
    {name} AS (
        INSERT INTO audit_entry (studio_id, actor_kind, actor_id, request_id, action, subject_kind, subject_id, detail)
        SELECT x.studio_id, actor.kind, actor.id, actor."requestId", '{action}', '{subject}', {id}, {detail}
        FROM {change} AS x
        CROSS JOIN json_to_record(nullif(current_setting('app.actor', true), '')::json)
            AS actor (kind text, id uuid, "requestId" text)
        WHERE {when}
    )
    """


def returned_and_audited(change: str, columns: str, shown: str, *, action: Action, subject: str, detail: str) -> str:
    """Like `returned`, for a change without its RETURNING: the audit entry uses `columns`, the statement returns
    `shown`."""
    return f"""
    WITH changed AS (
        {change}
        RETURNING {columns}, (SELECT row_to_json(shown) FROM (SELECT {shown}) AS shown) AS shown
    ), {audited("changed", action=action, subject=subject, detail=detail)}
    SELECT x.shown FROM changed AS x
    """
