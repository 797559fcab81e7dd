"""Both panels side by side, node by node. Needs `diptych-reference` (pip install 'diptych[reference]').

Every node runs on the engine with the inputs that the reference computed, so that a difference shows at the node that
makes it and nowhere else. Nodes with graphs inside, functions of the model, and nodes that draw by where they stand in
the model are not run alone: the comparison of the model's outputs covers them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diptych.compare import Comparison, compare
from diptych.errors import Error
from diptych.fast import conv_bound, has_fast_program
from diptych.operator import run_operator
from diptych.options import SessionOptions
from diptych.session import InferenceSession
from diptych_reference import ReferenceSession, lookup

__all__ = ["NodeDiff", "diff_nodes", "diff_outputs"]


@dataclass(frozen=True)
class NodeDiff:
    """One node on both panels.

    `outputs` maps each output name to its comparison; `problem` is "" if all are equal; `skipped` says why the node was
    not run alone ("" if it was). `bounded`: bits differ, by what `math="fast"` may differ by (docs/numerics.md, section
    5), which is no problem.
    """

    index: int
    name: str
    op_type: str
    domain: str
    inputs: list[str] = field(default_factory=list)
    outputs: dict[str, Comparison] = field(default_factory=dict)
    problem: str = ""
    skipped: str = ""
    bounded: bool = False

    @property
    def elements(self) -> int:
        """Number of elements compared."""
        return sum(comparison.elements for comparison in self.outputs.values())


def diff_nodes(
    model: str | os.PathLike[str] | bytes,
    feeds: Mapping[str, Any],
    *,
    isa: str | None = None,
    threads: int = 0,
    quantized: str = "integer",
    math: str = "exact",
) -> Iterator[NodeDiff]:
    """Run the model on the reference; yield for each node of the main graph how the engine's result compares.

    The nodes are those after lowering, as `quantized` has it. With `math="fast"` a convolution that fast mode computes
    by another program is held to that program's bound instead of the bits.
    """
    reference = ReferenceSession(model, quantized=quantized)
    functions = reference.model.functions
    for index, (node, inputs, outputs) in enumerate(reference.run_nodes(feeds)):
        opsets = reference.model.opsets if node.opsets is None else node.opsets
        about = (index, node.name, node.op_type, node.domain, [_signature(value) for value in inputs])
        if any(node.graphs()):
            yield NodeDiff(*about, skipped="holds a graph")
        elif (node.domain, node.op_type, node.overload) in functions:
            yield NodeDiff(*about, skipped="is a function of the model")
        elif (
            "place" in lookup(node.domain, node.op_type, opsets[node.domain]).context and "seed" not in node.attributes
        ):
            yield NodeDiff(*about, skipped="draws random numbers without a seed")
        else:
            try:
                actual = run_operator(
                    node.op_type,
                    inputs,
                    node.attributes,
                    opset=opsets[node.domain],
                    domain=node.domain,
                    n_outputs=len(node.outputs),
                    isa=isa,
                    threads=threads,
                    math=math,
                )
            except Error as error:
                yield NodeDiff(*about, problem=f"{type(error).__name__}: {error}")
                continue
            pairs = zip(node.outputs, outputs, actual, strict=True)
            compared = {name: compare(expected, got) for name, expected, got in pairs if name}
            problem = next((f"{name}: {c.problem}" for name, c in compared.items() if not c.equal), "")
            bounded = False
            if problem and math == "fast" and has_fast_program(node.op_type, node.domain, node.attributes, inputs):
                problem = _beyond_bound(inputs, node.attributes, actual[0])
                bounded = not problem
            yield NodeDiff(*about, outputs=compared, problem=problem, bounded=bounded)


def diff_outputs(
    model: str | os.PathLike[str] | bytes, feeds: Mapping[str, Any], options: SessionOptions | None = None
) -> dict[str, Comparison]:
    """Run the whole model on both panels, passes and plan included; return how each output compares."""
    session = InferenceSession(model, options)
    quantized = "integer" if options is None else options.quantized
    expected = ReferenceSession(model, quantized=quantized).run(None, feeds)
    actual = session.run(None, feeds)
    names = [output.name for output in session.get_outputs()]
    return {name: compare(e, a) for name, e, a in zip(names, expected, actual, strict=True)}


def _beyond_bound(inputs: list[Any], attributes: Mapping[str, Any], actual: Any) -> str:
    """Where the result of a convolution lies outside fast mode's bound, "" where it does nowhere."""
    x, w, b = (*inputs, None)[:3]
    exact, slack = conv_bound(x, w, b, attributes)
    if actual.shape != exact.shape:
        return f"shape {list(actual.shape)}, expected {list(exact.shape)}"
    with np.errstate(invalid="ignore"):  # where the bound is NaN or infinite nothing is promised
        error = np.abs(actual.astype(np.float64) - exact)
        outside = (error > slack) | (np.isnan(actual) & np.isfinite(slack))
    if not outside.any():
        return ""
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(outside)), exact.shape))
    count = int(np.count_nonzero(outside))
    return (
        f"{count} of {exact.size} elements beyond fast mode's bound; at {list(at)} {actual[at]}, expected "
        f"{exact[at]} within {slack[at]:.3g}"
    )


def _signature(value: Any) -> str:
    """Dtype and shape of a value, such as float32[1,3,8,8]."""
    if value is None:
        return "absent"
    if isinstance(value, list):
        return f"sequence of {len(value)}"
    return f"{value.dtype.name}{list(value.shape)}".replace(" ", "")
