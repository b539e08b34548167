"""Grants under stress: races, killed workers, outages of days, and real revocations."""

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from chalicelib.data.connection_state import CLAIM_DUE_REFRESHES
from chalicelib.data.connections import FIND_STORED_CONNECTION, StoredConnection
from chalicelib.data.postgres.database import read, transaction
from chalicelib.errors import AppError
from chalicelib.platforms.core.oauth2 import TokenGrant
from chalicelib.secret import Secret
from chalicelib.services.connections import connect as connecting
from chalicelib.services.connections import refresh as refreshes
from chalicelib.services.connections.connections import get_connection, test_connection
from chalicelib.services.connections.tokens import open_access_token
from chalicelib.services.studios import create_studio
from chaos.environment import Environment
from chaos.oracle import Difference
from chaos.scenario_kit import Proof, Size, expect
from dev.sandbox import issue_token, meta, pinterest
from dev.sandbox.faults import Fault

PROCESSES = 4
WAIT_SECONDS = 60.0
STEPS = ("leased", "answered", "stored")
MINTS: dict[str, Callable[..., Any]] = {
    "google": issue_token,
    "pinterest": pinterest.issue_token,
    "meta": meta.issue_token,
}
TOKEN_HOSTS = ("oauth2.googleapis.com", "api.pinterest.com", "graph.facebook.com")
LET_TIME_GO_BY = """
    WITH circuits AS (
        UPDATE platform_circuit SET open_until = open_until - make_interval(secs => :seconds)
    )
    UPDATE platform_connection SET
        refresh_at = refresh_at - make_interval(secs => :seconds),
        token_expires_at = token_expires_at - make_interval(secs => :seconds),
        refresh_token_expires_at = refresh_token_expires_at - make_interval(secs => :seconds)
"""


