"""Pages of many requests: they keep their lease and stop before the invocation's deadline."""

from datetime import datetime

import pg8000.native
import pytest

from chalicelib.services.sync import leases
from chalicelib.services.throttling.retries import MAX_ATTEMPTS_WITHOUT_PROGRESS
from dev.sandbox import Sandbox
from tests.services.conftest import PLENTY_MS, Studio


def test_a_page_of_many_requests_keeps_its_lease(
    studio: Studio, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LONG_PAGE_SECONDS", 0)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0)
    run = studio.start("inquiries")
    ends: set[tuple[datetime, ...]] = set()

    def watch() -> int:
        ends.update(map(tuple, superuser.run("SELECT lease_expires_at FROM sync_log WHERE pages = 0") or ()))
        return PLENTY_MS

    assert studio.work(remaining_ms=watch) == ["succeeded"]
    assert len(ends) > 3
    assert studio.run(run["id"])["attempts"] == 1


def test_a_worker_that_lost_its_run_in_a_page_stops_calling(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LONG_PAGE_SECONDS", 0)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0)
    run = studio.start("inquiries")

    def cancel() -> int:
        if platforms.requests.counts().get("gmail.users.threads.get", 0) == 3:
            studio.api.delete(f"/api/sync/log/{run['id']}")
        return PLENTY_MS

    assert studio.work(remaining_ms=cancel) == ["lease_lost"]
    assert platforms.requests.counts()["gmail.users.threads.get"] == 3


def test_a_page_cut_off_by_the_deadline_is_restarted_by_the_next_invocation(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LONG_PAGE_SECONDS", 0)
    run = studio.start("inquiries")
    remaining = iter([PLENTY_MS] * 5 + [leases.OUT_OF_TIME_MS - 1])
    assert studio.work(remaining_ms=lambda: next(remaining, PLENTY_MS)) == ["handed_over", "succeeded"]
    done = studio.run(run["id"])
    assert (done["attempts"], done["error"]) == (2, None)


def test_a_page_that_never_fits_into_an_invocation_is_abandoned(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LONG_PAGE_SECONDS", 0)
    run = studio.start("inquiries")
    studio.work(remaining_ms=lambda: leases.OUT_OF_TIME_MS - 1)
    done = studio.run(run["id"])
    assert (done["status"], done["error"]["code"], done["attempts"]) == (
        "failed",
        "gave_up",
        MAX_ATTEMPTS_WITHOUT_PROGRESS + 1,
    )


def test_a_worker_out_of_time_ends_silently_if_its_run_was_cancelled(
    studio: Studio, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LONG_PAGE_SECONDS", 0)
    run = studio.start("inquiries")

    def cancel() -> int:
        studio.api.delete(f"/api/sync/log/{run['id']}")
        return leases.OUT_OF_TIME_MS - 1

    assert studio.work(remaining_ms=cancel) == ["lease_lost"]
