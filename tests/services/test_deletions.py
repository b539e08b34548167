"""Records missing from a complete read are deleted, unless suspiciously many are missing."""

from typing import Any

import msgspec
import pg8000.native
import pytest

from chalicelib.errors import CursorExpired
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Page, Stream
from dev.sandbox import Sandbox
from tests.conftest import TODAY
from tests.services.conftest import Studio, scalar


def test_suspiciously_many_deletions_wait_for_confirmation(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    bulk.sync("bookings")
    superuser.run("UPDATE booking SET external_id = 'elsewhere/' || external_id WHERE event_date > :day", day=TODAY)
    count = scalar(superuser, "SELECT count(*) FROM booking WHERE event_date > :day", day=TODAY)
    platforms.google.expire_sync_tokens(bulk.account)
    refused = bulk.sync("bookings")
    assert (refused["status"], refused["records"]["deleted"]) == ("succeeded", 0)
    assert refused["deletionsRefused"] == count > 1000
    assert scalar(superuser, "SELECT refused_deletions FROM account_position WHERE stream = 'bookings'") == count
    assert bulk.sync("bookings")["deletionsRefused"] == 0  # it reads only changes and cannot tell
    assert scalar(superuser, "SELECT refused_deletions FROM account_position WHERE stream = 'bookings'") == count
    answer = bulk.api.post("/api/sync/google", {"syncType": "bookings", "confirmDeletions": True})
    assert answer.status == 202
    assert bulk.work() == ["succeeded"]
    confirmed = bulk.run(answer.json["runs"][0]["id"])
    assert (confirmed["fullRead"], confirmed["records"]["deleted"]) == (True, count)
    assert scalar(superuser, "SELECT refused_deletions FROM account_position WHERE stream = 'bookings'") == 0


def test_deletions_cannot_be_confirmed_for_a_run_in_progress(studio: Studio) -> None:
    studio.start("bookings")
    answer = studio.api.post("/api/sync/google", {"syncType": "bookings", "confirmDeletions": True})
    assert (answer.status, answer.json["code"]) == (409, "run_under_way")


def test_records_stored_before_a_run_started_over_can_be_deleted_at_its_end(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    """The changed event comes with the first page of changes, and is gone when the expired cursor restarts the read."""
    event = platforms.google.add_event({"summary": "Wedding"})
    studio.sync("bookings")
    platforms.google.update_event(event["id"], {"summary": "Wedding, moved"})
    fetch_page = Stream.fetch_page
    fetched = []

    def in_two_pages(stream: Stream[Any], client: Client, cursor: str | None) -> Page[Any]:
        fetched.append(cursor)
        if len(fetched) == 2:
            platforms.google.delete_event(event["id"])
            raise CursorExpired()
        page = fetch_page(stream, client, cursor)
        return msgspec.structs.replace(page, last=False) if len(fetched) == 1 else page

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stream, "fetch_page", in_two_pages)
        run = studio.sync("bookings")
    assert (run["status"], run["fullRead"], run["records"]["updated"]) == ("succeeded", True, 1)
    assert superuser.run("SELECT status FROM booking WHERE title = 'Wedding, moved'") == [["cancelled"]]
