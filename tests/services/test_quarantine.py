"""Quarantine: values that could not be decrypted during key rotation are reported, left unchanged, and retried."""

from typing import Any

import pg8000.native
import pytest

from chalicelib.errors import DecryptionFailed
from chalicelib.secret import Secret
from chalicelib.security.vault import Vault, vault
from chalicelib.services.connections.connections import TokenChange, update_connection
from chalicelib.services.connections.tokens import open_tokens
from chalicelib.services.operations.key_rotation import Rotation, get_key_status, list_quarantined
from chalicelib.services.webhook_endpoints import delete_webhook_endpoint, list_webhook_endpoints
from tests.conftest import Database, database_time
from tests.services.administration import (
    ACCESS,
    REFRESH,
    Secrets,
    as_administrator,
    damage,
    everything_opens,
    keys,
    new_secrets,
    rest,
    rotate,
    sealed_values,
)

__all__ = ["as_administrator"]


@pytest.fixture
def studio(as_administrator: Database) -> Secrets:
    return new_secrets()


def quarantined() -> list[tuple[str, str]]:
    return [(item.table_name, item.column_name) for item in list_quarantined().items]


def test_an_undecryptable_value_is_reported_and_kept_with_its_key(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    damage(superuser, studio)
    value = sealed_values(superuser, studio.studio_id)["platform_connection", "access_token"]
    started = database_time()
    assert rotate(started).quarantined == 1
    rest(superuser)
    again = rotate(started)
    assert (again.quarantined, again.keys_deleted, again.keys_retired, again.complete) == (1, 0, 1, True)
    (entry,) = list_quarantined().items
    assert (entry.studio_id, entry.row_id, entry.data_key_id) == (
        studio.studio_id,
        value[0],
        keys(studio.studio_id)[1].id,
    )
    assert "cannot be opened here" in entry.reason
    assert sealed_values(superuser, studio.studio_id)["platform_connection", "access_token"] == value


def test_a_value_without_a_key_is_reported_too(studio: Secrets, superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE webhook_endpoint SET secret = 'short'")
    rotate()
    (entry,) = list_quarantined().items
    assert (entry.table_name, entry.data_key_id) == ("webhook_endpoint", None)


def test_a_value_that_decrypts_again_leaves_quarantine_and_frees_its_key(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    started = database_time()
    damage(superuser, studio)
    rotate(started)
    damage(superuser, studio)  # back to what it was
    rest(superuser)
    assert rotate(started) == Rotation(dry_run=False, studios=1, resealed=1, keys_deleted=1, complete=True)
    assert quarantined() == []
    assert everything_opens(superuser, studio)


def test_a_replaced_value_leaves_quarantine(studio: Secrets, superuser: pg8000.native.Connection) -> None:
    started = database_time()
    for column in ("access_token", "refresh_token"):
        damage(superuser, studio, column)
    rotate(started)
    assert quarantined() == [("platform_connection", "access_token"), ("platform_connection", "refresh_token")]
    update_connection(studio.studio_id, "google", TokenChange(access=Secret(ACCESS), refresh=Secret(REFRESH)))
    rest(superuser)
    assert rotate(started).keys_deleted == 1
    assert quarantined() == []


def test_a_deleted_value_leaves_quarantine(studio: Secrets, superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE webhook_endpoint SET secret = set_byte(secret, 40, 255 - get_byte(secret, 40))")
    rotate()
    assert quarantined() == [("webhook_endpoint", "secret")]
    delete_webhook_endpoint(studio.studio_id, list_webhook_endpoints(studio.studio_id)[0].id)
    rotate()
    assert quarantined() == []


def test_a_studio_erased_meanwhile_does_not_block_a_rotation(
    studio: Secrets, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(superuser, studio)

    def erased_just_now(*args: Any) -> Secret:
        superuser.run("DELETE FROM studio")
        return Vault.open(vault(), *args)

    monkeypatch.setattr(vault(), "open", erased_just_now)
    report = rotate()
    assert (report.studios, report.complete, report.problem) == (1, True, None)
    assert quarantined() == []


def test_no_report_or_entry_contains_a_secret(
    studio: Secrets, superuser: pg8000.native.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    damage(superuser, studio)
    with caplog.at_level("DEBUG"):
        text = repr([rotate(), list_quarantined(), get_key_status()])
    text += "".join(str(vars(record)) for record in caplog.records)
    assert not [secret for secret in (ACCESS, REFRESH, studio.webhook_secret) if secret in text]


def test_a_decryption_failure_elsewhere_is_still_an_error(studio: Secrets, superuser: pg8000.native.Connection) -> None:
    damage(superuser, studio)
    rotate()
    with pytest.raises(DecryptionFailed):
        open_tokens(studio.stored)
