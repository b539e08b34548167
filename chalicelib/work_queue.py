"""The work queue between the tick and the worker. Messages hold ids only; the database is the truth."""

import logging
from collections.abc import Iterable
from functools import cache, partial
from itertools import islice
from threading import Lock
from typing import Any
from uuid import UUID

import msgspec

from chalicelib import logs, telemetry
from chalicelib.settings import get_settings

SQS_BATCH = 10
SENDERS = 8
"""Batches sent concurrently"""

_making_client = Lock()  # a boto3 session is not thread-safe, its clients are


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind"):
    """Asks a worker to continue with one item of a studio."""

    id: UUID
    studio_id: UUID


class RunMessage(_Message, frozen=True, tag="run"):
    """To continue a run."""


class RefreshMessage(_Message, frozen=True, tag="refresh"):
    """To refresh the grant of a connection, even if it is idle."""


class DeliveryMessage(_Message, frozen=True, tag="delivery"):
    """To attempt the delivery of an event to a webhook endpoint."""


class RevocationMessage(_Message, frozen=True, tag="revocation"):
    """To revoke a pending grant that no studio completed."""


Message = RunMessage | RefreshMessage | DeliveryMessage | RevocationMessage


def kind_of(message: Message) -> str:
    return str(message.__struct_config__.tag)


_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def decode(body: str) -> Message:
    """Raises ValueError if it is not one of our messages."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("not a message") from error


def enqueue(messages: Iterable[Message], *, delay_seconds: int = 0) -> None:
    """Sends the messages, after the commit that created their items. A worker receives them after the delay, at most
    15 minutes.

    One that cannot be sent is only logged: the tick re-enqueues items that no worker took.
    """
    waiting = iter(messages)
    batches = list(iter(lambda: list(islice(waiting, SQS_BATCH)), []))
    for batch, answer in zip(batches, _send_all(batches, delay_seconds), strict=True):
        if isinstance(answer, Exception):
            logs.event("work_queue.failed", level=logging.ERROR, error=answer, messages=len(batch))
            telemetry.count("QueueErrors", len(batch))
            continue
        for entry in answer.get("Failed", []):
            unsent = msgspec.to_builtins(batch[int(entry["Id"])])
            logs.event("work_queue.failed", level=logging.ERROR, code=entry.get("Code"), unsent=unsent)
            telemetry.count("QueueErrors")


def _send_all(batches: list[list[Message]], delay_seconds: int) -> Iterable[dict[str, Any] | Exception]:
    """The response to each batch. Sent concurrently if there are several, because a tick would mostly wait for SQS."""
    send = partial(_send, delay_seconds=delay_seconds)
    if len(batches) < 2:
        return map(send, batches)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(SENDERS) as senders:
        return list(senders.map(send, batches))


def _send(batch: list[Message], *, delay_seconds: int) -> dict[str, Any] | Exception:
    try:
        with _making_client:
            client = sqs()
        answer: dict[str, Any] = client.send_message_batch(
            QueueUrl=get_settings().sync_queue_url, Entries=entries(batch, delay_seconds)
        )
    except Exception as error:  # noqa: BLE001  whatever the queue does, what it asks for is safe in the database
        return error
    return answer


def entries(batch: list[Message], delay_seconds: int = 0) -> list[dict[str, Any]]:
    """Entries of a `send_message_batch`; the index of each is its id."""
    # The group makes the queue fair between studios; on a standard queue it does not guarantee order.
    return [
        {
            "Id": str(index),
            "MessageBody": msgspec.json.encode(message).decode(),
            "MessageGroupId": str(message.studio_id),
            "DelaySeconds": delay_seconds,
        }
        for index, message in enumerate(batch)
    ]


@cache
def sqs() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("sqs", config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3}))
