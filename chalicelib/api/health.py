"""/api/health: whether this deployment can serve."""

from chalicelib.runtime.routes import PUBLIC, Reply, Routes
from chalicelib.services import health
from chalicelib.services.health import Health

routes = Routes()


@routes.get("/api/health", scope=PUBLIC, extra_statuses=[503])
def get_health() -> Reply[Health]:
    """Process, database and schema; 503 when degraded"""
    found = health.check_health()
    return Reply(found, status=200 if found.status == "ok" else 503)
