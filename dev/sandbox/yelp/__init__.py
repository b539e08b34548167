"""Yelp, as far as its public contract shows it: businesses, by one key for the whole application."""

from dev.sandbox.yelp.platform import API_KEY, BUSINESS_ALIAS, BUSINESS_ID, Yelp

__all__ = ["API_KEY", "BUSINESS_ALIAS", "BUSINESS_ID", "Yelp"]
