"""Every query that the product can make, found in its source: the constants, and the functions that build others."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.names import full_name, imported_names

QUERY = "chalicelib.data.postgres.query.Query"
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Module(NamedTuple):
    """`names` maps names to what its imports and its own definitions mean."""

    name: str
    tree: ast.Module
    names: dict[str, str]

    def is_query(self, node: ast.AST, aliases: set[str]) -> bool:
        """Whether the node denotes the class, also as `Query[...]`."""
        return full_name(node.value if isinstance(node, ast.Subscript) else node, self.names) in aliases

    def returns_query(self, function: ast.FunctionDef, aliases: set[str]) -> bool:
        return any(self.is_query(part, aliases) for part in ast.walk(function.returns or ast.Constant(None)))


def find_queries(package: Path) -> list[str]:
    """Constants by name, functions that build queries by module and name, and anything else by module and line.

    The last is a query without a name, such as one in a dictionary or of a subclass. A name that two constants
    share appears twice.
    """
    modules = [_parse(path, package) for path in sorted(package.rglob("*.py"))]
    aliases = _aliases(modules)
    return sorted(found for module in modules for found in {*_find(module, aliases)})


def _parse(path: Path, package: Path) -> Module:
    name = ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")
    tree = ast.parse(path.read_text("utf-8"))
    own = {node.name: f"{name}.{node.name}" for node in tree.body if isinstance(node, ast.ClassDef)}
    own |= {target.id: f"{name}.{target.id}" for node in tree.body for target in _targets(node)}
    return Module(name, tree, {**own, **imported_names(tree)})


def _aliases(modules: list[Module]) -> set[str]:
    """The class, and each name that a module gives it: `HeldWrite = Query[NewId | None]`."""
    aliases, before = {QUERY}, 0
    while len(aliases) > before:
        before = len(aliases)
        for module in modules:
            aliases |= {f"{module.name}.{local}" for local, meant in module.names.items() if meant in aliases}
            for node in module.tree.body:
                if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and module.is_query(node.value, aliases):
                    aliases |= {f"{module.name}.{target.id}" for target in _targets(node)}
    return aliases


def _find(module: Module, aliases: set[str]) -> Iterator[str]:
    parents = {child: node for node in ast.walk(module.tree) for child in ast.iter_child_nodes(node)}
    expected = {part for whole in _expected(module.tree) for part in ast.walk(whole)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and module.is_query(node.func, aliases):
            yield _owner(node, parents, module) or f"{module.name}:{node.lineno}"
        elif isinstance(node, ast.Name | ast.Attribute) and module.is_query(node, aliases) and node not in expected:
            yield f"{module.name}:{node.lineno}"
        elif isinstance(node, ast.FunctionDef) and module.returns_query(node, aliases):
            yield _function(node, parents, module)


def _expected(tree: ast.Module) -> Iterator[ast.AST]:
    """Where the class may be named without creating a query that is not found otherwise."""
    for node in ast.walk(tree):
        parts = (getattr(node, name, None) for name in ("annotation", "returns", "func"))
        yield from (part for part in parts if isinstance(part, ast.AST))
    for statement in tree.body:
        yield from _targets(statement)
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name | ast.Attribute | ast.Subscript):
            yield statement.value


def _owner(call: ast.Call, parents: dict[ast.AST, ast.AST], module: Module) -> str | None:
    """The function that contains the call, or the module's constant that it defines."""
    node: ast.AST = call
    while not isinstance(node, FUNCTIONS) and node in parents:
        node = parents[node]
    if isinstance(node, FUNCTIONS):
        return _function(node, parents, module)
    statement = parents[call]
    targets = list(_targets(statement)) if parents.get(statement) is module.tree else []
    return targets[0].id if targets else None


def _function(node: ast.AST, parents: dict[ast.AST, ast.AST], module: Module) -> str:
    names = []
    while node in parents:
        if isinstance(node, ast.ClassDef | FUNCTIONS):
            names.append(getattr(node, "name", "<lambda>"))
        node = parents[node]
    return ".".join([module.name, *reversed(names)])


def _targets(node: ast.AST) -> Iterator[ast.Name]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    yield from (target for target in targets if isinstance(target, ast.Name))
