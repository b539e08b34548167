"""What this product is known as at the platforms: its OAuth clients and keys, in the environment or in a secret.

The secret is read when a platform is first to be asked, so that requests that ask none do not wait for it, and again
after a few minutes, so that a rotation needs no deployment.
"""

from typing import TypeVar

from chalicelib.errors import Misconfigured, SettingsError
from chalicelib.platforms.core.contract import Platform
from chalicelib.secret import Secret
from chalicelib.secret_store import get_secret
from chalicelib.settings import OAuthClient, get_settings, oauth_clients, platform_api_keys

Found = TypeVar("Found")


def find_oauth_client(platform: str) -> OAuthClient | None:
    """None where this product is not registered. Raises SettingsError for half a client, or one kept twice."""
    kept = oauth_clients(_kept_variables(platform))
    return _only(platform, get_settings().oauth_clients.get(platform), kept.get(platform))


def find_platform_key(platform: str) -> Secret | None:
    kept = platform_api_keys(_kept_variables(platform))
    return _only(platform, get_settings().platform_api_keys.get(platform), kept.get(platform))


def platform_key(platform: Platform) -> Secret:
    """Ours, for all studios; a platform that wants none is never asked with it. Raises Misconfigured without it."""
    if platform.credential != "api_key":
        return Secret("")
    key = find_platform_key(platform.name)
    if key is None:
        raise Misconfigured(f"There is no API key for {platform.title}")
    return key


def _kept_variables(platform: str) -> dict[str, str]:
    """The platform's part of the secret: what is wrong with another's is not its concern."""
    arn = get_settings().platform_secrets_arn
    fields = get_secret(arn) if arn else {}
    return {name: value.reveal() for name, value in fields.items() if name.startswith(f"{platform.upper()}_")}


def _only(platform: str, plain: Found | None, kept: Found | None) -> Found | None:
    if plain is not None and kept is not None:
        raise SettingsError(f"{platform.upper()}_ variables are both in the environment and in PLATFORM_SECRETS_ARN")
    return plain if plain is not None else kept
