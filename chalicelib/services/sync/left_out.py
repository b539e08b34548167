"""Records that the pages of a run leave out: those that the stream's rules skip, and those that cannot be decoded.

Sealing and hashing happen before a page's transaction begins, since they may call KMS.
"""

import base64
import hmac
import logging
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from chalicelib import logs
from chalicelib.data.postgres.database import Transaction, read, write
from chalicelib.data.studios import NEW_IDS
from chalicelib.data.sync import set_aside as set_aside_rows
from chalicelib.data.sync import skipped as skipped_rows
from chalicelib.data.sync.leases import LeasedRun
from chalicelib.data.sync.positions import Visit
from chalicelib.errors import ContractChanged, DecryptionFailed
from chalicelib.platforms.core.items import SetAside, Skipped
from chalicelib.secret import Secret
from chalicelib.security.vault import AssociatedData, vault
from chalicelib.services.leads.candidates import normalized
from chalicelib.services.leads.people import addresses_of
from chalicelib.services.sync.pages import Part, threads_of

MAX_CONTENT_BYTES = 256 * 1024
"""The content of a larger record is not stored."""
TOLERATED_SHARE = 0.1
JUDGED_RECORDS = 20
"""If more than that share of at least this many records cannot be decoded, the contract has changed."""
LOGGED = 20
"""Records per page that are logged individually"""


class PageLeftOut(msgspec.Struct, frozen=True):
    """What storing a page's records needs besides them: what KMS may be called for is done before."""

    hashes: dict[str, str]
    """The keyed hash of each address of a person in the page, as base64"""
    set_aside: list[dict[str, Any]]
    """Rows ready to be stored"""


