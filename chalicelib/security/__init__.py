"""Envelope encryption of platform tokens, the keys that wrap it, and API keys. Knows no database."""
