"""Meta: one grant, with the campaigns of the studio's ad accounts and what they bring each day.

Sources: Meta's Graph API and Marketing API documentation, and the field lists of its Business SDK (v26.0).
"""

import msgspec

from chalicelib.platforms.base import Account, Platform
from chalicelib.platforms.client import Client
from chalicelib.platforms.meta.campaigns import CAMPAIGNS
from chalicelib.platforms.meta.graph import BASE_URL, HOST
from chalicelib.platforms.meta.insights import AD_INSIGHTS
from chalicelib.platforms.meta.quota import usage
from chalicelib.platforms.meta.refusals import classify
from chalicelib.platforms.oauth2 import OAuth2
from chalicelib.platforms.text import clean

# No PKCE, no refresh tokens, and no revocation endpoint of RFC 7009: developers.facebook.com/docs/facebook-login
OAUTH = OAuth2(
    authorize_url="https://www.facebook.com/v26.0/dialog/oauth",
    token_url=f"{BASE_URL}/oauth/access_token",
    scope_separator=",",
)


class User(msgspec.Struct, frozen=True):
    id: str
    name: str | None = None


class Permission(msgspec.Struct, frozen=True):
    permission: str
    status: str = ""


class Permissions(msgspec.Struct, frozen=True):
    data: list[Permission]


def identify(client: Client) -> Account:
    """A user may decline a permission while consenting, and it may lapse: only the granted ones count."""
    user = client.get(f"{BASE_URL}/me", {"fields": "id,name"}, into=User)
    permissions = client.get(f"{BASE_URL}/me/permissions", into=Permissions)
    scopes = tuple(each.permission for each in permissions.data if each.status == "granted")
    return Account(user.id, clean(user.name) or "Meta account", scopes)


META = Platform(
    name="meta",
    title="Meta",
    hosts=frozenset({HOST}),
    streams=(CAMPAIGNS, AD_INSIGHTS),
    identify=identify,
    classify=classify,
    usage=usage,
    oauth=OAUTH,
)
