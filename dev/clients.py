"""`make clients`: clients of the API in Python and TypeScript, generated from its OpenAPI document."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dev.errors import StackError

ROOT = Path(__file__).parent.parent
CLIENTS = ROOT / "build" / "clients"
TOOLS = ROOT / ".cache" / "node"
NODE_PACKAGES = {"openapi-typescript": "7.13.0", "typescript": "5.9.3"}
"""With exact versions. No lock file: it would name the addresses of a registry."""
TOO_SLOW_SECONDS = 600


def write_document(path: Path) -> None:
    """The OpenAPI document, as the API serves it where no PUBLIC_URL is set."""
    from app import API
    from chalicelib.api.openapi import describe
    from chalicelib.api.openapi_document import openapi

    routes = [route for group in [*API, describe(API)] for route in group]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(openapi(routes), indent=1), encoding="utf-8")


def generate_python(document: Path, folder: Path) -> list[str]:
    """Writes a project with the package `ansel_client`. Returns the generator's warnings, one line each."""
    binaries = Path(sys.executable).parent
    command = [str(binaries / "openapi-python-client"), "generate", "--path", str(document), "--meta", "uv"]
    command += ["--output-path", str(folder), "--overwrite", "--config", str(ROOT / "dev" / "python_client.yml")]
    # It formats what it writes with the ruff that it finds.
    said = _run(command, PATH=os.pathsep.join([str(binaries), os.environ.get("PATH", "")]))
    return [line for line in said.splitlines() if line.startswith("WARNING") or "Skipping" in line]


def has_node() -> bool:
    return shutil.which("npm") is not None


def has_tools() -> bool:
    """Whether the TypeScript generator is installed, in the versions named here."""
    manifests = {name: TOOLS / "node_modules" / name / "package.json" for name in NODE_PACKAGES}
    return has_node() and all(
        path.is_file() and json.loads(path.read_text("utf-8"))["version"] == NODE_PACKAGES[name]
        for name, path in manifests.items()
    )


def install_tools() -> None:
    """Installs the TypeScript generator under .cache. Raises StackError without Node, or without a network."""
    if has_tools():
        return
    if not has_node():
        raise StackError("the TypeScript client needs Node.js with npm, version 18 or newer")
    TOOLS.mkdir(parents=True, exist_ok=True)
    packages = [f"{name}@{version}" for name, version in NODE_PACKAGES.items()]
    options = ["--no-package-lock", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(TOOLS)]
    _run(["npm", "install", *options, *packages])


def generate_typescript(document: Path, folder: Path) -> list[str]:
    """Writes `schema.d.ts`. Returns the generator's warnings."""
    folder.mkdir(parents=True, exist_ok=True)
    said = run_tool("openapi-typescript", str(document), "--output", str(folder / "schema.d.ts"))
    return [line for line in said.splitlines() if "warn" in line.lower()]


def run_tool(name: str, *arguments: str) -> str:
    return _run([str(TOOLS / "node_modules" / ".bin" / name), *arguments])


def _run(command: Sequence[str], **env: str) -> str:
    """What the command prints. Raises StackError with the end of it when it fails."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TOO_SLOW_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{Path(command[0]).name} cannot be run: {error}") from error
    if done.returncode:
        raise StackError(f"{Path(command[0]).name} failed: {done.stdout.strip()[-400:]}")
    return done.stdout


def _prepare_tests() -> int:
    """Without Node or a network the other tests still run, and those of the TypeScript client are shown as skipped."""
    try:
        install_tools()
    except StackError as error:
        print(f"make: the tests of the TypeScript client are skipped: {error}", file=sys.stderr)
    return 0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make clients", description=__doc__)
    parser.add_argument("--tools", action="store_true", help="only install the TypeScript generator, if there is Node")
    parser.add_argument("--output", type=Path, default=CLIENTS, help="the folder to write to")
    options = parser.parse_args(arguments)
    if options.tools:
        return _prepare_tests()
    try:
        warnings = _generate(options.output)
    except StackError as error:
        print(f"make: {error}", file=sys.stderr)
        return 1
    print(*warnings, sep="\n", end="\n" if warnings else "")
    return 0


def _generate(output: Path) -> list[str]:
    document = output / "openapi.json"
    write_document(document)
    warnings = generate_python(document, output / "python")
    print(f"Python: {output / 'python'}")
    if not has_node():
        return [*warnings, "TypeScript: not generated, since there is no Node.js with npm"]
    install_tools()
    warnings += generate_typescript(document, output / "typescript")
    print(f"TypeScript: {output / 'typescript'}")
    return warnings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
