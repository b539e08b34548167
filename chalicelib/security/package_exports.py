"""Packages whose modules are imported without what their `__init__` re-exports."""

import sys
from importlib.util import find_spec, module_from_spec
from typing import Any


def postpone_exports(package: str) -> None:
    """From now on the package's `__init__` runs when something is first asked for that none of its imported modules
    provides: its modules can be used before, and whoever uses its exports gets them as ever.

    Has no effect if the package is already imported.
    """
    if package in sys.modules:
        return
    spec = find_spec(package)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    module, loader = module_from_spec(spec), spec.loader

    def load(name: str) -> Any:
        if module.__dict__.pop("__getattr__", None) is not None:
            loader.exec_module(module)
        return getattr(module, name)

    module.__dict__["__getattr__"] = load
    sys.modules[package] = module
