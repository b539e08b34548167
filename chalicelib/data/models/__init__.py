"""The schema, defined once: Alembic compares the migrations with these tables, and their columns define the upserts.

Every module here is imported, so `Base.metadata` has every table.
"""

from importlib import import_module
from pkgutil import iter_modules

from chalicelib.data.models.base import Base

__all__ = ["Base"]

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)
