"""A studio's own website: known as data, without streams."""

from chalicelib.platforms.core.contract import Platform

WEBSITE = Platform(name="website", title="Website", credential="none")
