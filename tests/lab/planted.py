"""ONNX Runtime with one bug planted into its adapter: each is one that kernels really have.

`tests.lab.planted:Planted[bug=dropped_tail]` is right on every operator but the one that BUGS names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto

from diptych.engines import Engine, Run
from diptych.engines.onnxruntime import OnnxRuntimeEngine

Outputs = list[Any]
Inputs = Sequence[Any]
Spoil = Callable[[Inputs, Outputs], Outputs]


def wrong_rounding(inputs: Inputs, outputs: Outputs) -> Outputs:
    """Products are cut off instead of rounded to nearest."""
    if outputs[0].dtype != np.float32:
        return outputs
    exact = inputs[0].astype(np.float64) * inputs[1].astype(np.float64)
    rounded = exact.astype(np.float32)
    beyond = np.abs(rounded.astype(np.float64)) > np.abs(exact)
    return [np.where(beyond & np.isfinite(rounded), np.nextafter(rounded, np.float32(0)), rounded)]


def dropped_tail(inputs: Inputs, outputs: Outputs) -> Outputs:
    """The last term of a product whose depth is no multiple of 4."""
    a, b = inputs
    if outputs[0].dtype.kind != "f" or a.shape[-1] % 4 == 0 or a.shape[-1] == 1:
        return outputs
    short = np.array(a)
    short[..., -1] = 0
    return [np.matmul(short, b).astype(a.dtype)]


def fast_exp(inputs: Inputs, outputs: Outputs) -> Outputs:
    """2^f by a polynomial of degree 4: some thirty units in the last place."""
    if outputs[0].dtype != np.float32:
        return outputs
    t = inputs[0].astype(np.float64) / np.log(2)
    whole = np.floor(np.where(np.isfinite(t), t, 0))
    f = np.where(np.isfinite(t), t, 0) - whole
    nodes = (np.cos(np.pi * (np.arange(5) + 0.5) / 5) + 1) / 2
    polynomial = np.polynomial.Polynomial.fit(nodes, 2.0**nodes, 4)
    y = (polynomial(f) * 2.0**whole).astype(np.float32)
    return [np.where(np.isfinite(outputs[0]) & np.isfinite(t), y, outputs[0])]


def half_accumulation(inputs: Inputs, outputs: Outputs) -> Outputs:
    """Sums of products kept in float16."""
    a, b = inputs
    if outputs[0].dtype != np.float32 or a.ndim != 2 or b.ndim != 2:
        return outputs
    total = np.zeros(outputs[0].shape, np.float16)
    for k in range(a.shape[1]):
        total += (a[:, k : k + 1] * b[k : k + 1]).astype(np.float16)
    return [total.astype(np.float32)]


def lost_nan(inputs: Inputs, outputs: Outputs) -> Outputs:
    """The greater of a number and NaN is the number, as C's fmax has it."""
    y = outputs[0]
    if y.dtype.kind != "f":
        return outputs
    greatest = np.asarray(inputs[0])
    for other in inputs[1:]:
        greatest = np.fmax(greatest, other)
    return [np.broadcast_to(greatest, y.shape).astype(y.dtype)]


def lost_negative_zero(inputs: Inputs, outputs: Outputs) -> Outputs:
    """0 - x in the place of -x."""
    return [0 - inputs[0]] if outputs[0].dtype.kind == "f" else outputs


def wrong_broadcast(inputs: Inputs, outputs: Outputs) -> Outputs:
    """The smaller operand is repeated from its beginning: right where it lacks leading axes, wrong where it has a 1."""
    a, b = inputs
    if outputs[0].shape != a.shape or a.shape == b.shape or not b.size:
        return outputs
    return [(a + np.resize(b, a.shape)).astype(a.dtype)]


def wrong_tie(inputs: Inputs, outputs: Outputs) -> Outputs:
    """Halves away from zero."""
    x = inputs[0]
    return [(np.copysign(np.floor(np.abs(x) + x.dtype.type(0.5)), x)).astype(x.dtype)]


