"""The queries a function of the product can run, found in its source: everything it refers to, directly or not."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tests.names import full_name, imported_names

ROOT = Path(__file__).parents[2]
PACKAGE = "chalicelib"
Graph = dict[str, set[str]]
"""The definitions that each definition of a module refers to; a class stands for all of its methods."""


def reachable(entries: Iterable[str]) -> set[str]:
    """All definitions reachable from those of `entries`: names of modules or definitions."""
    graph = _graph()
    waiting = [name for name in graph if any(name == entry or name.startswith(f"{entry}.") for entry in entries)]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph[name] & graph.keys()
    return reached


@cache
def _graph() -> Graph:
    return {name: refers for path in sorted((ROOT / PACKAGE).rglob("*.py")) for name, refers in _definitions(path)}


def _definitions(path: Path) -> Iterator[tuple[str, set[str]]]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    tree = ast.parse(path.read_text("utf-8"))
    own = {name: f"{module}.{name}" for node in tree.body for name in _names(node)}
    names = {**own, **imported_names(tree)}
    for node in tree.body:
        refers = {name for part in ast.walk(node) if (name := full_name(part, names))}
        for name in _names(node):
            yield f"{module}.{name}", refers


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]
