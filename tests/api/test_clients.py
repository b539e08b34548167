"""Clients that two generators make from the OpenAPI document: complete, well typed, and able to call the API."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chalicelib.services.api_keys import create_api_key
from chalicelib.services.studios import create_studio
from dev import clients
from dev.errors import StackError
from tests.conftest import Database, as_operator

KNOWN_WARNINGS = [
    # A signed token that only Google sends; the generator knows JSON, forms and plain text.
    "WARNING parsing POST /api/webhooks/google/security-events within webhooks. Endpoint will not be generated.",
]
USAGE = """
import type { components, operations, paths } from "./schema";

type Connections = paths["/api/connections"]["get"]["responses"][200]["content"]["application/json"];
type Problem = components["schemas"]["Problem"];

export function firstStatus(list: Connections): components["schemas"]["ConnectionStatus"] | null {
  const cursor: string | null = list.nextCursor;
  return cursor === null && list.items.length > 0 ? list.items[0].status : null;
}
export const body: components["schemas"]["ScheduleRequest"] = { syncType: "bookings", frequency: "daily" };
export const query: operations["list_runs"]["parameters"]["query"] = { status: "failed", limit: 10 };
export const codeOf = (problem: Problem): string => problem.errors.map((each) => each.field).join() || problem.code;
// @ts-expect-error  a status that there is not
export const wrong: components["schemas"]["RunStatus"] = "lost";
"""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    clients.write_document(path)
    return path


@pytest.fixture(scope="module")
def python_client(document: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("clients") / "python"
    return folder, clients.generate_python(document, folder)


@pytest.fixture
def client(python_client: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(python_client[0]))
    yield importlib.import_module("ansel_client")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ansel_client"]:
        del sys.modules[name]


@pytest.fixture
def key(clean_database: Database) -> str:
    with as_operator():
        return create_api_key(create_studio("Studio"), "client", ["connections:read", "connections:write"]).reveal()


def call(operation: str, **arguments: Any) -> Any:
    return importlib.import_module(f"ansel_client.api.{operation}").sync_detailed(**arguments)


def test_the_python_generator_omits_only_what_is_expected(python_client: tuple[Path, list[str]]) -> None:
    assert python_client[1] == KNOWN_WARNINGS


def test_the_python_client_is_well_typed(python_client: tuple[Path, list[str]], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), "--config-file=", "ansel_client"]
    done = subprocess.run(command, cwd=python_client[0], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_python_client_calls_the_api_and_reads_its_responses(
    client: ModuleType, http_server: str, key: str
) -> None:
    models = importlib.import_module("ansel_client.models")
    with client.AuthenticatedClient(base_url=http_server, token=key) as authenticated:
        body = models.NewConnection(platform=models.Platform.WEBSITE)
        created = call("connections.create_connection", client=authenticated, body=body)
        listed = call("connections.list_connections", client=authenticated)
    assert created.status_code == 201
    assert created.headers["Location"].startswith("/api/connections/website?connection=")
    assert isinstance(created.parsed, models.Connection)
    assert isinstance(listed.parsed, models.ConnectionList)
    (connection,) = listed.parsed.items
    assert connection.id == created.parsed.id
    assert (connection.status, connection.token_expires_at) == (models.ConnectionStatus.ACTIVE, None)


def test_the_python_client_reads_errors_as_problems(client: ModuleType, http_server: str, key: str) -> None:
    models = importlib.import_module("ansel_client.models")
    with client.AuthenticatedClient(base_url=http_server, token="no key") as stranger:
        refused = call("connections.list_connections", client=stranger)
    with client.AuthenticatedClient(base_url=http_server, token=key) as authenticated:
        body = models.NewConnection(platform=models.Platform.YELP)
        invalid = call("connections.create_connection", client=authenticated, body=body)
        missing = call("connections.get_connection", client=authenticated, platform=models.Platform.META)
    assert all(isinstance(each.parsed, models.Problem) for each in (refused, invalid, missing))
    assert [each.parsed.code for each in (refused, invalid, missing)] == [
        "unauthorized",
        "invalid_input",
        "connection_not_found",
    ]
    assert [each.field for each in invalid.parsed.errors] == ["accountId"]


@pytest.fixture(scope="module")
def tools() -> None:
    if not clients.has_tools():
        pytest.skip("the TypeScript generator is not installed: make client-tools, with Node.js")


def test_the_typescript_client_is_complete_and_well_typed(document: Path, tools: None, tmp_path: Path) -> None:
    assert clients.generate_typescript(document, tmp_path) == []
    (tmp_path / "usage.ts").write_text(USAGE, encoding="utf-8")
    clients.run_tool("tsc", "--noEmit", "--strict", str(tmp_path / "usage.ts"))


def test_without_node_only_the_python_client_is_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert clients.main(["--output", str(tmp_path)]) == 0
    assert "TypeScript: not generated" in capsys.readouterr().out
    assert (tmp_path / "python" / "pyproject.toml").is_file()
    assert not (tmp_path / "typescript").exists()


def test_a_failing_generator_is_reported_with_its_output(tmp_path: Path) -> None:
    broken = tmp_path / "openapi.json"
    broken.write_text("no document", encoding="utf-8")
    with pytest.raises(StackError, match="openapi-python-client failed"):
        clients.generate_python(broken, tmp_path / "python")
