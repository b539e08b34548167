"""The short form of `make chaos`, its comparison of results, and the queue and lists that it disturbs."""

import json
import random
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import boto3
import pytest

from chaos.faults import Chaos
from chaos.oracle import Database, compare, expected_bookings, expected_inquiries
from chaos.paging import Paging
from chaos.queue import Delivery, Queue
from dev import environment
from dev.sandbox import Sandbox, issue_token
from dev.sandbox.google.accounts import Account, open_account
from tests.conftest import TODAY

ROOT = Path(__file__).parent.parent
WAIT_SECONDS = 300
SHORT = (
    *("harness", "killed", "five-times", "pages", "database"),
    *("refresh-race", "refresh-killed", "outage", "revoked"),
)


@pytest.fixture(scope="module")
def account() -> Account:
    opened = open_account("bulk-6", date(2026, 5, 4))
    assert opened is not None
    return opened


@pytest.fixture(scope="module")
def intact(account: Account) -> Database:
    """The contents of a database without a fault."""
    bookings = [(key, *row) for key, row in expected_bookings(account)[0].items()]
    return Database(bookings, [(key, *row) for key, row in expected_inquiries(account).items()])


def test_a_disturbed_engine_ends_with_the_platforms_data(tmp_path: Path) -> None:
    """In its own process: workers killed, messages duplicated, cursors expired, connections cut, refreshes raced.

    The first scenario corrupts a database on purpose and fails unless the comparison sees each loss, duplicate and
    error.
    """
    command = [sys.executable, "-m", "chaos", "--short", "--seed", "7", "--logs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = dict(line.split(" (")[0].split(": ") for line in done.stdout.splitlines() if ": exact (" in line)
    assert verdicts == dict.fromkeys(SHORT, "exact")


def test_equal_rows_have_no_difference(account: Account, intact: Database) -> None:
    difference = compare(account, intact, ("bookings", "inquiries"))
    assert difference.is_none
    assert len(intact.bookings) == len(intact.inquiries) == 6


def test_a_missing_row_is_lost(account: Account, intact: Database) -> None:
    short = Database(intact.bookings[1:], intact.inquiries[2:])
    difference = compare(account, short, ("bookings", "inquiries"))
    assert (difference.lost, difference.duplicated, difference.wrong) == (3, 0, 0)


def test_a_record_under_two_names_is_duplicated(account: Account, intact: Database) -> None:
    event_id = intact.bookings[0][0].rpartition("/")[2]
    twice = [*intact.bookings, (f"twin/{event_id}", *intact.bookings[0][1:])]
    difference = compare(account, Database(twice, []), ("bookings",))
    assert difference.duplicated == 1


def test_a_value_that_differs_is_wrong(account: Account, intact: Database) -> None:
    changed = [(intact.bookings[0][0], "Another title", *intact.bookings[0][2:]), *intact.bookings[1:]]
    difference = compare(account, Database(changed, []), ("bookings",))
    assert (difference.lost, difference.duplicated, difference.wrong) == (0, 0, 1)


def test_reordered_pages_still_contain_every_record() -> None:
    """Otherwise the platform itself would lose some, and the scenario would blame the product."""
    with Sandbox(today=TODAY) as sandbox:
        straight = read_list(sandbox)
        chance = random.Random(3)
        sandbox.faults = chaos = Chaos(chance, {}, paging=Paging(chance, sandbox.url, reorder=1.0))
        reordered = read_list(sandbox)
        again = read_list(sandbox)
    assert chaos.struck["reordered"] >= 1
    assert reordered == again != straight
    assert sorted(reordered) == sorted(straight)


def read_list(sandbox: Sandbox) -> list[str]:
    token = issue_token("bulk-350").access_token  # issued here, because it expires after an hour
    query, ids = {"maxResults": "100"}, []
    while True:
        url = f"{sandbox.url}/www.googleapis.com/calendar/v3/calendars/primary/events?{urlencode(query)}"
        with urlopen(Request(url, headers={"Authorization": f"Bearer {token}"})) as answer:  # noqa: S310  loopback
            page = json.load(answer)
        ids += [item["id"] for item in page["items"]]
        if "nextPageToken" not in page:
            return ids
        query["pageToken"] = page["nextPageToken"]


def test_the_queue_delivers_each_copy_until_it_is_deleted() -> None:
    with Queue() as queue:
        queue.reset(Delivery(chance=random.Random(1), copies=2))
        sqs = client_of(queue)
        sqs.send_message_batch(QueueUrl=queue.url_of("a"), Entries=[{"Id": "0", "MessageBody": "ring"}])
        for _ in range(2):
            (message,) = sqs.receive_message(QueueUrl=queue.url_of("a"), WaitTimeSeconds=5)["Messages"]
            assert message["Body"] == "ring"
            receipt = message["ReceiptHandle"]
            sqs.change_message_visibility(QueueUrl=queue.url_of("a"), ReceiptHandle=receipt, VisibilityTimeout=0)
            (again,) = sqs.receive_message(QueueUrl=queue.url_of("b"))["Messages"]
            assert again["MessageId"] == message["MessageId"]
            sqs.delete_message(QueueUrl=queue.url_of("b"), ReceiptHandle=again["ReceiptHandle"])
        assert queue.is_empty()
        assert queue.delivered == {"a": 2, "b": 2}


def test_the_queue_loses_messages_on_request() -> None:
    with Queue() as queue:
        queue.reset(Delivery(chance=random.Random(1), loss=1.0))
        sqs = client_of(queue)
        sqs.send_message_batch(QueueUrl=queue.url_of("a"), Entries=[{"Id": "0", "MessageBody": "ring"}])
        assert "Messages" not in sqs.receive_message(QueueUrl=queue.url_of("a"))
        assert (queue.sent, queue.dropped) == (1, 1)


def client_of(queue: Queue) -> Any:
    names = environment.cloud(queue.port)
    return boto3.client(
        "sqs",
        endpoint_url=names["AWS_ENDPOINT_URL"],
        region_name=names["AWS_REGION"],
        aws_access_key_id=names["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=names["AWS_SECRET_ACCESS_KEY"],
    )
