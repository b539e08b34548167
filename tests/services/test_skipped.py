"""Records that a stream's rules leave out: counted by reason, and kept as an id and a hash alone."""

import pg8000.native

from dev.sandbox import Sandbox
from tests.conftest import LogLines
from tests.services.conftest import Studio, scalar, status_of

NEWSLETTER = {"List-Unsubscribe": "<https://x.test>", "List-Id": "<news.x.test>", "Precedence": "bulk"}


def test_what_is_left_out_is_counted_by_reason_on_the_run_and_in_the_status(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    run = studio.sync("inquiries")
    kept = dict(superuser.run("SELECT reason, count(*) FROM skipped_record GROUP BY reason"))
    assert run["skipped"] == kept
    assert sum(kept.values()) > 0
    assert status_of(studio, "inquiries")["skipped"] == kept
    platforms.google.add_message(sender="News <news@x.test>", headers=NEWSLETTER)
    again = studio.sync("inquiries")
    assert sum(again["skipped"].values()) == 1
    assert sum(status_of(studio, "inquiries")["skipped"].values()) == sum(kept.values()) + 1


def test_nothing_of_the_content_and_no_address_in_the_clear_is_kept(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, log_lines: LogLines
) -> None:
    platforms.google.add_message(sender="Canary <canary@x.test>", subject="Canary", text="canary", headers=NEWSLETTER)
    studio.sync("inquiries")
    rows = superuser.run("SELECT s::text FROM skipped_record AS s")
    assert rows
    assert "canary" not in repr(rows).lower()
    assert "canary" not in log_lines.text.lower()
    assert scalar(superuser, "SELECT count(*) FROM inquiry WHERE contact_email LIKE '%canary%'") == 0
