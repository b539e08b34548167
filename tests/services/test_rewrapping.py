"""Re-wrapping: data keys move between KMS keys while tokens are in use; a KMS key is retired, or lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.data_keys import LIST_DATA_KEYS
from chalicelib.data.postgres.database import read
from chalicelib.data.sealed import SEALED
from chalicelib.errors import DecryptionFailed
from chalicelib.secret import Secret
from chalicelib.security.vault import vault
from chalicelib.services.connections.connections import TokenChange, update_connection
from chalicelib.services.connections.tokens import open_tokens
from chalicelib.services.operations.key_rotation import (
    Rewrapping,
    get_key_status,
    list_quarantined,
    rewrap_data_keys,
    rotate_data_keys,
)
from chalicelib.services.studios import create_studio
from tests.conftest import Database, database_time
from tests.security.kms import (
    ELSEWHERE,
    HERE,
    Answer,
    Kms,
    KmsCalls,
    forget_calls,
    kms,
    kms_proxy,
    refusal,
    service,
    timeout,
)
from tests.services.administration import (
    ACCESS,
    Secrets,
    as_admin_function,
    as_administrator,
    damage,
    forget,
    new_secrets,
    plenty,
    rest,
    time_for,
    wait_for_a_lock,
)

__all__ = ["as_administrator", "kms", "kms_proxy", "service"]

Use = Callable[..., None]


@pytest.fixture
def use(as_administrator: Database, kms: Kms, monkeypatch: pytest.MonkeyPatch) -> Use:
    """Deploys with these KMS keys."""
    monkeypatch.delenv("ENCRYPTION_KEY", raising=False)

    def deploy(*key_ids: str) -> None:
        monkeypatch.setenv("KMS_KEY_IDS", ",".join(key_ids))
        forget()
        forget_calls()

    deploy(kms.here)
    return deploy


@pytest.fixture
def studio(use: Use) -> Secrets:
    return new_secrets()


def rewrap(*, dry_run: bool = False, remaining_ms: Callable[[], int] = plenty) -> Rewrapping:
    with as_admin_function():
        return rewrap_data_keys(dry_run=dry_run, remaining_ms=remaining_ms)


def wrapping(superuser: pg8000.native.Connection) -> list[list[str]]:
    """The recorded wrapping keys of each data key, oldest first."""
    return [under for (under,) in superuser.run("SELECT wrapped_under FROM data_key ORDER BY id") or ()]


def wrapped(studio_id: UUID) -> bytes:
    return read(studio_id, LIST_DATA_KEYS)[0].wrapped


def break_key(superuser: pg8000.native.Connection, studio_id: UUID) -> None:
    """Breaks a data key; a second call restores it."""
    superuser.run(
        "UPDATE data_key SET wrapped = set_byte(wrapped, length(wrapped) - 1,"
        " 255 - get_byte(wrapped, length(wrapped) - 1)) WHERE studio_id = :id",
        id=studio_id,
    )


def test_a_new_data_key_records_what_it_is_wrapped_under(
    use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    use(kms.here, kms.elsewhere)
    create_studio("Anna & Jo")
    assert wrapping(superuser) == [sorted([kms.here, kms.elsewhere])]
    use(kms.elsewhere, kms.here)
    assert get_key_status().to_rewrap == 0


def test_a_kms_key_is_retired_without_losing_a_token(
    studio: Secrets, use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    """The whole procedure: add the new key, re-wrap all, remove the old key, re-wrap all again."""
    old = kms.make_key(HERE)
    use(old)
    other = new_secrets()
    use(kms.other, old, kms.here)
    assert rewrap() == Rewrapping(dry_run=False, rewrapped=2, complete=True)
    use(kms.other)
    assert open_tokens(other.stored).access.reveal() == ACCESS
    assert get_key_status().to_rewrap == 2
    assert rewrap() == Rewrapping(dry_run=False, rewrapped=2, complete=True)
    assert wrapping(superuser) == [[kms.other]] * 2
    assert not [key for key in (old, kms.here) for each in (studio, other) if key.encode() in wrapped(each.studio_id)]
    assert [open_tokens(each.stored).access.reveal() for each in (studio, other)] == [ACCESS] * 2
    assert rewrap() == Rewrapping(dry_run=False, complete=True)


def test_a_process_with_an_unwrapped_key_is_not_disturbed_by_a_rewrapping(studio: Secrets, use: Use, kms: Kms) -> None:
    use(kms.here, kms.other)
    before = studio.stored
    open_tokens(before)
    rewrap()
    calls = KmsCalls(HERE)
    assert studio.stored.data_keys != before.data_keys
    assert open_tokens(before) == open_tokens(studio.stored)
    assert calls == ["Decrypt"]


def test_every_wrapping_is_verified_before_the_old_one_is_replaced(studio: Secrets, use: Use, kms: Kms) -> None:
    use(kms.here, kms.elsewhere)
    here, elsewhere = KmsCalls(HERE), KmsCalls(ELSEWHERE)
    rewrap()
    assert here == ["Decrypt", "GenerateDataKey", "Decrypt"]
    assert elsewhere == ["Encrypt", "Decrypt"]


def test_a_kms_key_that_wraps_but_cannot_unwrap_is_detected_in_time(
    studio: Secrets, use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    before = wrapped(studio.studio_id)
    use(kms.here, kms.elsewhere)
    calls = KmsCalls(ELSEWHERE)
    calls.answers = lambda: refusal("AccessDeniedException")() if calls[-1] == "Decrypt" else None
    for dry_run in (True, False):
        report = rewrap(dry_run=dry_run)
        assert "AccessDeniedException" in (report.problem or "")
        assert (report.rewrapped, report.left, report.complete) == (0, 1, False)
    assert wrapped(studio.studio_id) == before


def test_a_dry_run_of_rewrapping_counts_and_stores_nothing(
    studio: Secrets, use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    broken = create_studio("Broken")
    break_key(superuser, broken)
    before = superuser.run("SELECT t::text FROM data_key AS t ORDER BY 1")
    use(kms.other, kms.here)
    assert rewrap(dry_run=True) == Rewrapping(dry_run=True, rewrapped=1, quarantined=1, left=2, complete=True)
    assert superuser.run("SELECT t::text FROM data_key AS t ORDER BY 1") == before
    assert list_quarantined().count == 0


def test_a_rewrapping_out_of_time_stops_and_can_be_resumed(
    use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    for _ in range(5):
        create_studio("Anna & Jo")
    use(kms.other, kms.here)
    assert rewrap(remaining_ms=time_for(2)) == Rewrapping(dry_run=False, rewrapped=2, left=3)
    assert rewrap(remaining_ms=time_for(1)) == Rewrapping(dry_run=False, rewrapped=1, left=2)
    assert rewrap() == Rewrapping(dry_run=False, rewrapped=2, complete=True)


def test_more_keys_than_a_page_are_all_rewrapped(
    use: Use, kms: Kms, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.services.operations.key_rotation.BATCH", 2)
    for _ in range(5):
        create_studio("Anna & Jo")
    use(kms.other, kms.here)
    assert rewrap() == Rewrapping(dry_run=False, rewrapped=5, complete=True)


def test_an_undecryptable_key_is_reported_and_does_not_block_the_others(
    studio: Secrets, use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    broken = create_studio("Broken")
    break_key(superuser, broken)
    before = wrapped(broken)
    use(kms.other, kms.here)
    assert rewrap() == Rewrapping(dry_run=False, rewrapped=1, quarantined=1, complete=True)
    (entry,) = list_quarantined().items
    assert (entry.studio_id, entry.table_name, entry.row_id) == (broken, "data_key", entry.data_key_id)
    assert wrapped(broken) == before
    break_key(superuser, broken)
    assert rewrap() == Rewrapping(dry_run=False, rewrapped=1, complete=True)
    assert list_quarantined().count == 0


def test_a_kms_key_removed_too_early_can_be_added_back(studio: Secrets, use: Use, kms: Kms) -> None:
    use(kms.other)
    calls = KmsCalls(HERE)
    assert rewrap().quarantined == 1
    assert calls == []
    use(kms.other, kms.here)
    assert rewrap() == Rewrapping(dry_run=False, rewrapped=1, complete=True)
    assert list_quarantined().count == 0


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (timeout, "does not respond"),
        (refusal("ThrottlingException"), "Throttling"),
        (refusal("DisabledException"), "D"),
    ],
)
def test_a_kms_outage_stops_rotation_and_rewrapping_without_quarantine(
    studio: Secrets,
    use: Use,
    kms: Kms,
    superuser: pg8000.native.Connection,
    failure: Callable[[], Answer],
    problem: str,
) -> None:
    use(kms.here, kms.elsewhere)
    calls = KmsCalls(HERE)
    calls.answers = failure
    for dry_run in (True, False):
        report = rewrap(dry_run=dry_run)
        assert problem in (report.problem or "")
        assert (report.rewrapped, report.quarantined, report.left, report.complete) == (0, 0, 1, False)
        rotation = rotate_data_keys(database_time(), dry_run=dry_run, remaining_ms=plenty)
        assert problem in (rotation.problem or "")
        assert (rotation.studios, rotation.quarantined, rotation.left, rotation.complete) == (0, 0, 1, False)
    assert list_quarantined().count == 0
    calls.answers = lambda: None
    assert rewrap().complete
    assert open_tokens(studio.stored).access.reveal() == ACCESS


def test_concurrent_rewrappings_do_no_harm(
    studio: Secrets, use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    others = [new_secrets() for _ in range(3)]
    use(kms.other, kms.here)
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda _: rewrap(), range(3)))
    assert sum(report.rewrapped for report in reports) == 4
    use(kms.other)
    assert [open_tokens(each.stored).access.reveal() for each in (studio, *others)] == [ACCESS] * 4


def test_a_key_rewrapped_by_another_process_meanwhile_is_not_overwritten(
    studio: Secrets, use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    wrapped_elsewhere = b"another deployment's"
    use(kms.here, kms.elsewhere)
    superuser.run("BEGIN")
    superuser.run("UPDATE data_key SET wrapped = :wrapped", wrapped=wrapped_elsewhere)
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(rewrap)
        try:
            wait_for_a_lock(superuser, report)
        finally:
            superuser.run("COMMIT")
        assert (report.result().rewrapped, report.result().complete) == (0, False)
    assert wrapped(studio.studio_id) == wrapped_elsewhere


def test_another_region_takes_over_when_the_first_is_lost(
    use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    use(kms.here, kms.elsewhere)
    studio = new_secrets()
    use(kms.elsewhere)
    KmsCalls(HERE).answers = timeout
    assert open_tokens(studio.stored).access.reveal() == ACCESS
    assert rewrap() == Rewrapping(dry_run=False, rewrapped=1, complete=True)
    assert wrapping(superuser) == [[kms.elsewhere]]


def test_a_studio_whose_kms_key_is_lost_gets_a_new_data_key_and_can_connect_again(
    studio: Secrets, use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    lost_at = database_time()
    use(kms.other)
    report = rotate_data_keys(lost_at, dry_run=False, remaining_ms=plenty)
    assert (report.rekeyed, report.resealed, report.quarantined, report.complete) == (1, 0, len(SEALED), True)
    with pytest.raises(DecryptionFailed):
        open_tokens(studio.stored)
    update_connection(studio.studio_id, "google", TokenChange(access=Secret("ya29.new"), refresh=Secret("1//new")))
    assert open_tokens(studio.stored).access.reveal() == "ya29.new"
    superuser.run(
        "DELETE FROM webhook_endpoint; DELETE FROM oauth_state; DELETE FROM pending_grant; DELETE FROM set_aside"
    )
    superuser.run("UPDATE studio SET address_key = NULL")  # as the next run replaces it
    rest(superuser)
    assert rotate_data_keys(lost_at, dry_run=False, remaining_ms=plenty).keys_deleted == 1
    assert list_quarantined().count == 0
    assert wrapping(superuser) == [[kms.other]]


def test_a_retired_key_is_rewrapped_too(
    studio: Secrets, use: Use, kms: Kms, superuser: pg8000.native.Connection
) -> None:
    damage(superuser, studio)
    rotate_data_keys(database_time(), dry_run=False, remaining_ms=plenty)
    use(kms.other, kms.here)
    assert rewrap().rewrapped == 2
    use(kms.other)
    damage(superuser, studio)
    assert vault().wrapped_under == [kms.other]
    assert open_tokens(studio.stored).access.reveal() == ACCESS
