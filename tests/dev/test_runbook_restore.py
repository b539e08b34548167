"""Drills of the runbook "Restore a backup": what has to be repeated, and what recovers automatically."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import run

import pytest

from dev.postgres import HOST, JOINT, program
from dev.sandbox import Sandbox, pinterest
from tests.conftest import Api, Database, Queue, Studios
from tests.dev.runbooks import Operator, answers, dead, new_key, operator, read_runbooks, serve, tick_once
from tests.services.administration import forget
from tests.services.conftest import Studio, studio

__all__ = ["dead", "operator", "studio"]

RUNBOOK = read_runbooks()["Restore a backup"]


Backup = Callable[[], None]
Restore = Callable[[], Operator]


@pytest.fixture
def back_up(operator: Operator, tmp_path: Path) -> Backup:
    return lambda: postgres("pg_dump", operator.database, "--format=custom", f"--file={tmp_path / 'backup'}")


@pytest.fixture
def restore(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restore]:
    """Restores the backup into another database, makes the product use it, and returns an operator for it."""
    there = replace(operator.database, name=f"{operator.database.name}_restored")

    def restore() -> Operator:
        postgres("createdb", there)
        postgres("pg_restore", there, "--exit-on-error", str(tmp_path / "backup"), "--dbname")
        monkeypatch.setenv("DATABASE_URL", there.url(JOINT))
        forget()
        return replace(operator, database=there)

    yield restore
    monkeypatch.undo()
    forget()
    postgres("dropdb", there, "--force")


def postgres(name: str, database: Database, *arguments: str) -> None:
    """Runs one of PostgreSQL's programs with the database's name as the last argument."""
    place = [f"--host={HOST}", f"--port={database.port}", "--username=postgres"]
    environ = {**os.environ, "PGPASSWORD": database.passwords["postgres"]}
    run([program(name), *place, *arguments, database.name], env=environ, check=True)


def minutes_pass(database: Database) -> None:
    """The tick re-enqueues what no worker took, and refreshes."""
    beside = database.connect()
    beside.run("UPDATE sync_log SET enqueue_at = now(); UPDATE platform_connection SET refresh_at = now()")
    beside.close()


def test_erasures_and_revocations_since_the_backup_are_repeated(
    studios: Studios, operator: Operator, back_up: Backup, restore: Restore
) -> None:
    studio, erased = studios.new(), studios.new()
    key_id, leaked = new_key(operator, studio)
    back_up()
    operator.give(RUNBOOK.command("studio erase", STUDIO=erased.studio_id))
    operator.give(RUNBOOK.command("api-key revoke", STUDIO=studio.studio_id, KEY=key_id))
    (noted,) = operator.give(RUNBOOK.command("erasures list"))["items"]

    there = restore()
    assert there.give(RUNBOOK.command("keys status"))["toRewrap"] == 0
    assert (answers(erased), answers(leaked), answers(studio)) == (200, 200, 200), "what the restore has undone"
    assert there.give(RUNBOOK.command("studio erase", STUDIO=noted["studioId"]))["complete"]
    there.give(RUNBOOK.command("api-key revoke", STUDIO=studio.studio_id, KEY=key_id))
    assert (answers(erased), answers(leaked), answers(studio)) == (401, 401, 200)


def test_runs_in_progress_continue_and_later_data_are_read_again(
    studio: Studio, operator: Operator, back_up: Backup, restore: Restore, platforms: Sandbox
) -> None:
    studio.sync("bookings")
    waiting = studio.start("inquiries")
    back_up()
    platforms.google.add_event({"summary": "Wedding Booked & Since"})
    assert studio.sync("bookings")["records"]["created"] == 1
    assert studio.run(waiting["id"])["status"] == "succeeded"
    unknown = studio.start("bookings")

    there = restore()
    serve(studio.queue)
    assert studio.api.get(f"/api/sync/log/{unknown['id']}").status == 404, "its message was dropped"
    assert studio.run(waiting["id"])["status"] == "queued"
    minutes_pass(there.database)
    tick_once()
    serve(studio.queue)
    assert studio.run(waiting["id"])["status"] == "succeeded"
    studio.sync("bookings")
    *since, before = studio.api.get("/api/sync/log?syncType=bookings").json["items"]
    assert [sum(run["records"][kind] for run in since) for kind in ("created", "seen")] == [1, 1], "by the old cursor"
    assert before["records"]["created"] > 1


def test_a_refresh_token_replaced_since_the_backup_requires_reconnecting(
    api: Api, queue: Queue, operator: Operator, back_up: Backup, restore: Restore, platforms: Sandbox
) -> None:
    grant = pinterest.issue_token("studio")
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresIn": grant.expires_in}
    assert api.post("/api/connections", {"platform": "pinterest", **tokens}).status == 201
    back_up()

    def refreshed_in(database: Database) -> tuple[str, str]:
        minutes_pass(database)
        tick_once()
        serve(queue)
        told = api.get("/api/connections/pinterest").json
        return told["status"], told["statusReason"]["action"]

    assert refreshed_in(operator.database) == ("active", "none")
    assert refreshed_in(restore().database) == ("revoked", "reconnect")
