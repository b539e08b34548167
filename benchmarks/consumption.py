"""What invocations use, as `usage` measures it and `bill` prices it; stored in benchmarks/usage.json."""

import msgspec


class Invocation(msgspec.Struct, kw_only=True, rename="camel"):
    """What one warm invocation of a function uses."""

    ms: float
    """From the event to the response, excluding the platforms' time"""
    log_bytes: float
    answer_bytes: float = 0
    kms_calls: float = 0
    api_calls: float = 0
    database_ms: float = 0
    """Time of statements on the server and the wire"""


class Usage(msgspec.Struct, kw_only=True, rename="camel"):
    """What was measured, and when."""

    measured_on: str
    machine: str
    api: Invocation
    """GET /api/connections"""
    tick: Invocation
    """A tick that finds nothing due"""
    tick_per_run: Invocation
    """What each run that a tick starts adds"""
    sync: Invocation
    """A run that finds one change, in a container that does not know the studio's data key"""
    metric_series: int
    """EMF metrics by their dimensions, with four platforms"""
