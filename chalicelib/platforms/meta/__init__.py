"""Meta: one grant, with the campaigns of the studio's ad accounts and their daily results.

Sources: Meta's Graph API and Marketing API documentation, and the field lists of its Business SDK (v26.0).
"""

from datetime import timedelta

import msgspec

from chalicelib.errors import AuthorizationFailed
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import GrantWarning, Identity, Platform
from chalicelib.platforms.core.oauth2 import OAuth2, TokenGrant
from chalicelib.platforms.core.text import clean
from chalicelib.platforms.core.urls import url_of
from chalicelib.platforms.meta.campaigns import CAMPAIGNS
from chalicelib.platforms.meta.errors import classify, classify_token_error
from chalicelib.platforms.meta.graph import BASE_URL, HOST, VERSION, list_ad_accounts
from chalicelib.platforms.meta.insights import AD_INSIGHTS
from chalicelib.platforms.meta.quota import usage
from chalicelib.platforms.meta.token_life import find_lifetime
from chalicelib.platforms.meta.webhooks import DATA_DELETION, DEAUTHORIZE

# No PKCE, no refresh tokens, and no revocation endpoint of RFC 7009: developers.facebook.com/docs/facebook-login
OAUTH = OAuth2(
    authorize_url=f"https://www.facebook.com/{VERSION}/dialog/oauth",
    token_url=f"{BASE_URL}/oauth/access_token",
    token_method="GET",  # noqa: S106 - a method of HTTP
    revoke_url=f"{BASE_URL}/me/permissions",
    revoke_method="DELETE",
    # Without it the dialog silently omits permissions that the user declined before.
    authorize_params=(("auth_type", "rerequest"),),
    identity_scopes=("public_profile",),
    scope_separator=",",
    pkce=False,
    lasting="exchange",
    # developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived
    exchange_type="fb_exchange_token",
    exchange_param="fb_exchange_token",
    # A long-lived token is valid for about 60 days, and can be exchanged for a new one only while it is.
    refresh_before=timedelta(days=10),
    refresh_every=timedelta(days=30),
    classify=classify_token_error,
    find_lifetime=find_lifetime,
)


class User(msgspec.Struct, frozen=True):
    id: str
    name: str | None = None


class Permission(msgspec.Struct, frozen=True):
    permission: str
    status: str = ""


class Permissions(msgspec.Struct, frozen=True):
    data: list[Permission]


def identify(client: Client) -> Identity:
    """A user may decline a permission, and a permission may lapse: only the granted ones count."""
    user = client.get(url_of(f"{BASE_URL}/me"), {"fields": "id,name"}, into=User)
    permissions = client.get(url_of(f"{BASE_URL}/me/permissions"), into=Permissions)
    scopes = tuple(each.permission for each in permissions.data if each.status == "granted")
    return Identity(user.id, clean(user.name) or "Meta account", scopes)


def check_grant(client: Client, grant: TokenGrant) -> tuple[GrantWarning, ...]:
    """The user chooses the ad accounts separately from the permissions, and may choose none."""
    if not list_ad_accounts(client).accounts:
        raise AuthorizationFailed(
            "No ad account was shared: choose one in Meta's dialog, or ask its owner for access", code="no_ad_account"
        )
    return ()


META = Platform(
    name="meta",
    title="Meta",
    hosts=frozenset({HOST}),
    streams=(CAMPAIGNS, AD_INSIGHTS),
    identify=identify,
    classify=classify,
    usage=usage,
    oauth=OAUTH,
    check_grant=check_grant,
    webhooks=(DEAUTHORIZE, DATA_DELETION),
)
