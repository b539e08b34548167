"""A queue that accepts every message and discards it: the part of SQS's JSON protocol that batch sends need.

moto's queue slows down with each message it holds, so the benchmark would measure moto instead of the tick.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from benchmarks.server import configure
from chalicelib import work_queue
from dev import environment
from dev.invocation import ACCOUNT, QUEUE
from dev.process import ROOT
from dev.sandbox.server import Server
from dev.sandbox.wire import Json, Request, Response, as_json


@contextmanager
def running() -> Iterator[str]:
    """Runs in a separate process; yields its address."""
    command = [sys.executable, "-m", "benchmarks.null_queue"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
        child.communicate()  # it ends when its input does


@contextmanager
def in_use() -> Iterator[None]:
    """The product sends to it."""
    with running() as url:
        configure(**{**environment.cloud(0), "AWS_ENDPOINT_URL": url, "SYNC_QUEUE_URL": f"{url}/{ACCOUNT}/{QUEUE}"})
        work_queue.sqs.cache_clear()
        yield
    work_queue.sqs.cache_clear()


def main() -> None:
    server = Server(_answer)
    server.start()
    print(server.url, flush=True)
    sys.stdin.read()
    server.stop()


def _answer(request: Request) -> Response:
    return as_json({"Successful": [_taken(entry) for entry in request.json()["Entries"]], "Failed": []})


def _taken(entry: Json) -> Json:
    digest = hashlib.md5(entry["MessageBody"].encode(), usedforsecurity=False).hexdigest()
    return {"Id": entry["Id"], "MessageId": str(uuid4()), "MD5OfMessageBody": digest}


if __name__ == "__main__":
    main()
