"""Schemas of operators: ONNX's own, and those of operators beside ONNX that real models contain (`com.microsoft`).

ONNX's come from `onnx.defs`. The others are objects of the same class, made here and registered nowhere: importing this
package does not change what onnx's checker says.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx.defs
from onnx.defs import OpSchema

from diptych_reference.schemas import microsoft
from diptych_reference.schemas.declaration import Versions

__all__ = ["all_schemas", "find_schema", "is_known"]

OTHERS: Versions = {**microsoft.SCHEMAS}


def find_schema(domain: str, op_type: str, opset: int) -> OpSchema | None:
    """The schema in force at version `opset` of `domain`, or None where nobody defines such an operator."""
    others = OTHERS.get((domain, op_type))
    if others is not None:
        return next((schema for schema in reversed(others) if schema.since_version <= opset), None)
    try:
        return onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None


def is_known(domain: str, op_type: str) -> bool:
    """Whether some version of the operator has a schema; others are their users' own."""
    return (domain, op_type) in OTHERS or bool(onnx.defs.has(op_type, domain=domain))


def all_schemas() -> Iterator[OpSchema]:
    """Every version of every operator."""
    yield from onnx.defs.get_all_schemas_with_history()
    for versions in OTHERS.values():
        yield from versions
