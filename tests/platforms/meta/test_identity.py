"""The connected account, requested with a token that never appears in a URL."""

from collections.abc import Callable

import pytest

from chalicelib.errors import TokenExpired, TokenRevoked
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Identity, Platform
from chalicelib.platforms.meta import META, identify
from dev.sandbox import Sandbox
from dev.sandbox.meta import DEFAULT_SCOPES, issue_token
from tests.http_fake import Fake, Reply

ClientOf = Callable[[Platform], Client]
ME, PERMISSIONS = "/graph.facebook.com/v26.0/me", "/graph.facebook.com/v26.0/me/permissions"


def test_the_account_is_the_user_with_the_granted_permissions(fake: Fake, client_of: ClientOf) -> None:
    fake.on(ME, Reply({"id": "1022", "name": "Lena Hart"}))
    permissions = [("ads_read", "granted"), ("business_management", "declined"), ("email", "expired")]
    fake.on(PERMISSIONS, Reply({"data": [{"permission": name, "status": status} for name, status in permissions]}))
    assert identify(client_of(META)) == Identity("1022", "Lena Hart", ("ads_read",))
    assert [request.headers["authorization"] for request in fake.requests] == ["Bearer ya29.canary"] * 2
    assert [request.query for request in fake.requests] == [[("fields", "id,name")], []]


def test_a_user_without_a_name_gets_a_default(fake: Fake, client_of: ClientOf) -> None:
    fake.on(ME, Reply({"id": "1022"}))
    fake.on(PERMISSIONS, Reply({"data": []}))
    assert identify(client_of(META)) == Identity("1022", "Meta account", ())


def test_the_sandbox_user_is_identified(connect: Callable[..., Client]) -> None:
    account = identify(connect())
    assert (account.name, account.scopes) == ("Mara Linden", DEFAULT_SCOPES)
    assert all(stream.is_covered_by(DEFAULT_SCOPES) for stream in META.streams)


def test_an_expired_token_and_a_removed_application_differ(sandbox: Sandbox, connect: Callable[..., Client]) -> None:
    with pytest.raises(TokenExpired):
        identify(connect(grant=issue_token(lifetime=0)))
    client = connect()
    sandbox.meta.revoke()
    with pytest.raises(TokenRevoked):
        identify(client)
    assert identify(connect()).external_id


def test_a_token_quoted_by_meta_is_not_in_the_error(fake: Fake, client_of: ClientOf) -> None:
    fake.on(ME, Reply({"error": {"message": "Malformed access token ya29.canary", "code": 190}}, status=400))
    with pytest.raises(TokenExpired) as caught:
        identify(client_of(META))
    assert str(caught.value) == "400 GET graph.facebook.com/v26.0/me: 190"
    assert "canary" not in str(caught.value) + caught.value.message
