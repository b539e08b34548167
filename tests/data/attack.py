"""Two studios, one of which attacks the other's rows."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from pg8000.exceptions import DatabaseError

VICTIM, INTRUDER = UUID(int=0xA << 120), UUID(int=0xB << 120)


def sqlstate(error: DatabaseError) -> str:
    return str(error.args[0]["C"])


def refused(work: Callable[[], Any], *states: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        work()
    assert sqlstate(caught.value) in states
