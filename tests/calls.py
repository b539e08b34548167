"""Counts the functions that a piece of work calls, so that a test can say what it does not do."""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls_of(work: Callable[[], object]) -> Counter[str]:
    """How often each function was called, by its name: those of Python and those written in C."""
    counted: Counter[str] = Counter()

    def count(frame: FrameType, happened: str, argument: Any) -> None:
        if happened == "call":
            counted[frame.f_code.co_name] += 1
        elif happened == "c_call":
            counted[argument.__name__] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted
