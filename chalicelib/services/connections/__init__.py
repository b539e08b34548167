"""Connections: a studio's links to accounts of platforms, their tokens, and the accounts under them."""
