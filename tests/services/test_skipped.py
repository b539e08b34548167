"""Records that a stream's rules skip: counted by reason, and stored only as an id and a hash."""

import pg8000.native

from dev.sandbox import Sandbox
from tests.conftest import LogLines
from tests.services.conftest import Studio, scalar, status_of

NEWSLETTER = {"List-Unsubscribe": "<https://x.test>", "List-Id": "<news.x.test>", "Precedence": "bulk"}


def test_skipped_records_are_counted_by_reason_on_the_run_and_in_the_status(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    run = studio.sync("inquiries")
    counts = dict(superuser.run("SELECT reason, count(*) FROM skipped_record GROUP BY reason"))
    assert run["skipped"] == counts
    assert sum(counts.values()) > 0
    assert status_of(studio, "inquiries")["skipped"] == counts
    platforms.google.add_message(sender="News <news@x.test>", headers=NEWSLETTER)
    again = studio.sync("inquiries")
    assert sum(again["skipped"].values()) == 1
    assert sum(status_of(studio, "inquiries")["skipped"].values()) == sum(counts.values()) + 1


def test_no_content_and_no_plain_address_is_stored(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, log_lines: LogLines
) -> None:
    platforms.google.add_message(sender="Canary <canary@x.test>", subject="Canary", text="canary", headers=NEWSLETTER)
    studio.sync("inquiries")
    rows = superuser.run("SELECT s::text FROM skipped_record AS s")
    assert rows
    assert "canary" not in repr(rows).lower()
    assert "canary" not in log_lines.text.lower()
    assert scalar(superuser, "SELECT count(*) FROM inquiry WHERE contact_email LIKE '%canary%'") == 0
