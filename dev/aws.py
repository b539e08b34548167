"""Local SQS: moto's server on loopback. Queued messages die with it, and the next tick sends them again."""

import argparse
import json
import logging
import threading

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from dev.invocation import ACCOUNT, QUEUE, REGION, WORKER_TIMEOUT_SECONDS
from dev.ports import HOST

MAX_RECEIVES = 5
VISIBILITY_SECONDS = WORKER_TIMEOUT_SECONDS + 30
"""Longer than a worker may run; otherwise a second one would receive the same message."""


def create_queues() -> None:
    """Creates the queue, and a dead-letter queue for messages that keep failing."""
    sqs = boto3.client("sqs")
    sqs.create_queue(QueueName=f"{QUEUE}-dead", Attributes={"MessageRetentionPeriod": str(14 * 24 * 3600)})
    redrive = {
        "deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}-dead",
        "maxReceiveCount": MAX_RECEIVES,
    }
    attributes = {"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": json.dumps(redrive)}
    sqs.create_queue(QueueName=QUEUE, Attributes=attributes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # avoids a log line for every poll
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server(HOST, port, app, threaded=True, request_handler=MotoRequestHandler)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    create_queues()
    print(f"queue ready on http://{HOST}:{port}", flush=True)
    serving.join()


if __name__ == "__main__":
    main()
