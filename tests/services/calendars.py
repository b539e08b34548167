"""Calendars of a Google connection, as tests see and change them."""

from typing import Any

from dev.sandbox import DEFAULT_SCOPES, issue_token
from tests.services.conftest import Studio

PATH = "/api/connections/google/accounts"


def accounts(studio: Studio) -> list[dict[str, Any]]:
    answer = studio.api.get(PATH)
    assert answer.status == 200, answer.text
    return answer.json["items"]  # type: ignore[no-any-return]


def own(studio: Studio) -> dict[str, Any]:
    """The primary calendar of the grant."""
    (account,) = [account for account in accounts(studio) if account["isPrimary"] and account["goneAt"] is None]
    return account


def reconnect(studio: Studio, account: str = "studio", scopes: Any = DEFAULT_SCOPES) -> None:
    grant = issue_token(account, scopes=scopes)
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "scopes": list(grant.scopes)}
    assert studio.api.put("/api/connections/google", tokens).status == 200
