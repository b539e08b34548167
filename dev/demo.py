"""The demo studio's Google connection, authorized as in a browser, and its first syncs."""

import time
from typing import Any

import urllib3

from dev.api import Api
from dev.errors import StackError

STREAMS = ["bookings", "inquiries"]
"""By name: scopes that Google restricts are requested only when named."""
SYNC_SECONDS = 60.0
UNFINISHED = ("queued", "running", "deferred")


def connect_google(api: Api) -> None:
    """Does nothing if the studio already has its connection."""
    if api.call("GET", "/api/connections/google")[0] == 200:
        return
    print("Connecting Google (the sandbox's) and running the first syncs", flush=True)
    code = _consent(_expect(201, api, "POST", "/api/oauth/google/authorize", {"streams": STREAMS})["authorizeUrl"])
    _expect(200, api, "POST", "/api/oauth/google/complete", {"code": code})
    test = _expect(200, api, "POST", "/api/connections/google/test")
    if not test["valid"]:
        raise StackError(f"the demo connection does not work: {test['error']}")
    for run in _expect(200, api, "GET", "/api/sync/log")["items"]:
        _await_run(api, run["id"])


def _consent(authorize_url: str) -> str:
    """Approves on the sandbox's page, which redirects to the API's callback, which shows the one-time code."""
    try:
        answer = urllib3.request("GET", f"{authorize_url}&auto=approve&account=studio", timeout=30, retries=3)
    except urllib3.exceptions.HTTPError as error:
        raise StackError(f"the demo's authorization failed: {error}") from error
    if answer.status != 200:
        raise StackError(f"the demo's authorization failed: the callback returned {answer.status}")
    return str(answer.json()["completionCode"])


def _await_run(api: Api, run_id: str) -> None:
    deadline = time.monotonic() + SYNC_SECONDS
    while (run := _expect(200, api, "GET", f"/api/sync/log/{run_id}"))["status"] in UNFINISHED:
        if time.monotonic() > deadline:
            print(f"  the first sync of {run['syncType']} is still {run['status']}; it continues in the background")
            return
        time.sleep(0.1)
    print(f"  {run['syncType']}: {run['status']}", flush=True)


def _expect(status: int, api: Api, method: str, path: str, body: object = None) -> Any:
    got, answer = api.call(method, path, body)
    if got != status:
        raise StackError(f"the demo failed: {method} {path} returned {got} {(answer or {}).get('detail', '')}".rstrip())
    return answer
