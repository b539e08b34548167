"""Time zones by name, of the studio's own choice."""

from zoneinfo import ZoneInfo

from chalicelib import logs

UTC = ZoneInfo("UTC")


def is_time_zone(name: str) -> bool:
    return _load(name) is not None


def zone_of(name: str) -> ZoneInfo:
    """The zone, or UTC where the name is no zone's any more: no studio's data may stop everybody's schedules."""
    zone = _load(name)
    if zone is None:
        logs.event("studio.time_zone_unknown", name=name[:100])
    return zone or UTC


def _load(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
