"""The postman between the product's queue and the workers': he may deliver often, late, out of order, or not at all."""

import random
import threading
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

BATCH = 10


class Postman(threading.Thread):
    """Carries messages until told to stop. `copies` of each are delivered, save those that get lost on the way."""

    def __init__(
        self,
        source: str,
        target: str,
        chance: random.Random,
        *,
        copies: int = 1,
        loss: float = 0.0,
        jumble: bool = False,
    ) -> None:
        super().__init__(daemon=True)
        self.sent = self.delivered = self.dropped = 0
        self._sqs: Any = boto3.client("sqs")
        self._source, self._target, self._chance = source, target, chance
        self._copies, self._loss, self._jumble = copies, loss, jumble
        self._bag: list[str] = []
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join(10)

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._collect()
                self._deliver()
            except (BotoCoreError, ClientError):
                self._stopping.wait(0.1)
            self._stopping.wait(0.1)

    def _collect(self) -> None:
        answer = self._sqs.receive_message(QueueUrl=self._source, MaxNumberOfMessages=BATCH)
        for message in answer.get("Messages", ()):
            self._sqs.delete_message(QueueUrl=self._source, ReceiptHandle=message["ReceiptHandle"])
            self.sent += 1
            for _ in range(self._copies):
                if self._chance.random() < self._loss:
                    self.dropped += 1
                else:
                    self._bag.append(message["Body"])

    def _deliver(self) -> None:
        """A jumbled bag is shuffled and never emptied at once, so that the copies of a message come far apart."""
        if self._jumble:
            self._chance.shuffle(self._bag)
        count = min(BATCH, (len(self._bag) + 1) // 2 if self._jumble else len(self._bag))
        batch, self._bag = self._bag[:count], self._bag[count:]
        if batch:
            entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(batch)]
            self._sqs.send_message_batch(QueueUrl=self._target, Entries=entries)
            self.delivered += len(batch)
