"""Pinterest, as far as its public contract shows it: OAuth with rotating refresh tokens, and the user of a token."""

from dev.sandbox.pinterest.grants import APP_ID, APP_SECRET, DEFAULT_SCOPES, Grant, issue_token
from dev.sandbox.pinterest.platform import Pinterest

__all__ = ["APP_ID", "APP_SECRET", "DEFAULT_SCOPES", "Grant", "Pinterest", "issue_token"]
