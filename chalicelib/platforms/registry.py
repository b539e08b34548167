"""The platforms there are. One without streams stores connections until its connector is built."""

from chalicelib.errors import NotFound
from chalicelib.platforms.base import Platform
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.meta import META
from chalicelib.platforms.pinterest import PINTEREST
from chalicelib.platforms.yelp import YELP

PLATFORMS: dict[str, Platform] = {
    platform.name: platform
    for platform in (
        GOOGLE,
        META,
        PINTEREST,
        YELP,
        Platform(name="website", title="Website", credential="none"),
    )
}


def get_platform(name: str) -> Platform:
    """Raises NotFound, naming those known."""
    platform = PLATFORMS.get(name)
    if platform is None:
        raise NotFound(f"There is no such platform; known are {', '.join(PLATFORMS)}", code="unknown_platform")
    return platform
