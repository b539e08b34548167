"""Calls the sandbox like any client: real HTTP, one grant, JSON responses."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import urllib3

from dev.sandbox import Grant, Sandbox, issue_token

EVENTS = "/www.googleapis.com/calendar/v3/calendars/primary/events"
GMAIL = "/gmail.googleapis.com/gmail/v1/users/me"
TOKEN = "/oauth2.googleapis.com/token"

Params = Sequence[tuple[str, str]] | dict[str, str]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        return str(self.json["error"]["errors"][0]["reason"])


@dataclass
class SandboxClient:
    sandbox: Sandbox
    grant: Grant = field(default_factory=issue_token)
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=5))

    def acting_for(self, account: str = "studio", **grant: Any) -> "SandboxClient":
        """The same client with a new grant."""
        return SandboxClient(self.sandbox, issue_token(account, **grant), self.pool)

    def get(self, path: str, params: Params = ()) -> Answer:
        """GET of `/{host}/{path}` with the grant's access token."""
        headers = {"Authorization": f"Bearer {self.grant.access_token}"}
        return self.send("GET", f"{path}?{urlencode(params)}", headers=headers)

    def post(self, path: str, **form: str) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", path, body=urlencode(form), headers=headers)

    def control(self, method: str, path: str, /, **body: Any) -> Answer:
        return self.send(method, f"/_sandbox{path}", body=json.dumps(body), headers={})

    def send(self, method: str, path: str, **options: Any) -> Answer:
        response = self.pool.request(method, self.sandbox.url + path, **options)
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, response.data)

    def pages(self, path: str, params: Params = ()) -> list[Any]:
        """Every page of a list, up to the last one."""
        pages = [self.get(path, params).json]
        while token := pages[-1].get("nextPageToken"):
            pages.append(self.get(path, [*dict(params).items(), ("pageToken", token)]).json)
        return pages
