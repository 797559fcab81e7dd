"""Matrix products: lengths around register tiles and cache blocks, batches that broadcast."""

from __future__ import annotations

from typing import Any

from diptych.testing import shapes
from diptych.testing.families.quantization import quantized, scales
from diptych.testing.sketch import Sketch, shape_rule

DEPTHS = (1, 2, 3, 0, 5, 8, 16, 17, 31, 64, 129, 257, 513)  # K: the last ones pass what a kernel keeps in a cache


def sides(s: Sketch) -> tuple[int, int, int]:
    """M, K, N; the greatest only beside small ones."""
    k = s.choose(*DEPTHS)
    m = shapes.side(s.draw, 37 if k <= 64 else 5)
    n = shapes.side(s.draw, 37 if m * k <= 640 else 9)
    return m, k, s.choose(n, n, n, 70) if m * k <= 64 else n


def operands(s: Sketch) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of A and B, 1-D ones and broadcast batches included."""
    m, k, n = sides(s)
    form = s.choose("matrices", "batch", "left vector", "right vector", "vectors")
    if form == "vectors":
        return (k,), (k,)
    batch = shapes.shape(s.draw, (1, 2), limit=4) if form != "matrices" else ()
    if form == "left vector":
        return (k,), (*batch, k, n)
    if form == "right vector":
        return (*batch, m, k), (k,)
    return (*shapes.operand(s.draw, batch), m, k), (*(batch if s.coin() else ()), k, n)


@shape_rule("MatMul")
def matmul(s: Sketch) -> list[Any]:
    """A [..., M, K] and B [..., K, N], or vectors."""
    a, b = operands(s)
    return [s.tensor(a), s.tensor(b)]


@shape_rule("FusedMatMul", domain="com.microsoft")
def fused_matmul(s: Sketch) -> list[Any]:
    """As MatMul, of operands that are transposed; where batches are, both have the same rank, 3 at least."""
    s.attribute("alpha", 1.0, 0.125, -0.3, 0.0)
    turned = [s.attribute(name, 0, 1) for name in ("transA", "transB")]
    if s.coin():
        m, k, n = sides(s)
        batch = s.shape((1, 2), limit=4)
        of = [(*batch, m, k), (*batch, k, n)]
        other = s.choose(0, 1)
        of[other] = (*(s.choose(n, n, 1) for n in batch), *of[other][-2:])
        moved = [s.attribute(name, 1, 0) for name in ("transBatchA", "transBatchB")]
    else:
        of, moved = list(operands(s)), [0, 0]
    for i, shape in enumerate(of):
        if turned[i] and len(shape) > 1:
            shape = (*shape[:-2], shape[-1], shape[-2])
        of[i] = (shape[-2], *shape[:-2], shape[-1]) if moved[i] else shape
    return [s.tensor(shape) for shape in of]


@shape_rule("Gemm")
def gemm(s: Sketch) -> list[Any]:
    """A and B, transposed or not; C broadcasts into the result (before opset 7 only if `broadcast` is set)."""
    m, k, n = sides(s)
    turned_a, turned_b = s.attribute("transA", 0, 1), s.attribute("transB", 0, 1)
    s.attribute("alpha", 1.0, 0.5, -0.3, 0.0)
    s.attribute("beta", 1.0, 0.5, -0.3, 0.0)
    full = (m, n)
    if s.since < 7:
        c = shapes.operand(s.draw, full) if s.attribute("broadcast", 1) else full
    else:
        c = shapes.operand(s.draw, full)
    inputs = [s.tensor((k, m) if turned_a else (m, k)), s.tensor((n, k) if turned_b else (k, n)), s.tensor(c)]
    return inputs[:2] if s.since >= 11 and s.coin() else inputs


@shape_rule("MatMulInteger")
def matmul_integer(s: Sketch) -> list[Any]:
    """As MatMul, of 8-bit integers of either kind; zero points are scalars, or one a row of A and a column of B."""
    a, b = operands(s)
    second = s.input_dtype("B")
    left = s.tensor(channels(s, a, -2)) if s.coin() else None
    right = s.tensor(channels(s, b, -1), second) if s.coin() else None
    return [s.tensor(a), s.tensor(b, second), left, right]


def channels(s: Sketch, matrix: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """The shape of zero points or scales: one in all, one a row (`axis` -2) or column, of each matrix or of all."""
    form = s.choose("one", "channels", "batch") if len(matrix) > 1 else "one"
    if form == "one":
        return tuple(s.choose((), (1,)))
    if form == "channels" and s.coin():
        return (matrix[axis],)
    batch = shapes.operand(s.draw, matrix[:-2]) if form == "batch" else ()
    return (*batch, matrix[-2], 1) if axis == -2 else (*batch, 1, matrix[-1])


@shape_rule("MatMulIntegerToFloat", domain="com.microsoft")
def matmul_integer_to_float(s: Sketch) -> list[Any]:
    """As MatMulInteger; A has one scale and zero point, B perhaps one a column, each for itself; a bias."""
    a, b = operands(s)
    second, floats = s.input_dtype("B"), s.input_dtype("a_scale")
    return [
        s.tensor(a),
        s.tensor(b, second),
        scales(s, tuple(s.choose((), (1,))), floats),
        scales(s, channels(s, b, -1), floats),
        s.tensor(s.choose((), (1,))) if s.coin() else None,
        s.tensor(channels(s, b, -1), second) if s.coin() else None,
        s.tensor(b[1:][-1:] or (1,), floats) if s.coin() else None,
    ]


@shape_rule("DynamicQuantizeMatMul", domain="com.microsoft")
def dynamic_quantize_matmul(s: Sketch) -> list[Any]:
    """As MatMulIntegerToFloat, with numbers for A."""
    a, b = operands(s)
    second = s.input_dtype("B")
    return [
        s.tensor(a),
        s.tensor(b, second),
        scales(s, channels(s, b, -1), s.dtype),
        s.tensor(channels(s, b, -1), second) if s.coin() else None,
        s.tensor(b[1:][-1:] or (1,)) if s.coin() else None,
    ]


@shape_rule("QLinearMatMul")
def qlinear_matmul(s: Sketch) -> list[Any]:
    """A, B and Y with scales and zero points, which are scalars, or one a row of A and a column of B."""
    a, b = operands(s)
    return [
        *quantized(s, a, "a", channels(s, a, -2)),
        *quantized(s, b, "b", channels(s, b, -1)),
        *quantized(s, None, "y", s.choose((), (1,)), terms=b[0] if len(b) == 1 else b[-2]),
    ]
