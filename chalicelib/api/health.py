"""/api/health: whether the service can serve requests."""

from chalicelib.runtime.declare import PUBLIC, Routes
from chalicelib.runtime.responses import Response
from chalicelib.services import health
from chalicelib.services.health import Health

routes = Routes()


@routes.get("/api/health", scope=PUBLIC, extra_statuses=[503])
def get_health() -> Response[Health]:
    """Check whether the service can serve requests

    Checks the process, the database and its schema. Responds with 503 when something is degraded."""
    found = health.check_health()
    return Response(found, status=200 if found.status == "ok" else 503)
