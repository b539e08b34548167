"""A sandbox on a fixed day, and a client of it on the same day."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest

from chalicelib.platforms.core.accounts import ConnectedAccount
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Page, Stream
from chalicelib.platforms.meta import META
from chalicelib.secret import Secret
from dev.sandbox import Sandbox
from dev.sandbox.meta import Grant, issue_token
from tests.conftest import NOON, TODAY

Connect = Callable[..., Client]
Read = Callable[..., tuple[list[Any], str | None]]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(today=TODAY) as started:
        yield started


@pytest.fixture
def connect(sandbox: Sandbox) -> Connect:
    def make(account: str = "studio", grant: Grant | None = None, now: datetime = NOON, ad_account: int = 0) -> Client:
        """With the ad account of that number to read, if the user has one."""
        token = Secret((grant or issue_token(account)).access_token)
        client = Client(META, token, sandbox_url=sandbox.url, now=lambda: now)
        accounts = [*sandbox.meta.user(account).ad_accounts.values()]
        if accounts:
            record = accounts[ad_account].record
            client.account = ConnectedAccount(
                external_id=record["id"], time_zone=record["timezone_name"], currency=record["currency"]
            )
        return client

    return make


@pytest.fixture
def read() -> Read:
    def every_page(stream: Stream[Any], client: Client, cursor: str | None = None) -> tuple[list[Any], str | None]:
        """All pages of one run: the records, and the stored cursor."""
        records: list[Any] = []
        for _ in range(300):
            page: Page[Any] = stream.fetch_page(client, cursor)
            records += page.records
            cursor = None if page.cursor is None else msgspec.json.encode(page.cursor).decode()
            if page.last:
                return records, cursor
        raise AssertionError("the stream never ends")

    return every_page
