"""The admin function as operators use it: commands and results in JSON, with the administrator's role."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.data.health import SCHEMA_HEAD
from chalicelib.data.postgres.database import close_pool, read
from chalicelib.data.studios import FIND_STUDIOS
from chalicelib.errors import Unauthorized
from chalicelib.logs import JsonFormatter
from chalicelib.services.authentication import authenticate, forget_callers
from chalicelib.services.operations.commands import COMMANDS
from chalicelib.settings import get_settings
from chalicelib.workers.admin import CommandFailed, admin
from dev.invocation import Context
from dev.sandbox import Sandbox
from migrations.privileges import ADMIN
from tests.conftest import Api, Database, Queue, database_time, login_as
from tests.services import administration
from tests.services.conftest import connect

as_administrator = administration.as_administrator

EVERYTHING = frozenset({"admin"})


pytestmark = pytest.mark.usefixtures("as_administrator")


def run(command: str, **fields: Any) -> Any:
    with login_as(ADMIN):
        return invoke(command, **fields)


def invoke(command: str, **fields: Any) -> Any:
    return json.loads(json.dumps(admin({"command": command, **fields}, Context("ansel-test-admin", 300))))


def fails(command: str, **fields: Any) -> dict[str, Any]:
    with pytest.raises(CommandFailed) as caught:
        run(command, **fields)
    error = json.loads(str(caught.value))["error"]
    assert error["requestId"]
    return error  # type: ignore[no-any-return]


@pytest.fixture
def studio() -> dict[str, Any]:
    return run("studio create", name="Anna & Jo", timeZone="Europe/Berlin")  # type: ignore[no-any-return]


def test_a_new_studio_has_a_key_with_full_access(studio: dict[str, Any]) -> None:
    caller = authenticate(f"Bearer {studio['apiKey']}")
    assert (str(caller.studio_id), str(caller.key_id), caller.scopes) == (
        studio["studioId"],
        studio["keyId"],
        EVERYTHING,
    )
    assert run("studio show", studioId=studio["studioId"])["studio"]["timeZone"] == "Europe/Berlin"


def test_a_studio_is_created_with_its_key_or_not_at_all(superuser: pg8000.native.Connection) -> None:
    superuser.run("ALTER TABLE api_key ADD CONSTRAINT none CHECK (false) NOT VALID")
    try:
        assert fails("studio create", name="Anna & Jo")["code"] == "internal_error"
    finally:
        superuser.run("ALTER TABLE api_key DROP CONSTRAINT none")
    assert superuser.run("SELECT count(*) FROM studio") == [[0]]


def test_a_leaked_key_is_revoked_while_two_rotations_run(
    studio: dict[str, Any], superuser: pg8000.native.Connection
) -> None:
    """As many commands at once as the admin function has concurrency reserved for."""
    leaked = {"studioId": studio["studioId"], "keyId": studio["keyId"]}
    superuser.run("BEGIN")
    superuser.run("SELECT FROM data_key FOR UPDATE")  # a rotation waits for each studio's key
    before = database_time().isoformat()
    with login_as(ADMIN), ThreadPoolExecutor(2) as pool:
        rotations = [pool.submit(invoke, "keys rotate", madeBefore=before) for _ in range(2)]
        try:
            for rotation in rotations:
                administration.wait_for_a_lock(superuser, rotation)
            assert invoke("api-key revoke", **leaked)["id"] == studio["keyId"]
            assert superuser.run("SELECT revoked_at IS NULL FROM api_key") == [[False]]
            assert not any(rotation.done() for rotation in rotations)
        finally:
            superuser.run("COMMIT")
        reports = [rotation.result() for rotation in rotations]
    assert all(report["complete"] for report in reports)
    assert sum(report["rekeyed"] for report in reports) == 1
    with pytest.raises(Unauthorized):
        authenticate(f"Bearer {studio['apiKey']}")


def test_an_invalid_field_is_named_and_its_value_is_not_repeated() -> None:
    error = fails("studio create", name=" ", timeZone=7, owner="QXcanary")
    assert error["code"] == "invalid_input"
    assert {field["field"] for field in error["fields"]} == {"name", "timeZone", "owner"}
    assert "QXcanary" not in json.dumps(error["fields"][1:])


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    assert [field["field"] for field in fails("studio create", name="x", timeZone="Mars/Base")["fields"]] == [
        "timeZone"
    ]


@pytest.mark.parametrize("event", [{}, {"command": "studio destroy"}, {"command": ["studio list"]}])
def test_the_error_for_an_unknown_command_lists_the_known_ones(event: dict[str, Any]) -> None:
    with pytest.raises(CommandFailed) as caught:
        admin(event, Context("ansel-test-admin", 300))
    (field,) = json.loads(str(caught.value))["error"]["fields"]
    assert field["field"] == "command"
    assert "studio list" in field["problem"]


@pytest.mark.parametrize("event", [None, [], "studio list"])
def test_a_command_that_is_not_an_object_is_refused(event: Any) -> None:
    with pytest.raises(CommandFailed, match="JSON object"):
        admin(event, Context("ansel-test-admin", 300))


def test_help_names_every_command_with_its_fields() -> None:
    told = {item["command"]: item for item in run("help")["items"]}
    assert set(told) == set(COMMANDS)
    assert all(item["does"] for item in told.values())
    assert told["studio create"]["required"] == ["name"]
    assert told["studio create"]["fields"]["timeZone"]["default"] == "UTC"
    described = [field for item in told.values() for field in item["fields"].values()]
    assert all(field["description"] for field in described)


def test_studios_are_listed_page_by_page() -> None:
    made = [run("studio create", name=f"Studio {number}")["studioId"] for number in range(3)]
    first = run("studio list", limit=2)["items"]
    rest = run("studio list", limit=2, after=first[-1]["id"])["items"]
    assert [item["id"] for item in [*first, *rest]] == made
    assert set(first[0]) == {"id", "name", "timeZone", "createdAt"}


def test_the_application_itself_cannot_list_studios(
    studio: dict[str, Any], clean_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_pool()
    monkeypatch.setenv("DATABASE_URL", clean_database.url("ansel_api"))
    get_settings.cache_clear()
    with pytest.raises(DatabaseError, match="permission denied for function find_studios"):
        read(None, FIND_STUDIOS, after=UUID(int=0), batch=10)
    close_pool()


def test_a_key_can_be_created_listed_and_revoked(studio: dict[str, Any]) -> None:
    made = run("api-key create", studioId=studio["studioId"], name="dashboard", scopes=["metrics:read"])
    assert authenticate(f"Bearer {made['apiKey']}").scopes == {"metrics:read"}
    listed = run("api-key list", studioId=studio["studioId"])["items"]
    assert [(key["name"], key["scopes"]) for key in listed] == [("first", ["admin"]), ("dashboard", ["metrics:read"])]
    assert set(listed[0]) == {"id", "name", "scopes", "createdAt", "expiresAt", "revokedAt"}
    assert run("api-key revoke", studioId=studio["studioId"], keyId=made["keyId"])["revokedAt"]
    forget_callers()
    with pytest.raises(Exception, match="no longer valid"):
        authenticate(f"Bearer {made['apiKey']}")


def test_a_scope_that_does_not_exist_is_refused(studio: dict[str, Any]) -> None:
    error = fails("api-key create", studioId=studio["studioId"], name="x", scopes=["admin", "everything"])
    assert [field["field"] for field in error["fields"]] == ["scopes[1]"]


def test_a_key_for_a_studio_that_does_not_exist_is_refused() -> None:
    assert fails("api-key create", studioId=str(uuid4()), name="x")["code"] == "studio_not_found"
    assert fails("studio show", studioId=str(uuid4()))["code"] == "studio_not_found"
    assert fails("api-key list", studioId=str(uuid4()))["code"] == "studio_not_found"


def test_a_studios_health_shows_its_connections_streams_and_runs_and_no_token_or_customer(
    studio: dict[str, Any], api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    connected = connect(api, queue)
    connected.sync("bookings")
    superuser.run("UPDATE booking SET client_name = 'QXcanary', notes = 'QXcanary'")
    superuser.run("UPDATE platform_connection SET external_account_name = 'QXcanary'")
    connected.start("bookings")
    superuser.run("UPDATE sync_log SET queued_at = now() - interval '2 days' WHERE status = 'queued'")
    shown = run("studio show", studioId=str(api.studio_id))
    assert [(item["platform"], item["status"], item["health"]) for item in shown["connections"]] == [
        ("google", "active", "healthy")
    ]
    streams = {item["syncType"]: item for item in shown["streams"]}
    assert (streams["bookings"]["state"], streams["bookings"]["failuresInRow"]) == ("stuck", 0)
    assert streams["bookings"]["lastSuccessAt"]
    assert streams["inquiries"]["lastSuccessAt"] is None
    assert (shown["runs"]["active"], shown["runs"]["stuck"]) == (1, 1)
    assert [key["retiredAt"] for key in shown["dataKeys"]] == [None]
    assert shown["quarantined"] == []
    assert shown["rows"]["booking"] > 0
    assert "QXcanary" not in json.dumps(shown)
    (row,) = superuser.run("SELECT encode(access_token, 'base64') FROM platform_connection") or [[""]]
    assert row[0][:20] not in json.dumps(shown)


def test_a_new_key_is_in_the_result_but_not_in_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    studio = run("studio create", name="QXcanary studio")
    fresh = run("api-key create", studioId=studio["studioId"], name="QXcanary key")
    rotated = run("api-key rotate", studioId=studio["studioId"], keyId=fresh["keyId"])
    told = "\n".join(f"{JsonFormatter().format(r)} {vars(r)!r}" for r in caplog.records)
    for made in (studio, fresh, rotated):
        assert made["apiKey"].startswith("ansel_")
        assert made["apiKey"].split("_")[2] not in told
    assert "QXcanary" not in told


def test_each_command_is_logged_with_its_name_and_its_ids(
    studio: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    lines: list[dict[str, Any]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(json.loads(JsonFormatter().format(record)))  # type: ignore[method-assign]
    logging.getLogger("ansel").addHandler(handler)
    made = run("api-key create", studioId=studio["studioId"], name="x")
    logging.getLogger("ansel").removeHandler(handler)
    (done,) = [line for line in lines if line["event"] == "admin.done"]
    assert (done["command"], done["studio_id"], done["key_id"]) == ("api-key create", studio["studioId"], made["keyId"])
    assert done["request_id"]


def test_a_refused_command_is_not_an_error_but_a_broken_one_is(
    studio: dict[str, Any], superuser: pg8000.native.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    fails("api-key revoke", studioId=studio["studioId"], keyId=str(uuid4()))
    assert "job.failed" not in [record.getMessage() for record in caplog.records]
    superuser.run("ALTER TABLE api_key RENAME COLUMN scopes TO gone")
    try:
        error = fails("api-key list", studioId=studio["studioId"])
    finally:
        superuser.run("ALTER TABLE api_key RENAME COLUMN gone TO scopes")
    assert error["code"] == "internal_error"
    assert "scopes" not in error["message"]
    assert "job.failed" in [record.getMessage() for record in caplog.records]


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENCRYPTION_KEY")
    get_settings.cache_clear()
    error = fails("studio list")
    get_settings.cache_clear()
    assert (error["code"], error["message"]) == ("misconfigured", "ENCRYPTION_KEY is not set")


def test_an_operator_can_manage_keys(studio: dict[str, Any]) -> None:
    status = run("keys status")
    assert (status["toRewrap"], status["retired"], status["quarantined"]) == (0, 0, 0)
    assert run("keys rewrap", dryRun=True)["complete"]
    assert run("keys rotate", madeBefore=database_time().isoformat(), dryRun=True)["studios"] == 1
    assert run("keys rotate", madeBefore=database_time().isoformat())["rekeyed"] == 1
    assert run("quarantine list")["items"] == []


def test_an_operator_can_list_and_clear_waits(studio: dict[str, Any]) -> None:
    assert run("throttle list") == {"shared": [], "accounts": [], "runs": []}
    nothing = {"circuits": 0, "quotas": 0, "runs": 0, "complete": True}
    assert run("throttle clear", platform="google") == {"platform": "google", "studioId": None, **nothing}
    told = run("throttle clear", platform="google", studioId=studio["studioId"])
    assert told == {"platform": "google", "studioId": studio["studioId"], **nothing}
    assert fails("throttle clear", platform="myspace")["code"] == "unknown_platform"
    assert [field["field"] for field in fails("throttle clear")["fields"]] == ["platform"]


def test_a_studio_is_erased_only_with_a_matching_confirmation(studio: dict[str, Any]) -> None:
    studio_id = studio["studioId"]
    told = run("studio erase", studioId=studio_id, dryRun=True)
    assert (told["dryRun"], told["rows"]["api_key"]) == (True, 1)
    for confirm in ("", "Anna", str(uuid4())):
        assert [f["field"] for f in fails("studio erase", studioId=studio_id, confirm=confirm)["fields"]] == ["confirm"]
    assert len(run("studio list")["items"]) == 1
    assert run("studio erase", studioId=studio_id, confirm="Anna & Jo")["complete"]
    assert run("studio list")["items"] == []
    assert [erased["studioId"] for erased in run("erasures list")["items"]] == [studio_id]
    assert run("studio erase", studioId=studio_id, confirm=studio_id)["complete"]
    forget_callers()
    with pytest.raises(Exception, match="not valid"):
        authenticate(f"Bearer {studio['apiKey']}")


def test_the_schema_is_reverted_only_when_confirmed() -> None:
    assert run("migrate status")["state"] == "current"
    assert run("migrate up") == {"before": SCHEMA_HEAD, "at": SCHEMA_HEAD, "applied": [], "complete": True}
    assert [field["field"] for field in fails("migrate down", confirm=False)["fields"]] == ["confirm"]
    assert [field["field"] for field in fails("migrate down")["fields"]] == ["confirm"]
