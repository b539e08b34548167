"""Drills of the runbook "A lost KMS key": one that is temporarily unavailable, and one that is gone."""

from collections.abc import Iterator

import boto3
import pg8000.native
import pytest

from dev.invocation import REGION
from dev.sandbox import Sandbox, issue_token
from tests.conftest import Queue, Studios, database_time
from tests.dev.runbooks import Operator, dead, operator, read_runbooks
from tests.security.kms import KmsCalls, forget_calls, kms_proxy, refusal
from tests.services.administration import forget
from tests.services.conftest import Studio, connect

__all__ = ["dead", "kms_proxy", "operator"]

RUNBOOK = read_runbooks()["A lost KMS key"]


@pytest.fixture
def kms_key(operator: Operator, kms_proxy: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Deployed with a KMS key."""
    forget_calls()
    monkeypatch.delenv("ENCRYPTION_KEY")
    yield deploy_with_new_key(monkeypatch)
    monkeypatch.undo()
    forget()
    forget_calls()


def deploy_with_new_key(environ: pytest.MonkeyPatch) -> str:
    arn = str(boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]["Arn"])
    environ.setenv("KMS_KEY_IDS", arn)
    forget()
    return arn


@pytest.fixture
def wrapped(kms_key: str, studios: Studios, queue: Queue, platforms: Sandbox) -> Studio:
    """A connected studio whose data key is wrapped under that key."""
    return connect(studios.new(), queue)


@pytest.mark.parametrize("code", ["DisabledException", "KMSInvalidStateException"])
def test_while_a_kms_key_is_unavailable_runs_fail_connections_stay_and_all_recovers(wrapped: Studio, code: str) -> None:
    calls = KmsCalls(REGION)
    calls.answers = refusal(code)
    assert wrapped.sync("bookings")["status"] == "succeeded", "processes that have the key unwrapped go on"
    forget()
    assert wrapped.sync("bookings")["error"]["code"] == "misconfigured"
    assert wrapped.connection()["status"] == "active"
    assert wrapped.api.post("/api/connections", {"platform": "pinterest", "accessToken": "x"}).status == 500
    assert wrapped.api.get("/api/metrics/overview").status == 200
    calls.answers = lambda: None
    assert wrapped.sync("bookings")["status"] == "succeeded"


def test_after_a_kms_key_is_lost_studios_reconnect_and_nothing_else_is_lost(
    wrapped: Studio, operator: Operator, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, now = wrapped.sync("bookings"), database_time().isoformat()
    deploy_with_new_key(monkeypatch)
    assert operator.give(RUNBOOK.command("keys rewrap"))["quarantined"] == 1
    rotated = operator.give(RUNBOOK.command("keys rotate", TIME=now))
    assert (rotated["rekeyed"], rotated["quarantined"], rotated["complete"]) == (1, 3, True)
    assert operator.give(RUNBOOK.command("quarantine list"))["count"] == 3, "two tokens and the key of addresses"
    assert wrapped.sync("bookings")["error"]["code"] == "decryption_failed"
    told = wrapped.connection()
    assert (told["status"], told["statusReason"]["action"]) == ("error", "contact_support")

    grant = issue_token("studio")
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresIn": 3600}
    assert wrapped.api.put("/api/connections/google", tokens).status == 200
    after = wrapped.sync("bookings")
    assert (after["status"], after["records"]["created"]) == ("succeeded", 0), "its data and cursor are there"
    assert before["records"]["created"] > 0
    assert wrapped.sync("inquiries")["status"] == "succeeded", "with a new key of addresses"
    assert wrapped.connection()["id"] == told["id"]
    superuser.run("UPDATE data_key SET retired_at = retired_at - interval '1 hour'")
    assert operator.give(RUNBOOK.command("keys rotate", TIME=now))["keysDeleted"] == 1
    assert operator.give(RUNBOOK.command("quarantine list"))["count"] == 0
