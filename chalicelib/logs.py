"""JSON logs, one event per line, with bound context and no secrets."""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import Any
from uuid import UUID

from chalicelib import clock
from chalicelib.secret import MASK, Secret

_context: ContextVar[Mapping[str, Any]] = ContextVar("log_context", default=MappingProxyType({}))

SECRET_NAMES = re.compile(
    r"token|secret|password|passwd|authorization|api_?key|encryption_?key|private_?key|cookie|credential|verifier",
    re.IGNORECASE,
)
SECRET_VALUES = re.compile(
    r"ansel_[0-9a-f]{32}_\w+"  # our API keys
    r"|\b[0-9a-fA-F]{64}\b"  # ENCRYPTION_KEY, and the secret part of an API key
    r"|ya29\.[\w.~-]+|1//[\w-]{8,}|\b4/0[\w-]{8,}|GOCSPX-[\w-]+"  # Google: access, refresh, code, client secret
    r"|\bEAA[0-9A-Za-z]{20,}"  # Meta
    r"|\bpin[ar]_[\w-]{8,}"  # Pinterest
    r"|(?i:\bbearer\s+[\w.~+/=-]+|\bbasic\s+[\w+/=-]{16,})"
    r"|(?i:(?:access_?token|refresh_?token|id_?token|client_?secret|api_?key|code_?verifier|password)"
    r"""["']?\s*[=:]\s*["']?[^\s"'&,;)}\]]+)"""  # in a query, a form, JSON or a repr
    r"|://[^\s/:@]*:[^\s/]+@"  # credentials in a URL
)
_NEVER_SECRET = (bool, int, float, UUID, date, type(None))
_ID = re.compile(r"[0-9a-f-]{1,63}")  # too few characters for any of SECRET_VALUES
_LONGEST_KEPT = 64
_MOST_KEPT = 1000
_harmless: set[str] = set()
"""Short texts that were searched and contain no secret: event names, routes and similar texts recur."""


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Adds fields to every event logged inside."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def bind(**fields: Any) -> None:
    """Adds fields that become known during a `bound` block to every event until the block ends."""
    _context.set({**_context.get(), **fields})


def bound_field(name: str) -> Any:
    """The value currently bound to this name, or None."""
    return _context.get().get(name)


def event(name: str, /, *, level: int = logging.INFO, error: BaseException | None = None, **fields: Any) -> None:
    """Logs one event, named `noun.verb`."""
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    logging.getLogger("ansel").log(level, name, extra={"fields": fields}, exc_info=exc_info)


def configure(level: str = "INFO") -> None:
    """Routes every logger of the process through the JSON formatter; runs once."""
    root = logging.getLogger()
    if not any(isinstance(handler.formatter, JsonFormatter) for handler in root.handlers):
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonFormatter())
        root.handlers[:] = [handler]
    # Third-party loggers only warn: botocore and urllib3 log headers and bodies at DEBUG, and are verbose at INFO.
    _set_level(root, max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    _set_level(logging.getLogger("ansel"), logging.getLevelNamesMapping()[level])


def _set_level(logger: logging.Logger, level: int) -> None:
    if logger.level != level:  # setting it clears the cache of every logger
        logger.setLevel(level)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        try:
            return self._line(record)
        except Exception as error:  # noqa: BLE001  when a formatter raises, logging prints the raw arguments to stderr
            source = f"{record.pathname}:{record.lineno}"
            return json.dumps(
                {"level": "error", "event": "log.failed", "error": type(error).__name__, "source": source}
            )

    def _line(self, record: logging.LogRecord) -> str:
        own = {
            "at": clock.now().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line: dict[str, Any] = {**own, **_context.get(), **getattr(record, "fields", {}), **own}
        if record.exc_info and record.exc_info[0]:
            line["error"] = self.formatException(record.exc_info)
        # ASCII: a lone surrogate cannot be written, and some readers treat U+2028 as a line end
        return json.dumps({key: _clean(key, value) for key, value in line.items()}, ensure_ascii=True)


def _clean(key: str, value: Any) -> Any:
    """The value as JSON, masked if its field's name or its own format indicates a secret."""
    if isinstance(value, str):
        return MASK if _names_a_secret(key) else _plain(value)
    if isinstance(value, dict):
        return {_plain(inner): _clean(f"{key}.{inner}", item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(key, item) for item in value]
    if isinstance(value, Secret):
        return MASK
    if not isinstance(value, _NEVER_SECRET):
        return MASK if _names_a_secret(key) else _plain(value)
    speaks_json = isinstance(value, int | None) or (isinstance(value, float) and isfinite(value))
    return value if speaks_json else str(value)


@lru_cache(maxsize=_MOST_KEPT)
def _names_a_secret(key: str) -> bool:
    return SECRET_NAMES.search(key) is not None


def _plain(value: Any) -> str:
    text = str(value)
    if text in _harmless or _ID.fullmatch(text):
        return text
    masked = SECRET_VALUES.sub(MASK, text)
    if masked == text and len(text) <= _LONGEST_KEPT:
        if len(_harmless) >= _MOST_KEPT:
            _harmless.clear()
        _harmless.add(text)
    return masked
