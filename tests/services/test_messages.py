"""The table of message kinds is complete, and a message on the wire holds its kind, an id and the studio."""

import json
from typing import get_args
from uuid import UUID

import pytest

from chalicelib import work_queue
from chalicelib.services.messages import HANDLERS, IS_WANTED
from chalicelib.work_queue import Message, entries

ID, STUDIO = UUID(int=1), UUID(int=2)
ON_THE_WIRE = {"run", "refresh", "delivery", "revocation"}


def test_every_kind_of_message_is_in_the_table() -> None:
    assert set(HANDLERS) == set(IS_WANTED) == set(get_args(Message))
    assert {work_queue.kind_of(kind(id=ID, studio_id=STUDIO)) for kind in HANDLERS} == ON_THE_WIRE


@pytest.mark.parametrize("kind", HANDLERS)
def test_a_message_holds_its_kind_an_id_and_the_studio(kind: type[Message]) -> None:
    message = kind(id=ID, studio_id=STUDIO)
    (entry,) = entries([message])
    assert json.loads(entry["MessageBody"]) == {
        "kind": work_queue.kind_of(message),
        "id": str(ID),
        "studioId": str(STUDIO),
    }
    assert work_queue.decode(entry["MessageBody"]) == message
