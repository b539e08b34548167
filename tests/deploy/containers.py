"""Containers of the packaged functions, their invocations and their output."""

import json
from pathlib import Path
from typing import Any

import yaml

from dev.invocation import request_event
from dev.lambda_runtime import Container, Function, functions, lay_out_runtime
from tests.canary import Evidence
from tests.deploy.conftest import Package

ENDING = ("request.done", "job.done", "admin.done")


class Cloud:
    """Starts containers of the packaged functions, in the same environment except for their database roles.

    Checks that they print no secret.
    """

    def __init__(self, package: Package, folder: Path, environ: dict[str, str], database_urls: dict[str, str]) -> None:
        self.functions: dict[str, Function] = functions(
            yaml.safe_load((package.folder / "template.yaml").read_text()), environ["ANSEL_STAGE"]
        )
        self.environ = environ
        self._database_urls = database_urls
        self.key = ""
        self.evidence = Evidence()
        self.secrets: dict[str, str | bytes] = {}
        self._package, self._folder = package, folder
        self._runtime = lay_out_runtime(folder / "runtime")
        self._containers: list[Container] = []

    def start(self, function: str, **environ: str | None) -> Container:
        """A value of None takes the variable away."""
        variables = {**self.environ, "DATABASE_URL": self._database_urls.get(function, ""), **environ}
        env = {name: value for name, value in variables.items() if value is not None}
        log = self._folder / f"{len(self._containers)}.log"
        container = Container(self.functions[function], self._package.task, self._runtime, env, log=log)
        self._containers.append(container)
        return container

    def call(
        self, container: Container, method: str, path: str, body: Any = None, *, route: str = "", key: str | None = None
    ) -> "Reply":
        key = self.key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        sent = json.dumps(body) if isinstance(body, dict) else body
        outcome = container.invoke(request_event(method, path, headers, sent, route=route))
        assert outcome.error is None, outcome.error
        self.evidence.add("response", json.dumps(outcome.payload))
        return Reply(outcome.payload)

    def stop(self) -> None:
        for container in self._containers:
            container.stop()
            self.evidence.add("printed", container.output)


class Reply:
    """The function's response to API Gateway."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self.status: int = payload["statusCode"]
        self.headers: dict[str, str] = payload["headers"]
        self.json: Any = json.loads(payload["body"]) if payload["body"] else None


def lines(container: Container) -> list[dict[str, Any]]:
    """A container's log: only JSON, one event per line."""
    return [json.loads(line) for line in container.output.splitlines()]


def endings(container: Container) -> list[dict[str, Any]]:
    return [line for line in lines(container) if line.get("event") in ENDING]
