"""The platforms there are. One without streams stores connections until its connector is built."""

from importlib import import_module

from chalicelib.errors import NotFound
from chalicelib.platforms.core.contract import Platform

NAMES = ("google", "meta", "pinterest", "yelp", "website")
"""Each is a module beside this one that defines a Platform under its name in capitals."""
LOADED: dict[str, Platform] = {}
"""Those asked for so far: few requests need any, and a cold start pays for every module."""


def require_known(name: str) -> str:
    """The name, if there is such a platform; imports nothing. Raises NotFound, naming those known."""
    if name not in NAMES:
        raise NotFound(f"Unknown platform; known platforms are {', '.join(NAMES)}", code="unknown_platform")
    return name


def get_platform(name: str) -> Platform:
    """Raises NotFound, naming those known."""
    require_known(name)
    if name not in LOADED:
        LOADED[name] = getattr(import_module(f"chalicelib.platforms.{name}"), name.upper())
    return LOADED[name]
