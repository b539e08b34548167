"""Lambda's context object, and the formats of the events that trigger the product's functions."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

ACCOUNT = "123456789012"
REGION = "us-east-1"
QUEUE = "ansel-local-sync"
WORKER_TIMEOUT_SECONDS = 60
DELIVERY_TIMEOUT_SECONDS = 35


@dataclass
class Context:
    """The part of Lambda's context object that handlers may use."""

    function_name: str
    timeout_seconds: float
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.timeout_seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def expire(self) -> None:
        """The time is up at once: the function should save its work and return."""
        self._deadline = time.monotonic()


def schedule_event(rule: str) -> dict[str, Any]:
    """As EventBridge sends it for a rule with a schedule (EventBridge User Guide, "Scheduled events")."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"],
        "detail": {},
    }


def queue_event(message: Mapping[str, Any]) -> dict[str, Any]:
    """As an SQS trigger sends it for one received message (Lambda Developer Guide, "Using Lambda with Amazon SQS")."""
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}",
        "awsRegion": REGION,
    }
    return {"Records": [record]}


def message_event(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a message that was not in a queue."""
    return queue_event({"MessageId": str(uuid4()), "ReceiptHandle": "-", "Body": json.dumps(body), "MD5OfBody": "-"})


def request_event(
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: str | bytes | None = None,
    *,
    route: str = "",
    query: Mapping[str, list[str]] | None = None,
) -> dict[str, Any]:
    """As API Gateway sends it (Developer Guide, "Input format of a Lambda function for proxy integration").

    `route` is the path as declared, if it has parameters; a bytes body is sent as base64.
    """
    route = route or path
    names = zip(route.split("/"), path.split("/"), strict=True)
    sent = {"Content-Type": "application/json", "Host": "api.example.com", **(headers or {})}
    return {
        "resource": route,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} if query else None,
        "multiValueQueryStringParameters": dict(query) if query else None,
        "pathParameters": {name[1:-1]: value for name, value in names if name.startswith("{")} or None,
        "stageVariables": None,
        "requestContext": {
            "requestId": str(uuid4()),
            "resourcePath": route,
            "path": f"/v1{path}",
            "httpMethod": method,
            "stage": "v1",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "test"},
        },
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": isinstance(body, bytes),
    }
