"""Settings of the property tests."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)  # a slow machine is no failure
settings.load_profile("no deadline")
