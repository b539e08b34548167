"""Connections: a studio's grants on platforms, their tokens, and the accounts under them."""
