"""Migrations: the schema's current revision, upgrades revision by revision, and one step back. Imports Alembic."""

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.data.health import SCHEMA_NEEDED
from chalicelib.data.postgres.driver import sqlstate
from chalicelib.data.postgres.rows import Row
from chalicelib.errors import AppError, Conflict, FieldProblem, InvalidInput, SettingsError, Unavailable

SCRIPTS = Path(__file__).parents[3] / "migrations"
"""Next to `chalicelib`, both in the repository and in the package that Lambda unpacks."""
VERSIONS = (SCRIPTS / "versions",)
"""The folders with revisions."""
STOP_MS = 20_000
"""With less time left than this, no further revision is started."""
MARGIN_MS = 5_000
"""Statements time out this long before the time is up, so that the failure can still be reported."""

Refusal = tuple[str, str]
ERROR_RULES: dict[str, Refusal] = {
    "55P03": ("locked", "it needs a lock that another session holds"),
    "40P01": ("locked", "it was in a deadlock with another session"),
    "57014": ("timed_out", "a statement took longer than its statement timeout"),
}
"""By SQLSTATE: reasons that stop a revision but may not occur the next time."""


class Revision(Row):
    revision: str
    title: str


class SchemaStatus(Row):
    at: str | None
    """None before the first migration"""
    needed: str
    """The oldest revision that this release works with"""
    head: str
    state: Literal["behind", "usable", "current", "ahead"]
    """usable: only contracting migrations are pending, for after the deployment; ahead: of a later release"""
    pending: list[Revision]


class Migrated(Row):
    before: str | None
    at: str | None
    applied: list[str]
    complete: bool
    """False if the time was nearly up: the same command resumes"""


@dataclass(frozen=True)
class Timeouts:
    lock_seconds: int = 5
    statement_seconds: int = 600

    def options(self, remaining_ms: int) -> dict[str, str]:
        statement = min(self.statement_seconds * 1000, max(remaining_ms - MARGIN_MS, 1000))
        return {"lock_timeout": f"{self.lock_seconds}s", "statement_timeout": f"{statement}ms"}


def get_schema_status() -> SchemaStatus:
    scripts = _scripts()
    at, head = _read_revision(), str(scripts.get_current_head())
    pending = [] if at is not None and not _knows(scripts, at) else _between(scripts, at, head)
    state: Literal["behind", "usable", "current", "ahead"]
    if at is not None and not _knows(scripts, at):
        state = "ahead"
    elif at is None or at < SCHEMA_NEEDED:
        state = "behind"
    else:
        state = "usable" if pending else "current"
    return SchemaStatus(at=at, needed=SCHEMA_NEEDED, head=head, state=state, pending=pending)


def migrate_up(to: str | None, timeouts: Timeouts, remaining_ms: Callable[[], int]) -> Migrated:
    """Applies what is missing up to `to`, each revision in its own session. The default is what this release needs,
    or everything for an empty database, which no earlier release uses.

    Raises Conflict if a lock is not available in time or a statement takes too long: that revision is rolled back.
    """
    scripts, before = _scripts(), _read_revision()
    target = _target(scripts, to or ("head" if before is None else SCHEMA_NEEDED))
    _check_known(scripts, before)
    applied: list[str] = []
    for pending in _between(scripts, before, target):
        if remaining_ms() < STOP_MS:
            break
        with _translated_errors(pending.revision):
            command.upgrade(_config(timeouts.options(remaining_ms())), pending.revision)
        logs.event("migration.applied", revision=pending.revision)
        applied.append(pending.revision)
    at = _read_revision()
    return Migrated(before=before, at=at, applied=applied, complete=not _between(scripts, at, target))


def migrate_down(timeouts: Timeouts, remaining_ms: Callable[[], int]) -> Migrated:
    """Reverts the newest revision. Raises Conflict as `migrate_up` does."""
    scripts, before = _scripts(), _read_revision()
    _check_known(scripts, before)
    if before is None:
        raise Conflict("There is no migration to revert", code="nothing_to_take_back")
    below = scripts.get_revision(before).down_revision
    with _translated_errors(before):
        command.downgrade(_config(timeouts.options(remaining_ms())), str(below or "base"))
    logs.event("migration.taken_back", revision=before)
    return Migrated(before=before, at=_read_revision(), applied=[], complete=True)


def _config(options: dict[str, str]) -> Config:
    """As alembic.ini and the command line would create it; the package contains no alembic.ini."""
    config = Config(cmd_opts=Namespace(x=[f"{name}={value}" for name, value in options.items()]))
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(map(str, VERSIONS)).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config({}))


def _read_revision() -> str | None:
    """The database's current revision, read as the owner: before the first migration no other role can read it."""
    found: list[str] = []

    def look(heads: Any, context: Any) -> list[Any]:
        found.extend(context.get_current_heads())
        return []

    config = _config({"lock_timeout": "5s", "statement_timeout": "10s"})
    with _translated_errors("the schema's version"):
        with EnvironmentContext(config, ScriptDirectory.from_config(config), fn=look, dont_mutate=True) as environment:
            environment.script.run_env()
    return found[0] if found else None


def _between(scripts: ScriptDirectory, at: str | None, target: str) -> list[Revision]:
    """Revisions after `at` up to the target, in order of application."""
    revisions = [
        Revision(revision=script.revision, title=" ".join(script.doc.split()))
        for script in scripts.walk_revisions("base", target)
    ][::-1]
    applied = [revision.revision for revision in revisions]
    if at is not None and at not in applied:
        return []
    return revisions[applied.index(at) + 1 if at is not None else 0 :]


def _target(scripts: ScriptDirectory, to: str) -> str:
    if to == "head":
        return str(scripts.get_current_head())
    if not _knows(scripts, to):
        raise InvalidInput(fields=[FieldProblem("to", "must be head or a revision such as 0002")])
    return to


def _knows(scripts: ScriptDirectory, revision: str) -> bool:
    return any(script.revision == revision for script in scripts.walk_revisions())


def _check_known(scripts: ScriptDirectory, at: str | None) -> None:
    if at is not None and not _knows(scripts, at):
        raise Conflict(
            f"The schema is at {at}, which belongs to a later release: only that one can change it", code="schema_ahead"
        )


@contextmanager
def _translated_errors(revision: str) -> Iterator[None]:
    """Raises our errors for the driver's. A revision's partial work is rolled back, or starts over the next time."""
    try:
        yield
    except SystemExit as error:  # raised by the environment if it is not configured
        raise SettingsError(str(error)) from error
    except OSError as error:
        raise Unavailable("The database cannot be reached", internal=str(error)) from error
    except DBAPIError as error:
        raise _translate(revision, error) from error


def _translate(revision: str, error: DBAPIError) -> AppError:
    state = sqlstate(error.orig) if error.orig is not None else ""
    if state in ERROR_RULES:
        code, reason = ERROR_RULES[state]
        return Conflict(
            f"{revision} was stopped: {reason}; try again, `migrate status` shows the current revision", code=code
        )
    if not state or state.startswith(("08", "28", "53", "57")):
        return Unavailable("The database cannot be reached", internal=state or str(error.orig))
    return AppError(f"{revision} failed; the log has the reason", internal=f"SQLSTATE {state}", code="migration_failed")
