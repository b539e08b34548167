"""Erasures: a studio and all its data are deleted permanently.

Each step commits and may be repeated, so the same call resumes an erasure that was killed or ran out of time. Once its
data keys are deleted, nothing that was sealed for the studio can be opened in this database.
"""

from collections.abc import Callable
from uuid import UUID

from msgspec import structs

from chalicelib import logs
from chalicelib.data import erasures as rows
from chalicelib.data.connection_state import DISCONNECT, GRANT_IS_SHARED
from chalicelib.data.connections import FIND_STORED_BY_ID, LIST_GRANTS, LiveGrant, StoredConnection
from chalicelib.data.erasures import Erased
from chalicelib.data.pending_grants import DELETE_PENDING_GRANT, FIND_PENDING_GRANT, LIST_PENDING_GRANTS, StoredGrant
from chalicelib.data.postgres.database import read, transaction, write
from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import Row
from chalicelib.data.studio_health import COUNT_ROWS
from chalicelib.data.studios import GET_STUDIO
from chalicelib.errors import NotFound, SettingsError, Unavailable, Unreadable
from chalicelib.platforms.registry import get_platform
from chalicelib.services.connections.revocations import can_revoke, revoke, revoke_pending

BATCH = 5000
"""Rows per transaction, so that none takes long."""
STOP_MS = 45_000
"""Longer than any statement may take."""
REVOKE_MS = 240_000
"""Longer than revoking a grant may take: a refresh's lease, and one more exchange."""
ERASED = "The studio is being erased"
"""Why its runs and webhooks ended"""


class EndedGrant(Row):
    """One of the studio's grants, and the outcome at its platform: revoked | failed | shared | unsupported.

    In a dry run what would be tried: revoke | shared | unsupported. A grant shared only with another one of the
    studio itself is then reported as shared.
    """

    platform: str
    revocation: str


class Erasure(Row):
    """What an erasure did in this call, or would find in a dry run."""

    studio_id: UUID
    dry_run: bool
    api_keys_revoked: int = 0
    runs_cancelled: int = 0
    grants: list[EndedGrant] = []
    data_keys_destroyed: int = 0
    rows: dict[str, int] = {}
    """Deleted rows by table; in a dry run all existing ones"""
    complete: bool = False
    problem: str | None = None
    """What stopped it early; the same call resumes"""


class Erasures(Row):
    items: list[Erased]


def erase_studio(studio_id: UUID, *, dry_run: bool, remaining_ms: Callable[[], int]) -> Erasure:
    """Raises NotFound for a studio that never existed, or is not in a restored database."""
    if read(studio_id, GET_STUDIO) is None:
        return _erased_before(studio_id, dry_run=dry_run)
    if dry_run:
        return Erasure(
            studio_id=studio_id,
            dry_run=True,
            grants=[
                EndedGrant(platform=grant.platform, revocation=_prospect(studio_id, grant))
                for grant in _list_grants(studio_id)
            ],
            rows=read(studio_id, COUNT_ROWS),
            complete=True,
        )
    report = Erasure(studio_id=studio_id, dry_run=False)
    with logs.bound(studio_id=studio_id):
        write(None, rows.BEGIN_ERASURE, studio_id=studio_id)
        logs.event("erasure.begun")
        try:
            report.complete = _erase(studio_id, report, remaining_ms)
        except Unavailable as error:
            report.problem = f"{error.code}: {error}"
        logs.event("erasure.ended", **{**structs.asdict(report), "grants": len(report.grants)})
    return report


def list_erasures() -> Erasures:
    """Every erased studio, oldest first: after restoring a backup they have to be erased again."""
    return Erasures(items=read(None, rows.LIST_ERASURES))


def _erased_before(studio_id: UUID, *, dry_run: bool) -> Erasure:
    if read(None, rows.FIND_ERASURE, studio_id=studio_id) is None:
        raise NotFound("Studio not found", code="studio_not_found")
    if not dry_run:
        write(None, rows.FINISH_ERASURE, studio_id=studio_id)
    return Erasure(studio_id=studio_id, dry_run=dry_run, complete=True)


