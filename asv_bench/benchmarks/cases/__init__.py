"""The table of cases, every operator of the catalogue at a size that means something; benchmarks read it by name."""

from . import elementwise, images, ml, movement, products, rows
from .case import OperatorCase

MODULES = (elementwise, products, rows, movement, images, ml)

CASES: dict[str, OperatorCase] = {case.name: case for module in MODULES for case in module.cases()}

__all__ = ["CASES", "OperatorCase", "family_of"]


def family_of(case: OperatorCase) -> str:
    """The family of a case's operator: the module of the left panel that defines it, as `conv` or `recurrent.lstm`."""
    import diptych_reference

    versions = diptych_reference.registry.get((case.domain, case.op_type))
    if not versions:
        raise NotImplementedError(f"this commit has no {case.operator}")
    return next(iter(versions.values())).function.__module__.partition(".ops.")[2]
