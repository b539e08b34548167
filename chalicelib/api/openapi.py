"""/api/openapi.json: the description of the API, for people and for generators of clients."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from chalicelib.runtime.declare import PUBLIC, Routes
from chalicelib.settings import get_settings


def describe(groups: Iterable[Routes]) -> Routes:
    """A route that describes these routes, and itself."""
    routes = Routes()

    @routes.get("/api/openapi.json", scope=PUBLIC, etag=True, cross_origin=True)
    def get_openapi() -> dict[str, Any]:
        """Get this document

        OpenAPI 3.1. It changes only with a release; send its `ETag` to learn whether it has."""
        return encoded(get_settings().public_url)  # type: ignore[return-value]  # the same once it is decoded

    described = [*groups, routes]

    @cache
    def encoded(server: str) -> msgspec.Raw:
        # Imported for the first reader of the document: no cold start pays for its texts and examples.
        from chalicelib.api.openapi_document import openapi

        return msgspec.Raw(msgspec.json.encode(openapi([route for group in described for route in group], server)))

    return routes