def _erase(studio_id: UUID, report: Erasure, remaining_ms: Callable[[], int]) -> bool:
    """Returns False if the time is up. Grants come before keys, because revoking them needs the keys."""
    stopped = write(studio_id, rows.STOP_STUDIO, message=ERASED)
    report.api_keys_revoked, report.runs_cancelled = stopped.api_keys, stopped.runs
    for grant in _list_grants(studio_id):
        if remaining_ms() < REVOKE_MS:
            return False
        report.grants.append(_end_grant(studio_id, grant))
    report.data_keys_destroyed = write(studio_id, rows.SHRED_KEYS).count
    for table in rows.TABLES:
        if not _empty(studio_id, table, report, remaining_ms):
            return False
    with transaction(studio_id) as tx:
        tx.run(rows.DELETE_STUDIO, id=studio_id)
        tx.run(rows.FINISH_ERASURE, studio_id=studio_id)
    return True


def _list_grants(studio_id: UUID) -> list[LiveGrant]:
    """Those of its connections, then those not completed yet."""
    return [*read(studio_id, LIST_GRANTS), *read(studio_id, LIST_PENDING_GRANTS)]


def _find_stored(studio_id: UUID, grant: LiveGrant) -> StoredConnection | StoredGrant | None:
    query: Query[StoredConnection | StoredGrant | None] = FIND_PENDING_GRANT if grant.pending else FIND_STORED_BY_ID
    return read(studio_id, query, id=grant.id)


def _end_grant(studio_id: UUID, grant: LiveGrant) -> EndedGrant:
    """Neither a lost KMS key nor an unreadable row prevents the studio from being erased."""
    revocation = "revoked"
    try:
        stored = _find_stored(studio_id, grant)
        if isinstance(stored, StoredGrant):
            revocation = revoke_pending(stored)
        elif stored is not None:
            revocation = revoke(stored, requested=False)
    except (NotFound, SettingsError, Unreadable) as error:
        logs.event("connection.revocation_failed", platform=grant.platform, code=error.code, reason=str(error))
        revocation = "failed"
    _end(studio_id, grant, revocation)
    return EndedGrant(platform=grant.platform, revocation=revocation)


def _end(studio_id: UUID, grant: LiveGrant, revocation: str) -> None:
    if grant.pending:
        write(studio_id, DELETE_PENDING_GRANT, id=grant.id)
        logs.event("authorization.expired", platform=grant.platform, grant_id=grant.id, outcome=revocation, erased=True)
    else:
        write(studio_id, DISCONNECT, id=grant.id, account_id=None, revocation=revocation, run_message=ERASED)
        logs.event("connection.disconnected", platform=grant.platform, connection_id=grant.id, revocation=revocation)


def _prospect(studio_id: UUID, grant: LiveGrant) -> str:
    try:
        platform, stored = get_platform(grant.platform), _find_stored(studio_id, grant)
    except (NotFound, Unreadable):
        return "failed"
    if stored is None or not can_revoke(platform):
        return "unsupported"
    unverified = isinstance(stored, StoredConnection) and stored.account_unverified
    known = stored.account_id is not None and not unverified
    about = {"platform": platform.name, "account_id": stored.account_id, "id": stored.id}
    return "shared" if known and read(None, GRANT_IS_SHARED, **about) else "revoke"


def _empty(studio_id: UUID, table: str, report: Erasure, remaining_ms: Callable[[], int]) -> bool:
    """Returns False if the time is up."""
    while remaining_ms() >= STOP_MS:
        count = write(studio_id, rows.ERASE_ROWS, table_name=table, batch=BATCH).count
        if count:
            report.rows[table] = report.rows.get(table, 0) + count
        if count < BATCH:
            return True
    return False
