"""Splits URLs from outside without raising for invalid ones."""

from urllib.parse import SplitResult, urlsplit


def split_url(url: str) -> SplitResult | None:
    """None if the standard library cannot split it: `http://[`, a port that is not a number."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts
