"""Key rotation in every studio: data keys are re-wrapped, or replaced and their sealed values re-sealed.

Each step is an independent compare-and-swap, so a rotation may be killed anywhere and run concurrently with itself and
everything else; the same call resumes it. A value or key that cannot be opened is quarantined and left as it is.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID

from msgspec import structs

from chalicelib import clock, logs
from chalicelib.data import data_keys as rows
from chalicelib.data.data_keys import KeyRef, WrappedUnder
from chalicelib.data.postgres.database import read, transaction, write
from chalicelib.data.postgres.rows import BEFORE_ALL_IDS, Moment, Row
from chalicelib.data.quarantine import FIND_QUARANTINED, NOTE_QUARANTINED, QuarantinedPage
from chalicelib.data.sealed import DELETE_UNUSED_KEYS, LIST_SEALED_VALUES, RESEAL, ListedKey, SealedValue, SealedValues
from chalicelib.errors import AppError, DecryptionFailed, FieldProblem, InvalidInput, SettingsError, Unavailable
from chalicelib.security.vault import AssociatedData, Vault, vault
from chalicelib.services.data_keys import new_data_key, store_data_key

BATCH = 500
"""Ids per page."""
VALUES = 100
"""Sealed values per page: each may have 16 KiB."""
SHOWN_QUARANTINED = 100
STOP_MS = 45_000
"""Longer than one key or one studio takes, even when KMS and database are slow."""


class Rewrapping(Row):
    """The result of re-wrapping; a dry run does everything except store."""

    dry_run: bool
    rewrapped: int = 0
    quarantined: int = 0
    """Keys that could not be unwrapped in this run"""
    left: int = 0
    """Keys still to be re-wrapped, excluding those in quarantine"""
    complete: bool = False
    problem: str | None = None
    """What stopped it early, such as KMS being unavailable; the same call resumes"""


class Rotation(Row):
    """The result of rotating data keys; a dry run opens and counts values."""

    dry_run: bool
    studios: int = 0
    """Studios checked"""
    rekeyed: int = 0
    """Studios that got a new data key"""
    resealed: int = 0
    quarantined: int = 0
    """Values that could not be opened in this run"""
    keys_deleted: int = 0
    """Retired keys that no longer sealed anything"""
    keys_retired: int = 0
    """Retired keys that remain in the studios checked: retired too recently, or still needed"""
    left: int = 0
    """Studios not checked yet"""
    complete: bool = False
    problem: str | None = None


class KeyStatus(Row):
    """The state of all studios' data keys."""

    provider: str
    wanted: list[str]
    """The KMS keys that each should be wrapped under"""
    wrapped_under: list[WrappedUnder]
    to_rewrap: int
    oldest_made_at: Moment | None
    retired: int
    quarantined: int


def rewrap_data_keys(*, dry_run: bool, remaining_ms: Callable[[], int]) -> Rewrapping:
    """Wraps every data key under exactly the current wrapping keys. Sealed values stay as they are."""
    report, wanted = Rewrapping(dry_run=dry_run), vault().wrapped_under
    try:
        reached_end = _rewrap_all(wanted, report, remaining_ms)
    except (Unavailable, SettingsError) as error:
        reached_end, report.problem = False, _describe(error)
    report.left = read(None, rows.FIND_KEYS_TO_REWRAP, wanted=wanted, after=BEFORE_ALL_IDS, batch=0).left
    report.complete = reached_end and (dry_run or report.left == 0)
    logs.event("keys.rewrapped", **structs.asdict(report))
    return report


def rotate_data_keys(made_before: datetime, *, dry_run: bool, remaining_ms: Callable[[], int]) -> Rotation:
    """Gives each studio whose data key is older than that a new one, re-seals values under it, and deletes the older
    keys once they have cooled down. Raises InvalidInput for a time in the future, which would never finish.
    """
    if made_before.tzinfo is None or made_before > clock.now():
        raise InvalidInput(fields=[FieldProblem("madeBefore", "must be a time in the past, with its zone")])
    report = Rotation(dry_run=dry_run)
    try:
        _rotate_all(made_before, report, remaining_ms)
        report.complete = report.left == 0
    except (Unavailable, SettingsError) as error:
        report.problem = _describe(error)
    logs.event("keys.rotated", **structs.asdict(report))
    return report


def get_key_status() -> KeyStatus:
    wanted = vault().wrapped_under
    counts = read(None, rows.FIND_KEY_COUNTS)
    return KeyStatus(
        provider=vault().provider_name,
        wanted=wanted,
        wrapped_under=counts.wrapped_under,
        to_rewrap=read(None, rows.FIND_KEYS_TO_REWRAP, wanted=wanted, after=BEFORE_ALL_IDS, batch=0).left,
        oldest_made_at=counts.oldest_made_at,
        retired=counts.retired,
        quarantined=counts.quarantined,
    )


def list_quarantined(*, after: UUID = BEFORE_ALL_IDS) -> QuarantinedPage:
    """Quarantined entries after the id `after`."""
    return read(None, FIND_QUARANTINED, after=after, batch=SHOWN_QUARANTINED)


def _rewrap_all(wanted: list[str], report: Rewrapping, remaining_ms: Callable[[], int]) -> bool:
    for key in _stale_keys(wanted):
        if remaining_ms() < STOP_MS:
            return False
        _rewrap(key, wanted, report)
    return True


