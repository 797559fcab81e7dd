"""A third oracle: ONNX defines some operators by a graph of others, which any engine can run.

`expanded(case)` is the case's model with the operator replaced by its function body; `disagreement` holds the outputs
of both to each other. A body rounds after each of its operators and may cancel where the operator does not
(LayerNormalization's is E[x^2] - mean^2), so this finds wrong readings, not lost bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import FunctionProto, NodeProto, helper

from diptych.testing.case import Case
from diptych.testing.oracles import MOVERS, bounded, oracle_of, wide
from diptych.testing.schema import Row, row
from diptych.testing.values import Array, onnx_number

__all__ = ["comparable", "disagreement", "expanded", "has_body"]

SHARE = 1e-3  # of the greatest output
DOMAIN = "body"
NEWEST = onnx.defs.onnx_opset_version()


def has_body(row: Row) -> bool:
    """Whether ONNX has a function for the operator that computes the same (Bernoulli's draws other numbers)."""
    schema: Any = row.schema  # onnx's stubs do not know its functions
    return bool(schema.has_function or schema.has_context_dependent_function) and row.op_type != "Bernoulli"


def comparable(case: Case) -> bool:
    """Whether the body means what the operator does: see docs/rulings.md for the others."""
    if any(isinstance(value, np.ndarray) and value.size == 0 for value in case.inputs):
        return False  # bodies reshape with 0 and -1, and get other shapes
    if case.attributes.get("softmax_precision", 1) not in (1, 11):
        return False  # in 16 bits a body rounds at every step
    if case.op_type == "DynamicQuantizeLinear":
        return bool(np.nanmax(np.abs(case.inputs[0])) > 1e-30)  # the scale of zeros, or one that underflows
    if case.op_type == "Clip":  # whose body compares, which loses NaN
        return not any(np.isnan(wide(value)).any() for value in case.inputs if value is not None)
    if case.op_type == "Celu":
        return bool(case.attributes.get("alpha", 1.0) > 0)  # with a negative one the text says something else
    mask = case.inputs[3] if case.op_type == "Attention" and len(case.inputs) > 3 else None
    if mask is not None and mask.dtype.kind in "iu":
        return False  # the body puts -infinity into the mask's own type, which loses it
    if case.op_type == "Range":  # the body's length is that of binary32, the operator's exact
        start, limit, delta = (float(value.reshape(())) for value in case.inputs)
        steps = (limit - start) / delta
        return not abs(steps - round(steps)) < 1e-4 * max(1.0, abs(steps))
    if case.op_type == "AffineGrid" and case.attributes.get("align_corners"):
        return 1 not in case.inputs[1]  # whose centre is at 0, see the rulings
    if case.op_type == "LayerNormalization":  # where E[x^2] - mean^2 cancels, the body is of no use
        x = wide(case.inputs[0])
        axes = tuple(range(case.attributes.get("axis", -1) % x.ndim, x.ndim))
        if not np.all(np.abs(x.mean(axes)) < 30 * x.std(axes)):
            return False
    if case.op_type == "Attention" and case.inputs[0].ndim == 4:
        return "q_num_heads" not in case.attributes  # the body then takes the input for one of rank 3
    if case.op_type.endswith("Window"):
        return bool(case.attributes.get("output_datatype", 1) in (1, 11))  # integers are cut off just below 1
    if any(isinstance(value, list) and not value for value in case.inputs):
        return False  # bodies are made for the type of a sequence's items
    return bool(case.attributes.get("stash_type", 1) == 1)  # in 16 bits a body rounds at every step


def type_proto(value: Any) -> onnx.TypeProto:
    """The type of an input; an empty one where it is absent."""
    if value is None:
        return onnx.TypeProto()
    if isinstance(value, list):
        return helper.make_sequence_type_proto(helper.make_tensor_type_proto(onnx_number(value[0].dtype), None))
    return helper.make_tensor_type_proto(onnx_number(value.dtype), value.shape)


def body(row: Row, case: Case, node: NodeProto) -> FunctionProto | None:
    """The function that ONNX expands this node to, None if it has none for these inputs."""
    schema: Any = row.schema
    content: bytes = b""
    if schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= row.since] or [row.since]
        types = [type_proto(value).SerializeToString() for value in case.inputs]
        content = schema.get_context_dependent_function_with_opset_version(
            max(versions), node.SerializeToString(), types
        )
    elif schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= row.since] or schema.function_opset_versions
        content = schema.get_function_with_opset_version(max(versions))
    return FunctionProto.FromString(content) if content else None


def expanded(case: Case) -> onnx.ModelProto | None:
    """The case's model with the operator replaced by its body; None where ONNX has none for these inputs."""
    entry = row(case.op_type, case.opset, case.domain)
    model = case.model()
    [node] = model.graph.node
    function = body(entry, case, node)
    if function is None or not function.node:
        return None
    function.domain = node.domain = DOMAIN
    function.name = node.op_type
    given = {attribute.name for attribute in node.attribute}
    defaults = {name: entry.schema.attributes[name].default_value for name in entry.attributes if name not in given}
    node.attribute.extend(value for value in defaults.values() if value.type != onnx.AttributeProto.UNDEFINED)
    own = helper.make_opsetid("", max(18, entry.since) if not entry.domain else NEWEST)
    if not any(item.domain in ("", "ai.onnx") for item in function.opset_import):
        function.opset_import.append(own)
    model.functions.append(function)
    del model.opset_import[:]
    model.opset_import.extend([own, helper.make_opsetid(DOMAIN, 1)])
    return model


def disagreement(case: Case, native: Sequence[Any], outputs: Sequence[Any]) -> tuple[str, int]:
    """What differs between the operator's outputs and its body's, "" where nothing does; how many elements were held.

    Outputs that are moved, compared or counted are equal; others agree to a thousandth of the greatest output, or as
    far as the operator's own bound, where that is wider. Elements that overflow on one way but not on the other are
    left out.
    """
    compared = 0
    oracle = oracle_of(case.op_type, case.domain)
    with np.errstate(all="ignore"):
        expected = (oracle(case) if oracle else None) or []
    for index, (a, b) in enumerate(zip(native, outputs, strict=True)):
        if not isinstance(a, np.ndarray):
            continue
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return f"output {index}: the body gives {b.dtype}{list(b.shape)}, not {a.dtype}{list(a.shape)}", compared
        moved = a.dtype.kind in "iubO" or case.op_type in MOVERS
        wanted = expected[index] if index < len(expected) else None
        with np.errstate(all="ignore"):
            held, beyond = _beyond(a, b, None if moved else bounded(wanted, a.dtype) if wanted else np.zeros(a.shape))
        if beyond.any():
            return f"output {index}: {a[beyond][:3]}, the body gives {b[beyond][:3]}", compared
        compared += held
    return "", compared


def _beyond(a: Array, b: Array, slack: Array | None) -> tuple[int, Array]:
    """How many elements can be held against each other, and where they differ; without `slack` they must be equal."""
    if slack is None:
        return a.size, np.asarray(~((a == b) | ((a != a) & (b != b))))
    x, y = wide(a), wide(b)
    inside = np.isfinite(x) & np.isfinite(y) & np.isfinite(slack)
    top = np.max(np.abs(x), where=np.isfinite(x) & np.isfinite(y), initial=0)
    return int(inside.sum()), np.asarray(inside & (np.abs(x - y) > SHARE * max(top, SHARE) + 8 * slack))
