"""Records that could not be decoded: set aside with the field and the reason, while all others are stored."""

from base64 import b64encode
from typing import Any
from uuid import UUID

import msgspec
import pg8000.native
import pytest

from chalicelib.data.connections import FIND_STORED_CONNECTION
from chalicelib.data.postgres.database import read, write
from chalicelib.data.studios import NEW_ID
from chalicelib.data.sync.set_aside import STORE_SET_ASIDE
from chalicelib.secret import Secret
from chalicelib.security.vault import vault
from chalicelib.services.sync.left_out import content_data
from dev.sandbox import Sandbox
from tests.conftest import LogLines, Studios
from tests.platforms.gmail_threads import OWN, message, thread
from tests.services.conftest import EVENTS, Studio, scalar, status_of

ODD = {"summary": "Wedding Quinn", "attendees": "just me"}
CANARY = "just me"


def list_set_aside(studio: Studio) -> list[dict[str, Any]]:
    answer = studio.api.get("/api/sync/set-aside")
    assert answer.status == 200, answer.text
    return answer.json["items"]  # type: ignore[no-any-return]


def retry_set_aside(studio: Studio, stream: str = "bookings") -> dict[str, Any]:
    answer = studio.api.post("/api/sync/google/set-aside/retry", {"syncType": stream})
    assert answer.status == 200, answer.text
    return answer.json  # type: ignore[no-any-return]


def account_of(studio: Studio) -> UUID:
    """The calendar that bookings come from; any id before it is known."""
    accounts = studio.api.get("/api/connections/google/accounts").json["items"]
    return next((UUID(account["id"]) for account in accounts if account["isPrimary"]), UUID(int=1))


def keep(studio: Studio, event: dict[str, Any]) -> None:
    """Sets aside an event that an earlier release could not decode; this one may."""
    keep_item(studio, event, {"calendar_id": "cal", "time_zone": "UTC"}, "booking", "bookings")


