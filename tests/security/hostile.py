"""Hostile input where JSON is expected, and how it is encoded."""

import base64

DEEP = b"[" * 50_000
HOSTILE = [
    DEEP,
    b'{"algorithm": "HMAC-SHA256", "x": ' + DEEP,
    b'{"algorithm": ' + DEEP,
    b"{" + b'"a":{' * 20_000,
    b"",
    b"null",
    b"[]",
    b"\xff\xfe",
    b'"\\ud800"',
    b'{"algorithm": "\\ud800"}',
    b'{"algorithm": null}',
    b"9" * 50_000,
]
"""Deeply nested, truncated, empty, of the wrong type, invalid UTF-8, half a character, a number of 50,000 digits."""


def unpadded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