def wrong_dtype(inputs: Inputs, outputs: Outputs) -> Outputs:
    """Indices of 32 bits."""
    return [outputs[0].astype(np.int32)]


class StaleBuffer:
    """The last element of a buffer that is used again is not written."""

    def __init__(self) -> None:
        self.last: Any = None

    def __call__(self, inputs: Inputs, outputs: Outputs) -> Outputs:
        """Outputs with what was there before."""
        y = np.array(outputs[0])
        before, self.last = self.last, np.array(y)
        if before is not None and before.shape == y.shape and before.dtype == y.dtype and y.size:
            y.reshape(-1)[-1] = before.reshape(-1)[-1]
        return [y]


def swapped_axis(node: NodeProto, inputs: Inputs) -> None:
    """The next axis."""
    rank = inputs[0].ndim
    axis = next((a.i for a in node.attribute if a.name == "axis"), -1) % max(rank, 1)
    kept = [a for a in node.attribute if a.name != "axis"]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute("axis", (axis + 1) % max(rank, 1))])


def off_by_one_pad(node: NodeProto, inputs: Inputs) -> None:
    """One more before the first axis, one less behind it."""
    for attribute in node.attribute:
        if attribute.name == "pads" and attribute.ints[len(attribute.ints) // 2] > 0:
            attribute.ints[0] += 1
            attribute.ints[len(attribute.ints) // 2] -= 1


# Bug -> operator, and what spoils outputs.
SPOILED: dict[str, tuple[str, Callable[[], Spoil]]] = {
    "wrong_rounding": ("Mul", lambda: wrong_rounding),
    "dropped_tail": ("MatMul", lambda: dropped_tail),
    "fast_exp": ("Exp", lambda: fast_exp),
    "f16_accumulation": ("MatMul", lambda: half_accumulation),
    "lost_nan": ("Max", lambda: lost_nan),
    "lost_negative_zero": ("Neg", lambda: lost_negative_zero),
    "stale_buffer": ("Concat", StaleBuffer),
    "wrong_broadcast": ("Add", lambda: wrong_broadcast),
    "wrong_tie": ("Round", lambda: wrong_tie),
    "wrong_dtype": ("ArgMax", lambda: wrong_dtype),
}
# Bug -> operator, and what spoils its attributes.
MISREAD: dict[str, tuple[str, Callable[[NodeProto, Inputs], None]]] = {
    "swapped_axis": ("Softmax", swapped_axis),
    "off_by_one_pad": ("Conv", off_by_one_pad),
}
BUGS: dict[str, str] = {bug: op_type for bug, (op_type, _) in (*SPOILED.items(), *MISREAD.items())}


class Planted(Engine):
    """ONNX Runtime with a bug."""

    name = "planted"
    unsupported = OnnxRuntimeEngine.unsupported
    takes: Mapping[str, str] = {"bug": ", ".join(BUGS)}

    def prepare(self, model: bytes | Path) -> Run:
        """Load a model; the bug is in those of one node of its operator."""
        right = OnnxRuntimeEngine(self.threads).prepare(model)
        proto = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
        node, bug = proto.graph.node[0], self.options["bug"]
        if len(proto.graph.node) != 1 or node.op_type != BUGS[bug]:
            return right
        names = [name for name in node.input if name]
        spoil = SPOILED[bug][1]() if bug in SPOILED else None

        def run(feeds: Mapping[str, Any]) -> Outputs:
            inputs = [feeds[name] for name in names]
            if spoil is not None:
                outputs = list(right(feeds))
                with np.errstate(all="ignore"):
                    return [np.asarray(output) for output in spoil(inputs, outputs)]
            changed = onnx.ModelProto.FromString(proto.SerializeToString())
            MISREAD[bug][1](changed.graph.node[0], inputs)
            return list(OnnxRuntimeEngine(self.threads).prepare(changed.SerializeToString())(feeds))

        return run
