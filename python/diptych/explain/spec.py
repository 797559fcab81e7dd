"""What ONNX says about an operator: the schema's text, versions, inputs, outputs, types and attributes."""

from __future__ import annotations

import difflib
import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx.defs import OpSchema

from diptych.errors import UnsupportedOperatorError
from diptych_reference import lookup, registry
from diptych_reference.errors import UnsupportedOperatorError as NoDefinitionError
from diptych_reference.schemas import find_schema

__all__ = ["Attribute", "Parameter", "Spec", "resolve", "spec_of"]

NEWEST = 10_000  # an opset above all that exist


@dataclass(frozen=True)
class Parameter:
    """An input or output: `option` is "", "optional" or "variadic"; `types` as in ONNX, such as `tensor(float)`."""

    name: str
    option: str
    variable: str
    types: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Attribute:
    """An attribute; `default` is "" where there is none."""

    name: str
    type: str
    required: bool
    default: str
    text: str


@dataclass(frozen=True)
class Spec:
    """One version of an operator. `since` is its since_version, `versions` are those of both panels."""

    op_type: str
    domain: str
    since: int
    versions: tuple[int, ...]
    family: str
    summary: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    attributes: tuple[Attribute, ...]

    @property
    def name(self) -> str:
        """`Conv-22`, or `com.microsoft.Attention-1`."""
        return f"{self.domain + '.' if self.domain else ''}{self.op_type}-{self.since}"


def resolve(name: str, domain: str | None = None) -> tuple[str, str]:
    """(domain, op_type) of an operator that the reference defines, by a name such as `Conv` or `com.microsoft.Gelu`.

    Without a domain ai.onnx comes first, then the others in order of their names; case matters only where two names
    differ in nothing else. Raises UnsupportedOperatorError, with the nearest names, where there is none.
    """
    prefix, _, op_type = name.rpartition(".")
    wanted = prefix or domain
    if wanted is not None:
        wanted = "" if wanted == "ai.onnx" else wanted
    keys = sorted(key for key in registry if wanted is None or key[0] == wanted)
    same = [key for key in keys if key[1] == op_type] or [key for key in keys if key[1].lower() == op_type.lower()]
    if same:
        return same[0]
    near = difflib.get_close_matches(op_type, sorted({key[1] for key in keys}), n=3, cutoff=0.5)
    advice = f"; did you mean {', '.join(near)}?" if near else "; `diptych ops` lists what there is"
    where = "" if wanted is None else f" of domain {wanted or 'ai.onnx'!r}"
    raise UnsupportedOperatorError(f"no operator {op_type!r}{where} is known{advice}")


def spec_of(op_type: str, domain: str = "", opset: int | None = None) -> Spec:
    """The version of an operator that is in force at `opset` (None: the newest)."""
    versions = tuple(sorted(registry[domain, op_type]))
    schema = find_schema(domain, op_type, NEWEST if opset is None else opset)
    try:
        row = lookup(domain, op_type, max(versions) if opset is None else opset)
    except NoDefinitionError:
        raise UnsupportedOperatorError(
            f"{domain or 'ai.onnx'}.{op_type} has no version at opset {opset}; it has {', '.join(map(str, versions))}"
        ) from None
    function = row.function
    said = inspect.cleandoc(str(schema.doc or "")) if schema else ""
    return Spec(
        op_type=op_type,
        domain=domain,
        since=row.since,
        versions=versions,
        family=function.__module__.rpartition("diptych_reference.ops.")[2],
        summary=plain(said) or plain(inspect.getdoc(function) or ""),
        inputs=tuple(_parameter(schema, p) for p in schema.inputs) if schema else (),
        outputs=tuple(_parameter(schema, p) for p in schema.outputs) if schema else (),
        attributes=tuple(_attribute(a) for _, a in sorted(schema.attributes.items())) if schema else (),
    )


def plain(text: str) -> str:
    """A schema's text without the marks of HTML and Markdown that a terminal would show as they are."""
    text = re.sub(r"</?(?:br|p|b|i|em|strong|sub|sup|a)\b[^>]*>", "", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\n{3,}", "\n\n", textwrap.dedent(text).strip())


def one_line(text: str) -> str:
    """Text with its line breaks as blanks."""
    return re.sub(r"\s+", " ", plain(text))


def _parameter(schema: OpSchema, parameter: OpSchema.FormalParameter) -> Parameter:
    """What a schema says of an input or output."""
    option = {"Optional": "optional", "Variadic": "variadic"}.get(str(parameter.option).rpartition(".")[2], "")
    allowed = next(
        (c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == parameter.type_str),
        [parameter.type_str],
    )
    text = one_line(parameter.description)
    return Parameter(parameter.name, option, parameter.type_str, tuple(sorted(allowed)), text)


def _attribute(attribute: OpSchema.Attribute) -> Attribute:
    """What a schema says of an attribute."""
    kind = str(attribute.type).rpartition(".")[2].lower()
    default = attribute.default_value
    has = default.type != onnx.AttributeProto.UNDEFINED
    shown = _default(onnx.helper.get_attribute_value(default)) if has else ""
    return Attribute(attribute.name, kind, attribute.required, shown, one_line(attribute.description))


def _default(value: Any) -> str:
    """A default in a few letters; a FLOAT's as the shortest decimal of its binary32 number."""
    if isinstance(value, bytes):
        return repr(value.decode())
    if isinstance(value, float):
        return str(np.float32(value))
    return str(value)
