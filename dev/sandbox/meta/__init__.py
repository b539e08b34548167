"""Meta, as far as its public contract shows it: the user of a token, ad accounts, campaigns and their insights."""

from dev.sandbox.meta.grants import DEFAULT_SCOPES, Grant, issue_token
from dev.sandbox.meta.oauth import APP_ID, APP_SECRET, signed_request
from dev.sandbox.meta.platform import Meta

__all__ = ["APP_ID", "APP_SECRET", "DEFAULT_SCOPES", "Grant", "Meta", "issue_token", "signed_request"]
