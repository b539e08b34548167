"""Dead letters: messages that failed too often. Those still wanted are sent again, the others are dropped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import structs

from chalicelib import logs, work_queue
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.errors import SettingsError, Unavailable
from chalicelib.services.messages import is_wanted
from chalicelib.settings import get_settings
from chalicelib.work_queue import SQS_BATCH, Message, entries, sqs

WAIT_SECONDS = 1
"""A long poll queries all of the queue's servers, so an empty response means that nothing is left."""
HIDDEN_SECONDS = 120
"""How long a received message is hidden from others; if we crash, it reappears after that."""
STOP_MS = 15_000
"""With less time left than this, no further batch is received: longer than processing one takes."""

MALFORMED = "malformed"
State = Literal["waiting", "ended", "malformed"]


class DeadLetter(Row):
    """A message, and whether it is still wanted. A malformed one is not quoted."""

    message_id: str
    sent_at: Moment
    kind: str
    """That of the message, or `malformed`"""
    state: State
    studio_id: UUID | None = None
    id: UUID | None = None
    """The id of the run, connection, delivery or pending grant"""


class DeadLetters(Row):
    total: int
    """Approximate number, as reported by the queue"""
    shown: list[DeadLetter]


class Requeued(Row):
    dry_run: bool
    sent: int = 0
    dropped: int = 0
    """No longer wanted: their runs have ended, or their studios are gone"""
    kept: int = 0
    """They could not be sent, or not be deleted afterwards"""
    malformed: list[str] = []
    """Ids of malformed messages; they stay"""
    complete: bool = False
    """False if the limit or the time was reached first: the same command resumes"""


class _Taken(msgspec.Struct):
    """A message that is temporarily hidden from other consumers."""

    letter: DeadLetter
    message: Message | None
    receipt: str


def show_dead_letters(limit: int) -> DeadLetters:
    """Receives up to `limit` and makes them visible again."""
    shown: list[_Taken] = []
    with _made_visible_again(shown):
        total = _total()
        while len(shown) < limit and (batch := _take(limit - len(shown))):
            shown += batch
    return DeadLetters(total=total, shown=[taken.letter for taken in shown])


def requeue_dead_letters(*, limit: int, dry_run: bool, remaining_ms: Callable[[], int]) -> Requeued:
    """Each is deleted only after it was sent, so none is lost; one sent twice finds its run's lease taken."""
    report = Requeued(dry_run=dry_run)
    try:
        _requeue(report, limit, remaining_ms)
    finally:
        logs.event("dead_letters.requeued", **structs.asdict(report))
    return report


def _requeue(report: Requeued, limit: int, remaining_ms: Callable[[], int]) -> None:
    staying: list[_Taken] = []
    with _made_visible_again(staying):
        while limit > 0 and remaining_ms() > STOP_MS:
            batch = _take(limit)
            if not batch:
                report.complete = True
                return
            limit -= len(batch)
            staying += batch  # whatever happens, it becomes visible again
            for taken in _settle(batch, report):
                staying.remove(taken)


def _settle(batch: list[_Taken], report: Requeued) -> list[_Taken]:
    """Sends or drops a batch and adds to the report; returns what was removed from the queue."""
    ended = [taken for taken in batch if taken.letter.state == "ended"]
    waiting = [taken for taken in batch if taken.letter.state == "waiting"]
    report.malformed += [taken.letter.message_id for taken in batch if taken.letter.state == "malformed"]
    if report.dry_run:
        report.sent += len(waiting)
        report.dropped += len(ended)
        return []
    sent = _send(waiting)
    gone = _delete([*ended, *sent])
    report.sent += len(sent)
    report.dropped += sum(taken in gone for taken in ended)
    report.kept += len(waiting) + len(ended) - len(gone)
    return gone


def _take(limit: int) -> list[_Taken]:
    response = sqs().receive_message(
        QueueUrl=_queue_url(),
        MaxNumberOfMessages=min(limit, SQS_BATCH),
        VisibilityTimeout=HIDDEN_SECONDS,
        WaitTimeSeconds=WAIT_SECONDS,
        MessageSystemAttributeNames=["SentTimestamp"],
    )
    return [_judge(message) for message in response.get("Messages", ())]


def _judge(received: dict[str, Any]) -> _Taken:
    sent_at = datetime.fromtimestamp(int(received["Attributes"]["SentTimestamp"]) / 1000, UTC)
    letter = DeadLetter(message_id=received["MessageId"], sent_at=sent_at, kind=MALFORMED, state="malformed")
    try:
        message = work_queue.decode(received["Body"])
    except ValueError:
        return _Taken(letter, None, received["ReceiptHandle"])
    letter.kind = work_queue.kind_of(message)
    letter.state = "waiting" if is_wanted(message) else "ended"
    letter.studio_id, letter.id = message.studio_id, message.id
    return _Taken(letter, message, received["ReceiptHandle"])


def _send(waiting: list[_Taken]) -> list[_Taken]:
    """Returns those that the sync queue has accepted."""
    if not waiting:
        return []
    messages = [taken.message for taken in waiting if taken.message is not None]
    response = sqs().send_message_batch(QueueUrl=get_settings().sync_queue_url, Entries=entries(messages))
    return [waiting[int(entry["Id"])] for entry in response.get("Successful", ())]


def _delete(settled: Sequence[_Taken]) -> list[_Taken]:
    """Returns those that were deleted."""
    if not settled:
        return []
    receipts = [{"Id": str(index), "ReceiptHandle": taken.receipt} for index, taken in enumerate(settled)]
    response = sqs().delete_message_batch(QueueUrl=_queue_url(), Entries=receipts)
    return [settled[int(entry["Id"])] for entry in response.get("Successful", ())]


@contextmanager
def _made_visible_again(staying: list[_Taken]) -> Iterator[None]:
    """Makes what stays visible at once for the next consumer. Failures of the queue become Unavailable."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        try:
            yield
        finally:
            _make_visible(staying)
    except (BotoCoreError, ClientError) as error:
        raise Unavailable("The queue does not respond", internal=type(error).__name__) from error


def _make_visible(staying: Sequence[_Taken]) -> None:
    """SQS refuses one that has already reappeared, which is fine."""
    for start in range(0, len(staying), SQS_BATCH):
        batch = enumerate(staying[start : start + SQS_BATCH])
        seen = [{"Id": str(index), "ReceiptHandle": taken.receipt, "VisibilityTimeout": 0} for index, taken in batch]
        sqs().change_message_visibility_batch(QueueUrl=_queue_url(), Entries=seen)


def _total() -> int:
    name = "ApproximateNumberOfMessages"
    response = sqs().get_queue_attributes(QueueUrl=_queue_url(), AttributeNames=[name])
    return int(response["Attributes"][name])


def _queue_url() -> str:
    url = get_settings().dead_letter_queue_url
    if not url:
        raise SettingsError("DEAD_LETTER_QUEUE_URL is not set")
    return url
