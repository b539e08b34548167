"""Envelope encryption of platform tokens, key wrapping, API keys and signatures. Independent of the database."""
