"""Leads as runs find them in the sandbox's mailbox: who waits, and what is stored of the rest."""

import pg8000.native

from dev.sandbox import Sandbox
from tests.services.conftest import Studio, scalar

KIM = "Kim Lund <kim@example.com>"
OF_KIM = "SELECT certainty, status, waiting_since IS NOT NULL FROM inquiry WHERE contact_email = 'kim@example.com'"
TABLES = ("person", "person_identity", "conversation", "thread", "message", "inquiry", "skipped_record")


def test_an_answer_in_another_thread_ends_the_wait(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.add_message(sender=KIM)
    studio.sync("inquiries")
    assert superuser.run(OF_KIM) == [["lead", "new", True]]
    answer = platforms.google.add_message(sender=KIM, subject="Your wedding", labels=["SENT"])
    studio.sync("inquiries")
    assert superuser.run(OF_KIM) == [["lead", "contacted", False]]
    platforms.google.add_message(thread_id=answer["threadId"], sender=KIM, text="And what does an album cost?")
    studio.sync("inquiries")
    assert superuser.run(OF_KIM) == [["lead", "contacted", True]]
    threads = (
        "SELECT count(*) FROM thread JOIN inquiry USING (studio_id, conversation_id) WHERE contact_name = 'Kim Lund'"
    )
    assert scalar(superuser, threads) == 2


def test_thanks_do_not_wait(studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection) -> None:
    asked = platforms.google.add_message(sender=KIM)
    platforms.google.add_message(thread_id=asked["threadId"], labels=["SENT"])
    platforms.google.add_message(thread_id=asked["threadId"], text="Thank you so much, perfect!\n\nKim Lund")
    studio.sync("inquiries")
    assert superuser.run(OF_KIM) == [["lead", "contacted", False]]


def test_a_second_thread_is_no_second_lead(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.add_message(sender=KIM)
    studio.sync("inquiries")
    platforms.google.add_message(sender=KIM, subject="One more question")
    run = studio.sync("inquiries")
    assert (run["records"]["created"], run["records"]["updated"]) == (0, 1)
    assert superuser.run(OF_KIM) == [["lead", "new", True]]


def test_the_mailbox_is_judged(studio: Studio, superuser: pg8000.native.Connection) -> None:
    """Five people whom the studio wrote to before asked about a job without a date: perhaps leads."""
    studio.sync("inquiries")
    reasons = dict(superuser.run("SELECT reason, count(*) FROM inquiry GROUP BY reason") or ())
    assert reasons == {"trade_word": 38, "form": 4, "repeat": 5}
    assert scalar(superuser, "SELECT count(*) FROM inquiry WHERE (certainty = 'perhaps') <> (reason = 'repeat')") == 0


def test_no_text_of_private_mail_is_stored(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    for labels in (["SENT"], ["INBOX", "CATEGORY_SOCIAL"]):
        platforms.google.add_message(sender="Canary <canary@x.test>", subject="Canary", text="canary", labels=labels)
    studio.sync("inquiries")
    for table in TABLES:
        rows = superuser.run(f"SELECT t::text FROM {table} AS t") or ()
        assert rows
        assert "canary" not in repr(rows).lower(), table
