"""The known platforms. One without streams stores connections until its connector is built."""

from importlib import import_module

from chalicelib.errors import NotFound
from chalicelib.platforms.core.contract import Platform

NAMES = ("google", "meta", "pinterest", "yelp", "website")
"""Each is a module in this package that defines a Platform under its name in capitals."""
LOADED: dict[str, Platform] = {}
"""The platforms requested so far: few requests need any, and a cold start pays for every module."""


def require_known(name: str) -> str:
    """The name, if such a platform exists; imports nothing. Raises NotFound, which lists the known names."""
    if name not in NAMES:
        raise NotFound(f"Unknown platform; known platforms are {', '.join(NAMES)}", code="unknown_platform")
    return name


def get_platform(name: str) -> Platform:
    """Raises NotFound, which lists the known names."""
    require_known(name)
    if name not in LOADED:
        LOADED[name] = getattr(import_module(f"chalicelib.platforms.{name}"), name.upper())
    return LOADED[name]
