"""Stand-ins for the platforms: their own HTTP contracts, a realistic studio behind them, and faults on demand.

    with Sandbox() as sandbox:
        grant = issue_token("studio")
        ...  # {sandbox.url}/www.googleapis.com/calendar/v3/calendars/primary/events

It plays the vendors' side, so it shares no code with the product.
"""

from dev.sandbox import meta, pinterest, yelp
from dev.sandbox.google import CLIENT_ID, CLIENT_SECRET, DEFAULT_SCOPES, Grant, issue_token
from dev.sandbox.sandbox import Sandbox

CREDENTIALS = {
    "GOOGLE_CLIENT_ID": CLIENT_ID,
    "GOOGLE_CLIENT_SECRET": CLIENT_SECRET,
    "META_CLIENT_ID": meta.APP_ID,
    "META_CLIENT_SECRET": meta.APP_SECRET,
    "PINTEREST_CLIENT_ID": pinterest.APP_ID,
    "PINTEREST_CLIENT_SECRET": pinterest.APP_SECRET,
    "YELP_API_KEY": yelp.API_KEY,
}
"""The product's client credentials here, by the variables it reads them from."""

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "CREDENTIALS", "DEFAULT_SCOPES", "Grant", "Sandbox", "issue_token"]
