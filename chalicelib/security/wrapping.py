"""How many KMS keys may wrap a data key; separate from the Encryption SDK, which is slow to import."""

MAX_WRAPPING_KEYS = 8
