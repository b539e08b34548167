"""Time zones by the name that a studio chose."""

from zoneinfo import ZoneInfo

from chalicelib import logs

UTC = ZoneInfo("UTC")


def is_time_zone(name: str) -> bool:
    return _load(name) is not None


def zone_of(name: str) -> ZoneInfo:
    """The zone, or UTC if the name is no longer valid: one studio's data must not stop all schedules."""
    zone = _load(name)
    if zone is None:
        logs.event("studio.time_zone_unknown", name=name[:100])
    return zone or UTC


def _load(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
