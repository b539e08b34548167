"""Plants personal data in what platforms and the database return wherever a call can fail, then searches the logs."""

import logging
from typing import Any

import pytest

from dev.sandbox import meta, pinterest, yelp
from tests import canary
from tests.canary import Drive

drive = canary.drive

CUSTOMER = "anna.ruiz@bride-canary.example"
WORDS = "Are you free on 12 June, dear Canarybird?"
PRIVATE: dict[str, str | bytes] = {"the customer's address": CUSTOMER, "what the customer wrote": WORDS}
HOSTS = {
    "google": ("www.googleapis.com", "gmail.googleapis.com", "oauth2.googleapis.com"),
    "meta": ("graph.facebook.com",),
    "pinterest": ("api.pinterest.com",),
    "yelp": ("api.yelp.com",),
}
QUOTED = f"{CUSTOMER}: {WORDS}"
BODIES: tuple[Any, ...] = (
    {"error": {"code": 400, "message": QUOTED, "status": QUOTED, "errors": [{"reason": QUOTED, "location": CUSTOMER}]}},
    {"error": {"message": QUOTED, "code": 100, "error_subcode": 7, "fbtrace_id": QUOTED, "error_user_msg": QUOTED}},
    {"error": {"code": QUOTED, "description": QUOTED, "field": CUSTOMER}},
    {"error": QUOTED, "error_description": QUOTED, "error_subtype": CUSTOMER},
    {"code": 7, "message": QUOTED},
    f"<html>{QUOTED}</html>",
)
QUOTING_ROWS = f"""
    CREATE FUNCTION quote_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'bad row: % %', NEW.client_email, NEW.title USING DETAIL = NEW.title, HINT = NEW.client_email;
    END $$;
    CREATE TRIGGER quote_it BEFORE INSERT ON booking FOR EACH ROW
    WHEN (NEW.client_email = '{CUSTOMER}') EXECUTE FUNCTION quote_it()
"""
READING_TEXT_AS_A_NUMBER = f"""
    CREATE FUNCTION read_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        NEW.title = NEW.client_email::int;
        RETURN NEW;
    END $$;
    CREATE TRIGGER read_it BEFORE INSERT ON booking FOR EACH ROW
    WHEN (NEW.client_email = '{CUSTOMER}') EXECUTE FUNCTION read_it()
"""
REFUSING_ROWS = f"ALTER TABLE booking ADD CONSTRAINT no_canary CHECK (client_email <> '{CUSTOMER}') NOT VALID"


def in_the_logs(drive: Drive, private: dict[str, str | bytes] = PRIVATE) -> set[tuple[str, str]]:
    """The API's responses are the studio's own; the sources of log lines count as well as the lines."""
    return {leak for leak in drive.evidence.leaks(private) if leak[0] in ("log", "event", "exception")}


def connect_everything(drive: Drive) -> None:
    tokens = {"meta": meta.issue_token().access_token, "pinterest": pinterest.issue_token().access_token}
    for platform, token in tokens.items():
        body = {"platform": platform, "accessToken": token, "expiresIn": 3600}
        assert drive.call("POST", "/api/connections", body).status == 201
    assert drive.call("POST", "/api/connections", {"platform": "yelp", "accountId": yelp.BUSINESS_ALIAS}).status == 201
    assert drive.call("POST", "/api/connections", {"platform": "google", **drive.grant()}).status == 201


def use(drive: Drive, platform: str) -> None:
    drive.call("POST", f"/api/connections/{platform}/test")
    if platform in ("google", "meta"):
        drive.call("POST", f"/api/sync/{platform}", {})
        drive.work()
        drive.end_waiting()
    drive.superuser.run(
        "UPDATE platform_connection SET status = 'active'; UPDATE sync_schedule SET paused_at = NULL, paused_by = NULL;"
        " DELETE FROM account_quota; DELETE FROM app_quota; DELETE FROM platform_circuit"
    )


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 503])
def test_platform_text_is_not_logged(drive: Drive, status: int) -> None:
    connect_everything(drive)
    for platform, hosts in HOSTS.items():
        for body in BODIES:
            for host in hosts:
                headers = {"X-Pinterest-Rid": QUOTED.replace("@", "")}
                drive.platforms.add_fault(
                    kind="status", host=host, status=status, body=body, headers=headers, times=None
                )
            use(drive, platform)
            drive.platforms.clear_faults()
    assert in_the_logs(drive) == set()
    lines = b"\n".join(drive.evidence.places["event"])
    assert b"run.failed" in lines or b"run.deferred" in lines


def test_path_values_are_not_logged(drive: Drive) -> None:
    """A calendar is identified by its owner's address, an ad account and a business by their ids."""
    connect_everything(drive)
    assert drive.call("POST", "/api/connections/google/test").json["valid"] is True
    owner = drive.platforms.google.account("studio").owner.email
    private: dict[str, str | bytes] = {"the studio's address": owner, "its business": yelp.BUSINESS_ALIAS}
    for kind in ("status", "reset", "truncate", "shape"):
        for host in (host for hosts in HOSTS.values() for host in hosts):
            drive.platforms.add_fault(kind=kind, host=host, path="(?!.*(calendarList|tokeninfo|userinfo))", times=None)
        for platform in HOSTS:
            use(drive, platform)
        drive.platforms.clear_faults()
    paths = [request["path"] for request in drive.platforms.requests.list()]
    assert any(owner.replace("@", "%40") in path or owner in path for path in paths)
    assert any(yelp.BUSINESS_ALIAS in path for path in paths)
    assert in_the_logs(drive, private) == set()
    logged = b"\n".join(drive.evidence.places["log"]).decode()
    assert "www.googleapis.com/calendar/v3/calendars/{calendar}/events" in logged
    assert "graph.facebook.com/v26.0/me/adaccounts" in logged


@pytest.mark.parametrize(
    ("trouble", "remedy"),
    [
        (QUOTING_ROWS, "DROP FUNCTION quote_it() CASCADE"),
        (READING_TEXT_AS_A_NUMBER, "DROP FUNCTION read_it() CASCADE"),
        (REFUSING_ROWS, "ALTER TABLE booking DROP CONSTRAINT no_canary"),
    ],
    ids=["a message of a function", "a value that cannot be read", "a row that is refused"],
)
def test_row_values_in_database_errors_are_not_logged(drive: Drive, trouble: str, remedy: str) -> None:
    connect_everything(drive)
    drive.platforms.google.add_event({"summary": WORDS, "attendees": [{"email": CUSTOMER}]})
    drive.superuser.run(trouble)
    try:
        drive.call("POST", "/api/sync/google", {"syncType": "bookings"})
        drive.work()
    finally:
        drive.superuser.run(remedy)
    assert drive.outcomes == {"crashed"}
    assert in_the_logs(drive) == set()
    lines = b"\n".join(drive.evidence.places["log"])
    assert b"run.crashed" in lines
    assert b"DatabaseError" in lines


def test_the_search_finds_planted_text(drive: Drive) -> None:
    logging.getLogger("ansel").error("run.failed", extra={"fields": {"reason": f"refused: {CUSTOMER}"}})
    assert in_the_logs(drive) == {("log", "the customer's address"), ("event", "the customer's address")}
