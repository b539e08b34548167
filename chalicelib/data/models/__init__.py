"""The schema, defined once: Alembic compares migrations with these tables, upserts are built from their columns.

Every module here is imported, so `Base.metadata` has every table.
"""

from importlib import import_module
from pkgutil import iter_modules

from chalicelib.data.models.base import Base

__all__ = ["Base"]

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)