def keep_item(studio: Studio, item: dict[str, Any], context: dict[str, Any], table: str, stream: str) -> None:
    stored = read(studio.id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert stored is not None
    row_id = read(None, NEW_ID).id
    content = msgspec.json.encode({"item": item, "context": context}).decode()
    sealed = vault().seal(Secret(content), stored.data_keys, content_data(studio.id, row_id))
    row = {"id": row_id, "table_name": table, "external_id": item["id"], "field": "start", "reason": "is missing"}
    rows = msgspec.json.encode([{**row, "content": b64encode(sealed).decode()}]).decode()
    identifiers = {"studio_id": studio.id, "connection_id": stored.id, "platform": "google", "stream": stream}
    write(studio.id, STORE_SET_ASIDE, rows=rows, account_id=account_of(studio), **identifiers)


def test_an_undecodable_record_is_set_aside_and_the_others_are_stored(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, log_lines: LogLines
) -> None:
    odd = platforms.google.add_event(ODD)
    run = studio.sync("bookings")
    assert (run["status"], run["records"]["setAside"]) == ("succeeded", 1)
    assert run["records"]["created"] == scalar(superuser, "SELECT count(*) FROM booking") > 10
    (item,) = list_set_aside(studio)
    assert (item["platform"], item["syncType"], odd["id"] in item["externalId"]) == ("google", "bookings", True)
    assert (item["field"], item["reason"]) == ("attendees", "expected `array`, got `str`")
    assert status_of(studio, "bookings")["setAside"] == 1
    assert CANARY not in log_lines.text
    assert CANARY not in repr(item)
    (event,) = log_lines.named("record.set_aside")
    assert (event["external_id"], event["field"]) == (item["externalId"], "attendees")


def test_a_set_aside_record_is_stored_once_it_can_be_decoded(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    odd = platforms.google.add_event(ODD)
    studio.sync("bookings")
    platforms.google.update_event(odd["id"], {"summary": "Wedding Quinn, still odd"})
    studio.sync("bookings")
    assert len(list_set_aside(studio)) == 1
    platforms.google.update_event(odd["id"], {"attendees": []})
    run = studio.sync("bookings")
    assert (run["records"]["created"], run["records"]["setAside"], run["fullRead"]) == (1, 0, False)
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE title LIKE 'Wedding Quinn%'") == 1
    assert list_set_aside(studio) == []
    assert status_of(studio, "bookings")["setAside"] == 0


def test_a_set_aside_record_is_dropped_when_the_platform_deletes_it(studio: Studio, platforms: Sandbox) -> None:
    odd = platforms.google.add_event(ODD)
    studio.sync("bookings")
    platforms.google.delete_event(odd["id"])
    studio.sync("bookings")
    assert list_set_aside(studio) == []


def test_a_full_read_keeps_the_booking_of_a_record_that_became_undecodable(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    event = platforms.google.add_event({**ODD, "attendees": []})
    studio.sync("bookings")
    platforms.google.update_event(event["id"], {"attendees": CANARY})
    superuser.run("UPDATE account_position SET cursor = NULL")
    assert studio.sync("bookings")["fullRead"]
    assert scalar(superuser, "SELECT status FROM booking WHERE title = 'Wedding Quinn'") == "confirmed"


def test_records_missing_from_a_full_read_are_no_longer_listed(
    studio: Studio, superuser: pg8000.native.Connection
) -> None:
    studio.sync("bookings")
    keep(studio, {"id": "gone"})
    superuser.run("UPDATE set_aside SET last_seen_at = now() - interval '1 day'")
    superuser.run("UPDATE account_position SET cursor = NULL")
    assert studio.sync("bookings")["fullRead"]
    assert list_set_aside(studio) == []


def test_a_retry_stores_what_can_be_decoded_now(studio: Studio, superuser: pg8000.native.Connection) -> None:
    studio.sync("bookings")
    keep(studio, {"id": "e1", "summary": "Wedding Quinn", "start": {"date": "2026-12-01"}})
    keep(studio, {"id": "e2", "summary": "No start"})
    assert retry_set_aside(studio) == {"retried": 2, "stored": 1, "setAside": 1}
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE title = 'Wedding Quinn'") == 1
    assert [item["externalId"] for item in list_set_aside(studio)] == ["e2"]


def test_a_retry_never_overwrites_newer_content(studio: Studio, superuser: pg8000.native.Connection) -> None:
    studio.sync("bookings")
    for title, age in (("New wedding", "0 days"), ("Old wedding", "1 day")):
        keep(studio, {"id": "e1", "summary": title, "start": {"date": "2026-12-01"}})
        superuser.run(f"UPDATE set_aside SET last_seen_at = now() - interval '{age}'")
        assert retry_set_aside(studio) == {"retried": 1, "stored": 1, "setAside": 0}
    assert superuser.run("SELECT title FROM booking WHERE title LIKE '% wedding'") == [["New wedding"]]


def test_undecryptable_records_are_reported(studio: Studio, superuser: pg8000.native.Connection) -> None:
    keep(studio, {"id": "e1", "start": {"date": "2026-12-01"}})
    superuser.run("UPDATE set_aside SET content = set_byte(content, 40, 255 - get_byte(content, 40))")
    assert retry_set_aside(studio) == {"retried": 1, "stored": 0, "setAside": 1}
    (item,) = list_set_aside(studio)
    assert "decrypted" in item["reason"]


@pytest.mark.parametrize(("age", "remaining"), [("23 hours", 1), ("25 hours", 0)])
def test_a_run_retries_records_set_aside_for_a_day(
    studio: Studio, superuser: pg8000.native.Connection, age: str, remaining: int
) -> None:
    studio.sync("bookings")
    keep(studio, {"id": "e1", "start": {"date": "2026-12-01"}})
    superuser.run(f"UPDATE set_aside SET retried_at = now() - interval '{age}'")
    assert studio.sync("bookings")["status"] == "succeeded"
    assert len(list_set_aside(studio)) == remaining


def test_a_page_with_more_than_a_tenth_undecodable_is_a_changed_contract(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    for _ in range(20):
        platforms.google.add_event(ODD)
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("failed", "platform_contract_changed")
    assert scalar(superuser, "SELECT count(*) FROM booking") == 0


def test_two_consecutive_undecodable_pages_are_a_changed_contract(studio: Studio, platforms: Sandbox) -> None:
    studio.sync("bookings")
    for page in ("second", "third"):
        platforms.add_fault(
            kind="status",
            status=200,
            path=EVENTS,
            body={"items": [{"id": page}], "nextPageToken": page},
        )
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("failed", "platform_contract_changed")
    assert [item["externalId"] for item in list_set_aside(studio)] == ["second"]


def test_the_list_is_paged_and_limited_to_the_studio(studio: Studio, studios: Studios) -> None:
    for number in range(3):
        keep(studio, {"id": f"e{number}"})
    path = "/api/sync/set-aside?limit=2&platform=google&syncType=bookings"
    first = studio.api.get(path).json
    rest = studio.api.get(f"{path}&cursor={first['nextCursor']}").json
    assert [item["externalId"] for item in first["items"] + rest["items"]] == ["e2", "e1", "e0"]
    assert rest["nextCursor"] is None
    assert studio.api.get("/api/sync/set-aside?syncType=inquiries").json["items"] == []
    assert studios.new().get("/api/sync/set-aside").json["items"] == []


def test_a_retry_of_an_unknown_stream_names_the_known_ones(studio: Studio) -> None:
    answer = studio.api.post("/api/sync/google/set-aside/retry", {"syncType": "posts"})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "syncType")


def test_threads_that_can_be_read_now_are_judged(studio: Studio, superuser: pg8000.native.Connection) -> None:
    for each in (
        thread(message(1, "INBOX", subject="Wedding prices")),
        thread(message(2, "INBOX", list_id="<x.example>")),
    ):
        keep_item(studio, each, {"own": OWN}, "inquiry", "inquiries")
    assert retry_set_aside(studio, "inquiries") == {"retried": 2, "stored": 2, "setAside": 0}
    assert superuser.run("SELECT external_id, certainty, contact_email FROM inquiry") == [
        ["m1", "lead", "ana@example.org"]
    ]
    assert superuser.run("SELECT external_id, reason FROM skipped_record") == [["m2", "list"]]
    assert list_set_aside(studio) == []
