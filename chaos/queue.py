"""The queue: the part of SQS that the product uses, over boto3's protocol, on loopback.

It may deliver repeatedly, late, out of order or not at all, as a standard queue or a failing network may do.
"""

import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from dev.invocation import ACCOUNT, QUEUE
from dev.sandbox.server import Server
from dev.sandbox.wire import Json, Request, Response, as_json

VISIBILITY_SECONDS = 5.0
MAX_RECEIVES = 5
LATEST_COPY_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How messages are delivered: the number of copies, the share that is lost, in order or shuffled."""

    chance: random.Random
    copies: int = 1
    loss: float = 0.0
    shuffle: bool = False


@dataclass
class _Message:
    body: str
    visible_at: float
    id: str = field(default_factory=lambda: str(uuid4()))
    receives: int = 0
    holder: str = ""


class Queue:
    """A context manager. A worker that polls `url_of(name)` is identified by that name."""

    def __init__(self) -> None:
        self._server = Server(self._answer)
        self._arrival = threading.Condition()
        self._stopping = False
        self._actions: dict[str, Callable[[Json], Json]] = {
            "SendMessageBatch": self._send,
            "ReceiveMessage": self._receive,
            "DeleteMessage": self._delete,
            "ChangeMessageVisibility": self._show_again,
        }
        self.reset(Delivery(chance=random.Random(0)))

    def __enter__(self) -> "Queue":
        self._server.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._arrival:
            self._stopping = True
            self._arrival.notify_all()
        self._server.stop()

    @property
    def port(self) -> int:
        return int(self._server.url.rpartition(":")[2])

    def url_of(self, worker: str) -> str:
        return f"{self._server.url}/{ACCOUNT}/{QUEUE}/{worker}"

    def reset(self, delivery: Delivery) -> None:
        """Empties the queue and resets the counts; consumers that still poll, perhaps dead by now, get nothing more."""
        with self._arrival:
            self._delivery = delivery
            self._arrival.notify_all()
            self._waiting: list[_Message] = []
            self._held: dict[str, _Message] = {}
            self.sent = self.dropped = self.dead = 0
            self.delivered: Counter[str] = Counter()

    def holders(self) -> set[str]:
        """The workers that are processing a message."""
        with self._arrival:
            return {message.holder for message in self._held.values()}

    def waiting(self) -> bool:
        """Whether a message could be received now."""
        with self._arrival:
            return any(message.visible_at <= time.monotonic() for message in self._waiting)

    def is_empty(self) -> bool:
        """Whether each message, including late copies, was delivered and processed."""
        with self._arrival:
            return not self._waiting and not self._held

    def _answer(self, request: Request) -> Response:
        action = request.headers.get("x-amz-target", "").rpartition(".")[2]
        if action not in self._actions:
            return as_json({"__type": "com.amazon.coral.service#UnknownOperationException"}, status=400)
        if len(request.body) < int(request.headers["content-length"]):  # the sender was killed while sending it
            return as_json({"__type": "com.amazonaws.sqs#InvalidMessageContents"}, status=400)
        with self._arrival:
            answer = self._actions[action](request.json())
        return Response(200, json.dumps(answer).encode(), {"Content-Type": "application/x-amz-json-1.0"})

    def _send(self, order: Json) -> Json:
        taken = []
        for entry in order["Entries"]:
            self.sent += 1
            self._take_in(entry["MessageBody"], entry.get("DelaySeconds", 0))
            taken.append({"Id": entry["Id"], "MessageId": str(uuid4()), "MD5OfMessageBody": _md5(entry["MessageBody"])})
        self._arrival.notify_all()
        return {"Successful": taken, "Failed": []}

    def _take_in(self, body: str, delay_seconds: int) -> None:
        """Every other copy is delivered at once, the rest later: during the run, and after it."""
        delivery, now = self._delivery, time.monotonic() + delay_seconds
        for copy in range(delivery.copies):
            if delivery.chance.random() < delivery.loss:
                self.dropped += 1
            else:
                late = delivery.chance.uniform(0, LATEST_COPY_SECONDS) if copy % 2 else 0.0
                self._waiting.append(_Message(body, now + late))

    def _receive(self, order: Json) -> Json:
        worker = order["QueueUrl"].rpartition("/")[2]
        deadline = time.monotonic() + order.get("WaitTimeSeconds", 0)
        delivery = self._delivery
        while (message := self._next()) is None:
            left = deadline - time.monotonic()
            self._arrival.wait(max(0.0, min(left, 0.1)))  # a late copy arrives without notification
            if left <= 0 or self._stopping or self._delivery is not delivery:
                return {}
        message.receives += 1
        message.holder = worker
        message.visible_at = time.monotonic() + VISIBILITY_SECONDS
        receipt = str(uuid4())
        self._held[receipt] = message
        self.delivered[worker] += 1
        return {"Messages": [_shown(message, receipt)]}

    def _next(self) -> _Message | None:
        now = time.monotonic()
        for receipt, held in list(self._held.items()):
            if held.visible_at <= now:
                self._give_back(receipt)
        due = (index for index, message in enumerate(self._waiting) if message.visible_at <= now)
        if (first := next(due, None)) is None:
            return None
        return self._waiting.pop(self._delivery.chance.choice([first, *due]) if self._delivery.shuffle else first)

    def _give_back(self, receipt: str) -> None:
        message = self._held.pop(receipt)
        if message.receives < MAX_RECEIVES:
            self._waiting.append(message)
        else:
            self.dead += 1

    def _delete(self, order: Json) -> Json:
        self._held.pop(order["ReceiptHandle"], None)
        return {}

    def _show_again(self, order: Json) -> Json:
        if (message := self._held.get(order["ReceiptHandle"])) is not None:
            message.visible_at = time.monotonic() + order["VisibilityTimeout"]
            self._arrival.notify_all()
        return {}


def _shown(message: _Message, receipt: str) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": receipt,
        "Body": message.body,
        "MD5OfBody": _md5(message.body),
        "Attributes": {"ApproximateReceiveCount": str(message.receives)},
    }


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
