"""How many KMS keys a data key may be wrapped under: known without the Encryption SDK, which is slow to import."""

MAX_WRAPPING_KEYS = 8
