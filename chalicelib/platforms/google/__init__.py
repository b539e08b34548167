"""Google: one grant, with the studio's calendar as bookings and its mailbox as inquiries.

Sources: Google's discovery documents (calendar v3, gmail v1, oauth2 v2); for the token endpoints its client libraries.
"""

from datetime import timedelta

import msgspec

from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import GrantWarning, Identity, Platform
from chalicelib.platforms.core.oauth2 import OAuth2, TokenGrant
from chalicelib.platforms.core.text import clean
from chalicelib.platforms.core.urls import url_of
from chalicelib.platforms.google.calendar import BOOKINGS
from chalicelib.platforms.google.errors import RULES, classify
from chalicelib.platforms.google.gmail import INQUIRIES
from chalicelib.platforms.google.webhooks import SECURITY_EVENTS

TOKENINFO_URL = url_of("https://oauth2.googleapis.com/tokeninfo")
USERINFO_URL = url_of("https://www.googleapis.com/oauth2/v2/userinfo")

OAUTH = OAuth2(
    authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
    token_url="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
    revoke_url="https://oauth2.googleapis.com/revoke",
    # Without both Google issues no refresh token: developers.google.com/identity/protocols/oauth2/web-server
    authorize_params=(("access_type", "offline"), ("prompt", "consent"), ("include_granted_scopes", "true")),
    identity_scopes=("openid", "email", "profile"),
    # A grant that is unused for six months ends: developers.google.com/identity/protocols/oauth2#expiration
    refresh_every=timedelta(days=30),
    rules=RULES,
)

TESTING_SECONDS = (6 * 86400, 8 * 86400)

USERINFO_SCOPES = frozenset(
    {
        "openid",
        "email",
        "profile",
        "https://www.googleapis.com/auth/userinfo.email",
        "https://www.googleapis.com/auth/userinfo.profile",
    }
)


class TokenInfo(msgspec.Struct, frozen=True):
    """Two versions of the endpoint name the user `user_id` or `sub`; both are absent without an identity scope."""

    scope: str = ""
    user_id: str = ""
    sub: str = ""
    email: str = ""


class UserInfo(msgspec.Struct, frozen=True):
    id: str
    name: str = ""
    email: str = ""


def identify(client: Client) -> Identity:
    """Works for every valid token: a grant without an identity scope has an empty external id."""
    # google-auth-library-nodejs sends the token in the header, the discovery document names a parameter: we send both.
    info = client.post_form(TOKENINFO_URL, into=TokenInfo, token_field="access_token")  # noqa: S106 - a field's name
    scopes = tuple(info.scope.split())
    if not USERINFO_SCOPES.intersection(scopes):
        return Identity(info.user_id or info.sub or info.email, info.email or "Google account", scopes)
    user = client.get(USERINFO_URL, into=UserInfo)
    return Identity(user.id, clean(user.name) or user.email or info.email or "Google account", scopes)


def check_grant(client: Client, grant: TokenGrant) -> tuple[GrantWarning, ...]:
    """A project issues refresh tokens of seven days while its consent screen has the status Testing:
    developers.google.com/identity/protocols/oauth2#expiration
    """
    if grant.refresh_expires_in is None or not TESTING_SECONDS[0] <= grant.refresh_expires_in <= TESTING_SECONDS[1]:
        return ()
    message = "Google ends this connection after seven days: this application's consent screen is in the status Testing"
    return (GrantWarning("google_testing_mode", message),)


GOOGLE = Platform(
    name="google",
    title="Google",
    hosts=frozenset({"www.googleapis.com", "gmail.googleapis.com", "oauth2.googleapis.com"}),
    streams=(BOOKINGS, INQUIRIES),
    identify=identify,
    classify=classify,
    oauth=OAUTH,
    check_grant=check_grant,
    webhooks=(SECURITY_EVENTS,),
)
