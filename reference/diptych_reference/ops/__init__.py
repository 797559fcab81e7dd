"""The operators, one module a family. Importing this package imports every family and so fills the registry."""

from importlib import import_module
from pkgutil import iter_modules

for family in iter_modules(__path__):
    import_module(f"{__name__}.{family.name}")
