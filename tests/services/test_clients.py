"""The path of a token from its row to the client that sends it."""

import sys
from collections.abc import Callable
from itertools import pairwise
from types import FrameType
from typing import Any

from chalicelib.data.connections import FIND_STORED_CONNECTION
from chalicelib.data.postgres.database import read
from chalicelib.platforms.registry import get_platform
from chalicelib.services.connections.clients import Session
from tests.services.conftest import Studio

VALUES = {"chalicelib.secret", "chalicelib.clock", "chalicelib.settings", "chalicelib.errors"}
"""Values and the clock, which do not count as a step"""


def walk(call: Callable[[], object]) -> list[str]:
    """The modules of the product that a call enters, in order; returning to a caller does not count."""
    entered: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("chalicelib.") and module not in VALUES:
            caller = frame.f_back.f_globals.get("__name__") if frame.f_back else None
            if caller != module:
                entered.append(module.removeprefix("chalicelib."))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return [module for module, following in pairwise([*entered, ""]) if module != following]


def test_a_token_passes_through_five_modules_each_once(studio: Studio) -> None:
    stored = read(studio.id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert stored is not None
    google = get_platform("google")
    Session(stored, google).client()
    entered = walk(lambda: Session(stored, google).client())
    assert entered.pop() == "platforms.core.transport", "which sends it"
    assert entered == [
        "services.connections.clients",
        "services.connections.tokens",
        "security.vault",
        "security.key_cache",
        "platforms.core.client",
    ]