def _stale_keys(wanted: list[str]) -> Iterator[KeyRef]:
    after = BEFORE_ALL_IDS
    while page := read(None, rows.FIND_KEYS_TO_REWRAP, wanted=wanted, after=after, batch=BATCH).keys:
        yield from page
        after = page[-1].id


def _rewrap(ref: KeyRef, wanted: list[str], report: Rewrapping) -> None:
    key = read(ref.studio_id, rows.FIND_STALE_KEY, id=ref.id, wanted=wanted)
    if key is None:
        return
    try:
        wrapped = vault().rewrap(key, ref.studio_id)
    except DecryptionFailed as error:
        report.quarantined += 1
        if not report.dry_run:
            _quarantine(ref.studio_id, "data_key", "wrapped", key.id, key.id, error)
        return
    under = {"provider": vault().provider_name, "wrapped_under": wanted}
    change = {"id": key.id, "wrapped": wrapped, "replaced": key.wrapped, **under}
    if report.dry_run or write(ref.studio_id, rows.REWRAP_DATA_KEY, **change) is not None:
        report.rewrapped += 1


def _rotate_all(made_before: datetime, report: Rotation, remaining_ms: Callable[[], int]) -> None:
    after = BEFORE_ALL_IDS
    while True:
        due = read(None, rows.FIND_STUDIOS_TO_REKEY, made_before=made_before, after=after, batch=BATCH)
        report.left = due.left
        for studio_id in due.studios:
            if remaining_ms() < STOP_MS:
                return
            _rotate(studio_id, made_before, report)
            report.studios += 1
            report.left -= 1
        if not due.studios:
            return
        after = due.studios[-1]


def _rotate(studio_id: UUID, made_before: datetime, report: Rotation) -> None:
    listed = _list_sealed(studio_id)
    if not listed.data_keys or listed.data_keys[0].retired:
        return  # the studio is being erased
    old = listed.data_keys[0].created_at < made_before
    if old:
        report.rekeyed += _rekey(studio_id, listed.data_keys[0], dry_run=report.dry_run)
        listed = _list_sealed(studio_id, everything=report.dry_run)
    while listed.values:
        for value in listed.values:
            _reseal(studio_id, value, listed.data_keys, report)
        listed = _list_sealed(studio_id, after=listed.values[-1], everything=old and report.dry_run)
    _delete_unused(studio_id, listed, report)


def _list_sealed(studio_id: UUID, *, after: SealedValue | None = None, everything: bool = False) -> SealedValues:
    start = {"table_name": "", "column_name": "", "row_id": BEFORE_ALL_IDS}
    if after is not None:
        start = {"table_name": after.table_name, "column_name": after.column_name, "row_id": after.row_id}
    return read(studio_id, LIST_SEALED_VALUES, **start, everything=everything, batch=VALUES)


def _rekey(studio_id: UUID, current: ListedKey, *, dry_run: bool) -> bool:
    """Adds a new key and retires the current one in one transaction; False if another process did it first."""
    if dry_run:
        return True
    wrapped = new_data_key(studio_id)
    with transaction(studio_id) as tx:
        if tx.run(rows.RETIRE_DATA_KEY, id=current.id) is None:
            return False
        store_data_key(tx, studio_id, wrapped)
    return True


def _reseal(studio_id: UUID, value: SealedValue, data_keys: list[ListedKey], report: Rotation) -> None:
    data = AssociatedData(studio_id, value.table_name, value.column_name, value.row_id, value.generation)
    try:
        secret = vault().open(value.sealed, data_keys, data)
    except DecryptionFailed as error:
        report.quarantined += 1
        if not report.dry_run:
            _quarantine(studio_id, data.table, data.column, data.row_id, _key_id(value.sealed), error)
        return
    if report.dry_run:
        report.resealed += 1
        return
    where = {"table_name": data.table, "column_name": data.column, "row_id": data.row_id, "sealed": value.sealed}
    if write(studio_id, RESEAL, **where, resealed=vault().seal(secret, data_keys, data)) is not None:
        report.resealed += 1


def _delete_unused(studio_id: UUID, listed: SealedValues, report: Rotation) -> None:
    report.keys_retired += sum(key.retired for key in listed.data_keys)
    if report.dry_run or not (listed.quarantined or any(key.cooled_down for key in listed.data_keys)):
        return
    deleted = write(studio_id, DELETE_UNUSED_KEYS)
    report.keys_deleted += deleted.keys
    report.keys_retired -= deleted.keys


def _quarantine(
    studio_id: UUID, table: str, column: str, row_id: UUID, data_key_id: UUID | None, error: DecryptionFailed
) -> None:
    what = {"table_name": table, "column_name": column, "row_id": row_id, "data_key_id": data_key_id}
    with logs.bound(studio_id=studio_id, **what):
        logs.event("seal.quarantined", reason=str(error))
    write(studio_id, NOTE_QUARANTINED, studio_id=studio_id, **what, reason=str(error))


def _key_id(sealed: bytes) -> UUID | None:
    try:
        return Vault.data_key_id(sealed)
    except DecryptionFailed:
        return None


def _describe(error: AppError) -> str:
    return f"{error.code}: {error}"
