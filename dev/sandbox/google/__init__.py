"""Google, as far as its public contract shows it: OAuth 2.0, Calendar v3 and Gmail v1."""

from dev.sandbox.google.grants import CLIENT_ID, CLIENT_SECRET, DEFAULT_SCOPES, Grant, issue_token
from dev.sandbox.google.platform import Google

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "DEFAULT_SCOPES", "Google", "Grant", "issue_token"]
