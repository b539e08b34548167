"""Time zones by the names that platforms use."""

import logging
import re
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from chalicelib import logs

_LOOKS_LIKE_ONE = re.compile(
    r"(Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Etc|Europe|Indian|Pacific|US)/[A-Za-z0-9/_+-]{1,40}",
    re.ASCII,
)


def find_zone(name: str, *, unknown: str) -> tzinfo:
    """UTC for a zone that this machine does not know; then the event `unknown` is logged. The name is the platform's
    text, and is logged only if it looks like a zone name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        logged_name = name if _LOOKS_LIKE_ONE.fullmatch(name) else None
        logs.event(unknown, level=logging.WARNING, time_zone=logged_name)
        return UTC
