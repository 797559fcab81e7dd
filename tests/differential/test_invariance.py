"""What must not matter: the batch a row comes in, threads, the instruction set, the layout of inputs in memory.

Sizes go beyond the catalogue's, so that blocks of the cache, several register tiles and splits over threads take part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import diptych
from diptych.compare import compare
from diptych.testing.values import numpy_dtype

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Computation:
    """An operator whose first input has the batch on `batch_axis`, as does the first output; the rest is constant."""

    op_type: str
    shape: tuple[int, ...]
    others: tuple[tuple[int, ...], ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    extra: tuple[Any, ...] = ()
    batch_axis: int = 0

    def inputs(self, dtype: np.dtype[Any], seed: int = 0) -> list[Array]:
        """Normal numbers of full mantissa, with a NaN, an infinity and a -0 in the first row of the first input."""
        random = np.random.default_rng(seed)
        drawn = [random.normal(size=shape).astype(dtype) for shape in (self.shape, *self.others)]
        head = np.moveaxis(drawn[0], self.batch_axis, 0)[0]
        head.flat[0], head.flat[-1], head.flat[head.size // 2] = np.nan, -0.0, np.inf
        return [*drawn, *self.extra]

    def run(self, inputs: list[Array], isa: str | None = None, threads: int = 1) -> Array:
        """The first output."""
        outputs = diptych.run_operator(self.op_type, inputs, self.attributes, isa=isa, threads=threads)
        return np.asarray(outputs[0])


AXIS = np.array([-1], dtype=np.int64)
COMPUTATIONS = {
    "MatMul": Computation("MatMul", (67, 300), ((300, 131),)),
    "MatMul-batched": Computation("MatMul", (3, 33, 65), ((65, 70),)),
    "MatMul-vector": Computation("MatMul", (130, 513), ((513,),)),
    "Gemm": Computation("Gemm", (35, 130), ((70, 130), (70,)), {"transB": 1}),
    "Conv": Computation("Conv", (3, 19, 14, 15), ((34, 19, 3, 3), (34,)), {"pads": [1, 1, 1, 1]}),
    "Conv-strided": Computation("Conv", (2, 33, 17, 16), ((18, 33, 3, 3),), {"strides": [2, 2], "dilations": [2, 1]}),
    "Conv-depthwise": Computation("Conv", (3, 33, 20, 19), ((33, 1, 3, 3), (33,)), {"group": 33, "pads": [1, 1, 1, 1]}),
    "Conv-pointwise": Computation("Conv", (3, 65, 14, 14), ((66, 65, 1, 1), (66,))),
    "ConvTranspose": Computation("ConvTranspose", (2, 18, 9, 10), ((18, 17, 3, 3),), {"strides": [2, 2]}),
    "ReduceSum": Computation("ReduceSum", (37, 5003), (), {}, (AXIS,)),
    "ReduceMean": Computation("ReduceMean", (9, 11, 701), (), {}, (np.array([1, 2], dtype=np.int64),)),
    "ReduceL2": Computation("ReduceL2", (37, 300, 17), (), {}, (np.array([1], dtype=np.int64),)),
    "ReduceProd": Computation("ReduceProd", (37, 99), (), {}, (AXIS,)),
    "ReduceMax": Computation("ReduceMax", (37, 1025), (), {}, (AXIS,)),
    "GlobalAveragePool": Computation("GlobalAveragePool", (3, 33, 13, 14)),
    "Softmax": Computation("Softmax", (37, 1003)),
    "Softmax-inner": Computation("Softmax", (5, 65, 33), (), {"axis": 1}),
    "LogSoftmax": Computation("LogSoftmax", (37, 1003)),
    "LayerNormalization": Computation("LayerNormalization", (37, 771), ((771,), (771,))),
    "LSTM": Computation("LSTM", (6, 9, 17), ((1, 80, 17), (1, 80, 20), (1, 160)), {"hidden_size": 20}, (), 1),
}
EACH = pytest.mark.parametrize("name", COMPUTATIONS)
DTYPE = pytest.mark.parametrize("dtype", ["float", "double", "float16", "bfloat16"])


def assert_equal(expected: Array, actual: Array, what: str) -> None:
    problem = compare(expected, actual).problem
    assert not problem, f"{what}: {problem}"


@EACH
@DTYPE
def test_threads_and_instruction_sets(name: str, dtype: str) -> None:
    computation = COMPUTATIONS[name]
    inputs = computation.inputs(numpy_dtype(dtype))
    expected = computation.run(inputs, "baseline", 1)
    for isa in diptych.available_isas():
        for threads in (1, 2, 3):
            assert_equal(expected, computation.run(inputs, isa, threads), f"{isa}, {threads} threads")


@EACH
@DTYPE
def test_row_does_not_depend_on_its_batch(name: str, dtype: str) -> None:
    computation = COMPUTATIONS[name]
    x, *others = computation.inputs(numpy_dtype(dtype))
    in_axis = computation.batch_axis
    out_axis = 2 if name == "LSTM" else 0  # Y is [T, directions, N, H]
    whole = computation.run([x, *others], threads=2)
    for rows in ([0], [1], [x.shape[in_axis] - 1], [1, 0]):
        part = computation.run([np.ascontiguousarray(np.take(x, rows, axis=in_axis)), *others])
        assert_equal(np.take(whole, rows, axis=out_axis), part, f"rows {rows} alone")


def reversed_axes(x: Array) -> Array:
    """Column-major."""
    return np.asfortranarray(x)


def every_second(x: Array) -> Array:
    """Elements two apart."""
    spread = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    spread[..., ::2] = x
    return spread[..., ::2]


def backwards(x: Array) -> Array:
    """Negative strides."""
    return np.ascontiguousarray(x[::-1])[::-1]


def unaligned(x: Array) -> Array:
    """Contiguous, but not at a multiple of a vector's size."""
    buffer = np.zeros(x.nbytes + x.itemsize, np.uint8)
    view = buffer[x.itemsize :].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def repeated(x: Array) -> Array:
    """Rows that are one row, through a stride of 0."""
    return np.broadcast_to(x[-1:], x.shape)


@EACH
@pytest.mark.parametrize("arrange", [reversed_axes, every_second, backwards, unaligned, repeated])
def test_layout_of_inputs(name: str, arrange: Callable[[Array], Array]) -> None:
    computation = COMPUTATIONS[name]
    inputs = [arrange(x) if x.dtype == np.float32 else x for x in computation.inputs(np.dtype(np.float32))]
    copies = [np.ascontiguousarray(x) for x in inputs]
    assert_equal(computation.run(copies), computation.run(inputs, threads=2), arrange.__name__)
