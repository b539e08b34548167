"""The demo studio's Google connection, made through the API as a client would, and its first syncs."""

import time
from typing import Any

from dev.api import Api
from dev.errors import StackError
from dev.sandbox import mint

SYNC_SECONDS = 60.0
UNFINISHED = ("queued", "running", "deferred")


def connect_google(api: Api) -> None:
    """Does nothing if the studio has its connection already."""
    if api.call("GET", "/api/connections/google")[0] == 200:
        return
    print("Connecting Google (the sandbox's) and running the first syncs", flush=True)
    grant = mint("studio")
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresIn": grant.expires_in}
    _expect(201, api, "POST", "/api/connections", {"platform": "google", "scopes": list(grant.scopes), **tokens})
    test = _expect(200, api, "POST", "/api/connections/google/test")
    if not test["valid"]:
        raise StackError(f"the demo connection does not work: {test['error']}")
    for run in _expect(202, api, "POST", "/api/sync/google")["runs"]:
        _await_run(api, run["id"])


def _await_run(api: Api, run_id: str) -> None:
    deadline = time.monotonic() + SYNC_SECONDS
    while (run := _expect(200, api, "GET", f"/api/sync/log/{run_id}"))["status"] in UNFINISHED:
        if time.monotonic() > deadline:
            print(f"  the first sync of {run['syncType']} is still {run['status']}; it goes on in the background")
            return
        time.sleep(0.1)
    print(f"  {run['syncType']}: {run['status']}", flush=True)


def _expect(status: int, api: Api, method: str, path: str, body: object = None) -> Any:
    got, answer = api.call(method, path, body)
    if got != status:
        raise StackError(f"the demo failed: {method} {path} answered {got} {(answer or {}).get('detail', '')}".rstrip())
    return answer