def race(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """Many workers need the same expired token of a platform that rotates tokens: one request, one new token."""
    found, requests, refreshed = Difference(), 0, 0
    for _ in range(size.times):
        studio_id = connect(environment, "pinterest", lifetime=1)
        environment.sandbox.requests.clear()
        got = refreshed_by(environment, studio_id, "pinterest", threads=size.events // PROCESSES, processes=PROCESSES)
        requests += token_requests(environment)
        refreshed += sum(got.values())
        if got != {hashed(studio_id): PROCESSES * (size.events // PROCESSES)}:
            found.note(f"workers got {len(got)} different results: {sorted(got.values())}")
        if token_requests(environment) != 1:
            found.note(f"{token_requests(environment)} token requests in one race")
        if not test_connection(studio_id, "pinterest", None).valid:
            found.note("a grant was lost")
        environment.clean()
    expect(found, "no worker raced", refreshed > 0)
    return Proof(f"{size.times} races, {refreshed} workers served, {requests} token requests", found)


def killed(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """A worker dies after taking the lease, after the response, or after storing it; the stored state must fit."""
    found, deaths, lost = Difference(), 0, 0
    for platform in ("google", "pinterest"):
        for step in [step for _ in range(size.times) for step in STEPS]:
            studio_id = connect(environment, platform, lifetime=1)
            results = refreshed_by(environment, studio_id, platform, threads=1, processes=1, die=step)
            deaths += not results
            generation = stored(studio_id, platform).token_generation
            if generation != (2 if step == "stored" else 1):
                found.note(f"{platform}, killed when {step}: generation {generation}")
            # The rotated token is lost: the studio has to consent again, and the connection has to say so.
            is_lost = platform == "pinterest" and step == "answered"
            lost += is_lost
            environment.sql("UPDATE platform_connection SET refresh_lease_expires_at = now() - interval '1 s'")
            valid = test_connection(studio_id, platform, None).valid
            connection = get_connection(studio_id, platform)
            wanted = ("revoked", "reconnect") if is_lost else ("active", "none")
            if valid is is_lost or (connection.status, connection.status_reason.action) != wanted:
                found.note(f"{platform}, killed when {step}: {connection.status}, {connection.status_reason.action}")
            environment.clean()
    expect(found, "a worker survived", deaths == size.times * 2 * len(STEPS))
    return Proof(f"{deaths} workers killed, {lost} holding a rotated token", found)


def outage(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """No token endpoint works for hours, half an hour at a time: no connection dies, and all recover afterwards."""
    found = Difference()
    for platform in MINTS:
        for _ in range(size.events):
            connect(environment, platform)
    environment.sql("UPDATE platform_connection SET refresh_at = now()")
    for host in TOKEN_HOSTS:
        environment.sandbox.faults.add(Fault(kind="status", status=500, host=host, times=None))
    tries = Counter[str]()
    for _ in range(2 * size.times):
        tries.update(tick())
        environment.sql(LET_TIME_GO_BY, seconds=1800)
    statuses = dict(environment.sql("SELECT status, count(*) FROM platform_connection GROUP BY 1"))
    if statuses != {"active": len(MINTS) * size.events}:
        found.note(f"after the outage: {statuses}")
    expect(found, "a refresh did not fail", set(tries) == {"failed"} and tries["failed"] >= size.times)
    environment.sandbox.faults.clear()
    environment.sql(LET_TIME_GO_BY, seconds=3600)
    recovered = Counter(tick())
    if recovered != {"refreshed": len(MINTS) * size.events}:
        found.note(f"the first refreshes after the outage: {dict(recovered)}")
    environment.clean()
    return Proof(f"{size.times} hours, {tries['failed']} refreshes failed", found)


def revoked(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """The account's owner removes the application: the first attempt notices, with at most one token request."""
    found, seen = Difference(), 0
    for platform in [platform for _ in range(size.times) for platform in MINTS]:
        studio_id = connect(environment, platform)
        getattr(environment.sandbox, platform).revoke("studio")
        environment.sandbox.requests.clear()
        test_connection(studio_id, platform, None)
        connection = get_connection(studio_id, platform)
        seen += connection.status in ("revoked", "expired")
        if connection.status_reason.action != "reconnect" or token_requests(environment) > 1:
            found.note(f"{platform}: {connection.status} after {token_requests(environment)} token requests")
        environment.clean()
    expect(found, "a revocation was not seen", seen == size.times * len(MINTS))
    return Proof(f"{seen} revocations seen", found)


def connect(environment: Environment, platform: str, **life: int) -> UUID:
    token = MINTS[platform]("studio", **life)
    studio_id = create_studio("Proof", time_zone="UTC")
    refresh = getattr(token, "refresh_token", None)
    grant = TokenGrant(Secret(token.access_token), Secret(refresh) if refresh else None, token.expires_in, token.scopes)
    connecting.connect(studio_id, platform, grant)
    environment.hold_schedules()
    return studio_id


def refreshed_by(
    environment: Environment, studio_id: UUID, platform: str, *, threads: int, processes: int, die: str = ""
) -> "Counter[str]":
    """What the threads of the processes got, each new token as its hash; nothing from a process that was killed."""
    with tempfile.TemporaryDirectory() as folder:
        reports = [Path(folder, f"report-{number}") for number in range(processes)]
        about = {"studio_id": str(studio_id), "platform": platform, "threads": threads, "die": die}
        at = time.time() + 1
        pids = [environment.pool.refresh(**about, at=at, report=str(report)) for report in reports]
        deadline = time.monotonic() + WAIT_SECONDS
        while not all(report.exists() for report in reports) and time.monotonic() < deadline:
            if die and died(environment, studio_id, platform, die):
                break
            time.sleep(0.05)
        for pid in pids:
            environment.pool.reap(pid)
        return Counter(answer for report in reports if report.exists() for answer in json.loads(report.read_text()))


def died(environment: Environment, studio_id: UUID, platform: str, step: str) -> bool:
    """Whether the step after which a worker kills itself is done."""
    if step == "stored":
        return stored(studio_id, platform).token_generation == 2
    leased = environment.sql("SELECT refresh_owner IS NOT NULL FROM platform_connection") == [[True]]
    if step == "answered":
        leased = leased and token_requests(environment) > 0
    if leased:
        time.sleep(0.3)  # the kill follows immediately
    return leased


def tick() -> list[str]:
    """What the tick and its workers do for idle grants."""
    outcomes = []
    with transaction(None) as tx:
        due = tx.run(CLAIM_DUE_REFRESHES, batch=1000)
    for claim in due:
        outcomes.append(refreshes.refresh_idle(claim.studio_id, claim.connection_id))
    return outcomes


def stored(studio_id: UUID, platform: str) -> StoredConnection:
    connection = read(studio_id, FIND_STORED_CONNECTION, platform=platform, connection=None)
    assert connection is not None
    return connection


def hashed(studio_id: UUID) -> str:
    try:
        return sha256(open_access_token(stored(studio_id, "pinterest")).reveal().encode()).hexdigest()
    except AppError as error:
        return error.code


def token_requests(environment: Environment) -> int:
    paths = [request["path"] for request in environment.sandbox.requests.list()]
    return sum(path.endswith(("/token", "/oauth/access_token")) for path in paths)
