"""The sync worker's trigger: receives messages from the local queue and invokes the function as Lambda does."""

import logging
import os
import signal
import time
from types import FrameType
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.workers.sync import sync
from dev.invocation import WORKER_TIMEOUT_SECONDS, Context, queue_event

POLL_SECONDS = 1  # short, because stopping waits for the current poll
log = logging.getLogger("dev.worker")


class Worker:
    """One message at a time. If stopped during one, it lets the function run out of time and save its work.

    A poll is never aborted: its message would be delivered to no one and stay hidden for a while.
    """

    def __init__(self, queue_url: str) -> None:
        self._queue_url = queue_url
        self._sqs = boto3.client("sqs", config=Config(read_timeout=POLL_SECONDS + 20, retries={"max_attempts": 1}))
        self._context: Context | None = None
        self._stopping = False

    def stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        if self._context is not None:
            self._context.expire()

    def run(self) -> None:
        while not self._stopping:
            try:
                self._poll()
            except (BotoCoreError, ClientError) as error:
                log.warning("the queue does not respond: %s", error)
                time.sleep(1)

    def _poll(self) -> None:
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=POLL_SECONDS,
            MessageSystemAttributeNames=["All"],
        )
        for message in answer.get("Messages", ()):
            receipt = message["ReceiptHandle"]
            if self._stopping:  # too late: make it visible, so that another worker gets it at once
                self._sqs.change_message_visibility(
                    QueueUrl=self._queue_url, ReceiptHandle=receipt, VisibilityTimeout=0
                )
            elif self._invoke(message):
                self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=receipt)

    def _invoke(self, message: dict[str, Any]) -> bool:
        """Whether the message was processed; if not, the queue redelivers it after its visibility timeout."""
        self._context = Context("ansel-local-sync", WORKER_TIMEOUT_SECONDS)
        try:
            result = sync(queue_event(message), self._context)
        except Exception:  # as in Lambda, any exception leaves the message in the queue
            log.exception("the function failed on message %s", message["MessageId"])
            return False
        finally:
            self._context = None
        failures = (result or {}).get("batchItemFailures", [])
        return message["MessageId"] not in {failure["itemIdentifier"] for failure in failures}


def main() -> None:
    worker = Worker(os.environ["SYNC_QUEUE_URL"])
    signal.signal(signal.SIGTERM, worker.stop)
    print("worker ready", flush=True)
    worker.run()


if __name__ == "__main__":
    main()
