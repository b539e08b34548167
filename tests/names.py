"""Resolves the names in a source file, whatever they are imported as."""

import ast
from collections.abc import Iterator


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Local names, mapped to what they were imported from."""
    return dict(_imports(tree))


def full_name(node: ast.AST, names: dict[str, str]) -> str | None:
    """The dotted name that an expression refers to, if any."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := full_name(node.value, names)):
        return f"{owner}.{node.attr}"
    return None


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"
