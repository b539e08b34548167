"""A stand-in for the platforms: their own HTTP contracts, a believable studio behind them, and faults on demand.

    with Sandbox() as sandbox:
        grant = mint("studio")
        ...  # {sandbox.url}/www.googleapis.com/calendar/v3/calendars/primary/events

It is the vendors' side, so it shares no code with the product.
"""

from dev.sandbox.google import CLIENT_ID, CLIENT_SECRET, DEFAULT_SCOPES, Grant, mint
from dev.sandbox.sandbox import Sandbox

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "DEFAULT_SCOPES", "Grant", "Sandbox", "mint"]
