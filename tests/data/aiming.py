"""Aims: how each query is aimed at another studio's rows; `aims/` has a module for each one of `chalicelib/data`."""

import importlib
import pkgutil
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple

import chalicelib.data
from chalicelib.data.postgres.query import Query


@dataclass(frozen=True)
class Aim:
    """How a query is aimed at another studio's row; `prepare` makes that row one the query would act on."""

    row: str = ""
    """The table whose id the query gets."""
    values: dict[str, Any] = field(default_factory=dict)
    prepare: str = ""


@dataclass(frozen=True)
class NoAim:
    """Why a query has no aim."""

    reason: str


TENANTLESS = NoAim("It uses no tenant table.")
CROSS_TENANT = NoAim("It sees across studios, through one function of `docs/security.md`.")
AnyAim = Aim | NoAim


def queries() -> dict[str, dict[str, Query[Any]]]:
    """The query constants of each module of the data layer."""
    found: dict[str, dict[str, Query[Any]]] = {}
    for each in pkgutil.walk_packages(chalicelib.data.__path__, "chalicelib.data."):
        module = vars(importlib.import_module(each.name))
        constants = {name: value for name, value in module.items() if isinstance(value, Query)}
        if constants:
            found[each.name.removeprefix("chalicelib.data.")] = constants
    return found


class Built(NamedTuple):
    """A query that a function of the data layer builds; its name includes the arguments."""

    function: str
    arguments: str
    query: Query[Any]
    aim: Aim

    @property
    def name(self) -> str:
        return f"{self.function}({self.arguments})"


def every_built() -> list[Built]:
    """The queries that functions of the data layer build."""
    return [query for module in queries() for query in getattr(_aims(module), "built", list[Built])()]


def aims_of(module: str) -> dict[str, AnyAim]:
    """The aims of a module of the data layer. Raises ModuleNotFoundError if it has none."""
    aims: dict[str, AnyAim] = _aims(module).AIMS
    return aims


def _aims(module: str) -> ModuleType:
    return importlib.import_module(f"tests.data.aims.{module}")
