"""Descriptions for the OpenAPI document: the string under a field or a constant, read from its source.

Nothing of them is in memory until the document is asked for. The package holds our sources, so they are there too.
"""

import ast
import inspect
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec

Struct = type[msgspec.Struct]

CONSTANTS = ""
"""Where those of the module itself stand, beside its classes."""


def structs_in(types: Iterable[Any]) -> set[Struct]:
    """Every struct that the types are made of, at whatever depth."""
    found: set[Struct] = set()
    pending = list(types)
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in found:
            found.add(kind)
            pending += [field.type for field in msgspec.structs.fields(kind)]
        pending += [part for part in (typing.get_origin(kind), *typing.get_args(kind)) if part is not None]
    return found


def field_descriptions(kind: Struct) -> Mapping[str, str]:
    """By the fields' encoded names; a field of a base class has that one's unless there is one of its own."""
    documented: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        documented |= _documented(base.__module__).get(base.__name__, {})
    fields = msgspec.structs.fields(kind)
    return {field.encode_name: documented[field.name] for field in fields if field.name in documented}


def constant_description(module: str, name: str) -> str | None:
    """The string under a constant, if the module defines and describes it."""
    return _documented(module).get(CONSTANTS, {}).get(name)


def tag_description(handler: Any) -> str:
    """What the first paragraph of its module's docstring says after the path."""
    paragraph = (sys.modules[handler.__module__].__doc__ or "").partition("\n\n")[0]
    text = as_line(paragraph.partition(": ")[2])
    return text[:1].upper() + text[1:]


@cache
def _documented(module: str) -> Mapping[str, Mapping[str, str]]:
    """By class and name, the strings under the fields of a module's classes, and under its constants."""
    if module.partition(".")[0] in ("builtins", "msgspec", "typing"):
        return {}
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {
        CONSTANTS: dict(_strings_below(tree.body)),
        **{node.name: dict(_strings_below(node.body)) for node in classes},
    }


def _strings_below(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, below in pairwise(body):
        if isinstance(statement, ast.AnnAssign):
            target: ast.expr = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        else:
            continue
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
        if isinstance(target, ast.Name) and isinstance(text, str):
            yield target.id, as_line(text)


def as_line(text: str) -> str:
    """A text that is wrapped in the source, as one line."""
    return " ".join(text.split())
