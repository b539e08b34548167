"""The local queue behaves as the queue in the cloud is configured to."""

import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from dev.aws import MAX_RECEIVES, VISIBILITY_SECONDS
from dev.environment import cloud, plain
from dev.invocation import QUEUE, WORKER_TIMEOUT_SECONDS
from dev.ports import find_free_port
from dev.supervisor import Part, Supervisor


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    port = find_free_port()
    environ = {**plain(os.environ), **cloud(port)}
    log = tmp_path_factory.mktemp("queue") / "queue.log"
    with Supervisor() as parts:
        parts.start(Part("queue", ["-m", "dev.aws", "--port", str(port)], environ, log))
        parts.wait_ready()
        yield environ


@pytest.fixture
def sqs(environ: dict[str, str]) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        region_name=environ["AWS_REGION"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def test_a_message_that_keeps_failing_ends_in_the_dead_letter_queue(sqs: Any, environ: dict[str, str]) -> None:
    url = environ["SYNC_QUEUE_URL"]
    sqs.send_message(QueueUrl=url, MessageBody="poison", MessageGroupId="studio")
    for _ in range(MAX_RECEIVES):
        assert sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"][0]["Body"] == "poison"
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    dead = sqs.get_queue_url(QueueName=f"{QUEUE}-dead")["QueueUrl"]
    assert sqs.receive_message(QueueUrl=dead)["Messages"][0]["Body"] == "poison"


def test_a_message_stays_hidden_longer_than_a_worker_may_run(sqs: Any, environ: dict[str, str]) -> None:
    answer = sqs.get_queue_attributes(QueueUrl=environ["SYNC_QUEUE_URL"], AttributeNames=["VisibilityTimeout"])
    assert int(answer["Attributes"]["VisibilityTimeout"]) == VISIBILITY_SECONDS > WORKER_TIMEOUT_SECONDS