class LeftOut:
    """The records that a run leaves out of the account it reads, counted by reason."""

    def __init__(self, run: LeasedRun) -> None:
        self.counts: Counter[str] = Counter()
        self.is_any = run.has_left_out
        self._run = run
        self._stream = {"connection_id": run.connection.id, "stream": run.stream}
        self._studio_id = run.connection.studio_id
        self._address_key: bytes | None = None
        self._unreadable_pages = 0
        self._account_id = run.connection.id

    def begin(self, visit: Visit) -> None:
        """Starts with the next account."""
        self.counts = Counter(visit.skipped)
        self._account_id = visit.account_id
        self._unreadable_pages = 0

    def prepare(self, parts: Sequence[Part]) -> PageLeftOut:
        """Raises ContractChanged if too many records of the page cannot be decoded."""
        self._judge(parts)
        counterparts = [skipped.counterpart for part in parts for skipped in part.skipped if skipped.counterpart]
        return PageLeftOut(
            hashes={address: self._hash(address) for address in (*counterparts, *addresses_of(threads_of(parts)))},
            set_aside=self._set_aside_rows([(part.table, odd) for part in parts for odd in part.set_aside]),
        )

    def store(self, tx: Transaction, parts: Sequence[Part], prepared: PageLeftOut) -> None:
        """In the page's transaction."""
        for part in parts:
            if self.is_any:
                self._clear(tx, part)
            if part.skipped:
                query = skipped_rows.store_skipped_query(part.table)
                rows = [_skipped_row(skipped, prepared.hashes) for skipped in part.skipped]
                tx.run(query, studio_id=self._studio_id, rows=rows, **self._of_account())
        if prepared.set_aside:
            tx.run(
                set_aside_rows.STORE_SET_ASIDE,
                studio_id=self._studio_id,
                platform=self._run.platform,
                rows=prepared.set_aside,
                **self._of_account(),
            )
        self.counts.update(each.reason for part in parts for each in part.skipped)
        self.is_any = self.is_any or any(part.skipped or part.set_aside for part in parts)

    def finish(self, tx: Transaction, *, read_all: bool) -> None:
        """At the end of a read. A complete one has seen every record that is still left out."""
        if not self.is_any:
            return
        if read_all:
            for query in (skipped_rows.CLEAR_UNSEEN_SKIPPED, set_aside_rows.CLEAR_UNSEEN_SET_ASIDE):
                tx.run(query, run_id=self._run.id, **self._of_account())
        tx.run(skipped_rows.COUNT_SKIPPED, **self._stream)

    def forget_counts(self) -> None:
        """When the read starts over."""
        self.counts.clear()

    def _judge(self, parts: Sequence[Part]) -> None:
        set_aside = [odd for part in parts for odd in part.set_aside]
        odd, total = len(set_aside), sum(map(len, parts))
        self._unreadable_pages = self._unreadable_pages + 1 if odd and odd == total else 0
        for part in parts:
            too_many = len(part) >= JUDGED_RECORDS and len(part.set_aside) > len(part) * TOLERATED_SHARE
            if too_many or (part.set_aside and self._unreadable_pages > 1):
                first = part.set_aside[0].field
                share = f"{len(part.set_aside)} of {len(part)} records"
                raise ContractChanged(internal=f"{share} cannot be decoded, one because of its {first!r}")
        for each in set_aside[:LOGGED]:
            logs.event(
                "record.set_aside",
                platform=self._run.platform,
                stream=self._run.stream,
                external_id=each.external_id,
                field=each.field,
                reason=each.reason,
            )

    def _clear(self, tx: Transaction, part: Part) -> None:
        """Clears the entries of records that were decoded, or are now left out in the other way."""
        skipped = [each.external_id for each in part.skipped]
        odd = [each.external_id for each in part.set_aside]
        for query, others in ((skipped_rows.CLEAR_SKIPPED, odd), (set_aside_rows.CLEAR_SET_ASIDE, skipped)):
            external_ids = [*part.known, *others]
            if external_ids:
                tx.run(query, table_name=part.table, external_ids=external_ids, **self._of_account())

    def _of_account(self) -> dict[str, Any]:
        return {**self._stream, "account_id": self._account_id}

    def _set_aside_rows(self, set_aside: Sequence[tuple[str, SetAside]]) -> list[dict[str, Any]]:
        ids = read(None, NEW_IDS, count=len(set_aside)) if set_aside else []
        return [self._set_aside_row(row_id, table, odd) for row_id, (table, odd) in zip(ids, set_aside, strict=True)]

    def _set_aside_row(self, row_id: UUID, table: str, odd: SetAside) -> dict[str, Any]:
        content = None
        if len(odd.content) <= MAX_CONTENT_BYTES:
            data = content_data(self._studio_id, row_id)
            secret = Secret(odd.content.decode("utf-8", "replace"))
            content = vault().seal(secret, self._run.connection.data_keys, data, max_bytes=2 * MAX_CONTENT_BYTES)
        return {
            "id": row_id,
            "table_name": table,
            "external_id": odd.external_id,
            "field": odd.field,
            "reason": odd.reason,
            "content": None if content is None else base64.b64encode(content).decode(),
        }

    def _hash(self, address: str) -> str:
        digest = hmac.digest(self._key(), address.strip().casefold().encode(), sha256)
        return base64.b64encode(digest).decode()

    def _key(self) -> bytes:
        """The studio's own, so that without it no address can be looked up in the hashes."""
        if self._address_key is None:
            sealed = self._run.address_key
            try:
                opened = self._open_key(self._keep_fresh_key(lost=None) if sealed is None else sealed)
            except DecryptionFailed:
                # A KMS key is lost for good, while the run's tokens could be decrypted, since they are newer. Older
                # hashes no longer match.
                logs.event("address_key.replaced", level=logging.WARNING)
                opened = self._open_key(self._keep_fresh_key(lost=sealed))
            self._address_key = bytes.fromhex(opened.reveal())
        return self._address_key

    def _open_key(self, sealed: bytes) -> Secret:
        return vault().open(sealed, self._run.connection.data_keys, _key_data(self._studio_id))

    def _keep_fresh_key(self, *, lost: bytes | None) -> bytes:
        data, secret = _key_data(self._studio_id), Secret(secrets.token_hex(32))
        fresh = vault().seal(secret, self._run.connection.data_keys, data)
        which = {"studio_id": self._studio_id, "address_key": fresh, "lost": lost}
        kept = write(self._studio_id, skipped_rows.KEEP_ADDRESS_KEY, **which)
        return kept.address_key if kept else fresh


def _skipped_row(skipped: Skipped, hashes: Mapping[str, str]) -> dict[str, Any]:
    address = skipped.counterpart or ""
    return {
        "external_id": skipped.external_id,
        "reason": skipped.reason,
        "counterpart": hashes.get(address) or hashes.get(normalized(address)),
        "first_in_at": skipped.first_in_at,
        "last_in_at": skipped.last_in_at,
        "first_out_at": skipped.first_out_at,
        "last_out_at": skipped.last_out_at,
    }


def _key_data(studio_id: UUID) -> AssociatedData:
    return AssociatedData(studio_id, "studio", "address_key", studio_id, 1)


def content_data(studio_id: UUID, row_id: UUID) -> AssociatedData:
    return AssociatedData(studio_id, "set_aside", "content", row_id, 1)
