"""How an operator that ONNX does not define is declared: in the words of `onnx.defs`, on a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from onnx import helper
from onnx.defs import OpSchema

Versions = dict[tuple[str, str], tuple[OpSchema, ...]]

OPTION = OpSchema.FormalParameterOption
MARKS = {"": OPTION.Single, "?": OPTION.Optional, "*": OPTION.Variadic, "+": OPTION.Variadic}
KINDS = {
    int: OpSchema.AttrType.INT,
    float: OpSchema.AttrType.FLOAT,
    str: OpSchema.AttrType.STRING,
    list[int]: OpSchema.AttrType.INTS,
    list[float]: OpSchema.AttrType.FLOATS,
    list[str]: OpSchema.AttrType.STRINGS,
}


class Required:
    """Marks an attribute without a default that a node must have: `"axis": Required(int)`."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind


def declare(
    op_type: str,
    doc: str,
    *,
    inputs: str,
    outputs: str,
    types: Mapping[str, Iterable[str]],
    attributes: Mapping[str, Any] | None = None,
    domain: str = "com.microsoft",
    since: int = 1,
) -> OpSchema:
    """A schema.

    `inputs` and `outputs` are words `name:T`, with `?` after the name of an optional one and `*` after that of a
    variadic one, the last; `+` if each of these may have a type of its own. `types` are the element types of each type
    variable. `attributes` maps a name to its default, to its kind (`int`, `list[float]`) where it may be absent without
    one, or to `Required(kind)`.
    """
    return OpSchema(
        op_type,
        domain,
        since,
        doc=doc,
        inputs=[parameter(word) for word in inputs.split()],
        outputs=[parameter(word) for word in outputs.split()],
        type_constraints=[(name, [f"tensor({t})" for t in of], "") for name, of in types.items()],
        attributes=[attribute(name, given) for name, given in (attributes or {}).items()],
    )


def parameter(word: str) -> OpSchema.FormalParameter:
    """`scale?:T` as a formal parameter."""
    name, _, variable = word.partition(":")
    mark = name[-1] if name[-1] in "?*+" else ""
    return OpSchema.FormalParameter(name.rstrip("?*+"), variable, param_option=MARKS[mark], is_homogeneous=mark != "+")


def attribute(name: str, given: Any) -> OpSchema.Attribute:
    """An attribute from its default or its kind."""
    if isinstance(given, Required):
        return OpSchema.Attribute(name, KINDS[given.kind], "", required=True)
    if given in KINDS:
        return OpSchema.Attribute(name, KINDS[given], "", required=False)
    return OpSchema.Attribute(name, helper.make_attribute(name, given), "")


def collect(*schemas: OpSchema) -> Versions:
    """Schemas by domain and operator, versions ascending."""
    found: Versions = {}
    for schema in sorted(schemas, key=lambda one: one.since_version):
        key = (schema.domain, schema.name)
        found[key] = (*found.get(key, ()), schema)
    return found
