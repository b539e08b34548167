"""A small client of the product's own HTTP API."""

import http.client
import json
from typing import Any

from dev.errors import StackError
from dev.ports import HOST


class Api:
    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the decoded response."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=30)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise StackError(f"the API does not respond to {method} {path} as expected: {error}") from error
        finally:
            connection.close()
