"""This product's credentials at the platforms: OAuth clients and API keys, in the environment or in a secret.

The secret is read before the first call to a platform, so that requests without one do not wait for it, and again
after a few minutes, so that a rotation needs no deployment.
"""

from typing import TypeVar

from chalicelib.errors import Misconfigured, SettingsError
from chalicelib.platforms.core.contract import Platform
from chalicelib.secret import Secret
from chalicelib.secret_store import get_secret
from chalicelib.settings import OAuthClient, get_settings, oauth_clients, platform_api_keys

Credential = TypeVar("Credential")


def find_oauth_client(platform: str) -> OAuthClient | None:
    """None if this product is not registered. Raises SettingsError for an incomplete client, or one in both places."""
    clients = oauth_clients(_secret_variables(platform))
    return _only(platform, get_settings().oauth_clients.get(platform), clients.get(platform))


def find_platform_key(platform: str) -> Secret | None:
    keys = platform_api_keys(_secret_variables(platform))
    return _only(platform, get_settings().platform_api_keys.get(platform), keys.get(platform))


def platform_key(platform: Platform) -> Secret:
    """Our key, for all studios; empty for a platform that needs none. Raises Misconfigured if it is missing."""
    if platform.credential != "api_key":
        return Secret("")
    key = find_platform_key(platform.name)
    if key is None:
        raise Misconfigured(f"There is no API key for {platform.title}")
    return key


def _secret_variables(platform: str) -> dict[str, str]:
    """The platform's part of the secret: errors in another platform's part do not affect it."""
    arn = get_settings().platform_secrets_arn
    fields = get_secret(arn) if arn else {}
    return {name: value.reveal() for name, value in fields.items() if name.startswith(f"{platform.upper()}_")}


def _only(platform: str, plain: Credential | None, secret: Credential | None) -> Credential | None:
    if plain is not None and secret is not None:
        raise SettingsError(f"{platform.upper()}_ variables are both in the environment and in PLATFORM_SECRETS_ARN")
    return plain if plain is not None else secret
