"""The error codes that the source raises with a status, found by the calls of error classes."""

import ast
from pathlib import Path

from chalicelib import errors
from tests.conftest import ROOT

KINDS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.AppError)
}
OF_OPERATORS = {"api_keys", "erasures", "migrations", "studio_health", "studios", "tenant_keys"}
"""Services of commands, which serve no request."""
OF_RUNS = {"RunCrashed", "RunAbandoned", "CursorExpired", "AccountGone"}
"""Errors that end a run: no request gets one as its response."""
NEVER_ALONE = {"Conflict", "Throttled", "PlatformError"}
"""Base classes, raised only with another code or as a subclass"""
OF_GOOGLE = {"webhook_signatures.py", "google/webhooks.py"}
"""Reported in Google's own format."""


def raised_codes() -> set[tuple[int, str]]:
    codes = {(kind.status, kind.code) for name, kind in KINDS.items() if name not in OF_RUNS | NEVER_ALONE}
    for path in (ROOT / "chalicelib").rglob("*.py"):
        if _is_left_out(path):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and (kind := KINDS.get(_name(node.func))) and kind.code != "token_revoked":
                codes |= {(kind.status, code) for code in _literal_codes(node)}
    return codes


def _is_left_out(path: Path) -> bool:
    return ("services" in path.parts and path.stem in OF_OPERATORS) or str(path).endswith(tuple(OF_GOOGLE))


def _name(function: ast.expr) -> str:
    return getattr(function, "id", "") or getattr(function, "attr", "")


def _literal_codes(call: ast.Call) -> set[str]:
    values = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    return {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}
