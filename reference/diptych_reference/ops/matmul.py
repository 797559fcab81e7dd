"""Matrix products: one chain of fused multiply-adds over k for each output element."""

from __future__ import annotations

import numpy as np

from diptych_reference.errors import ShapeError
from diptych_reference.numerics import fma_chain, is_float, round_to, to_integer, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.quantization import check_granularity, dynamic_quantize_linear, requantized


@operator("MatMul", since=(1, 9, 13))
def matmul(a: Array, b: Array) -> Array:
    """The product over `a`'s last axis and `b`'s last but one; 1-D operands are a row and a column, as in NumPy."""
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError("a scalar operand; use Mul")
    row = a if a.ndim > 1 else a[None, :]
    column = b if b.ndim > 1 else b[:, None]
    product = round_back(chain(widen(row), widen(column)), a.dtype)
    if a.ndim == 1:
        product = product[..., 0, :]
    return product if b.ndim > 1 else product[..., 0]


def chain(a: Array, b: Array) -> Array:
    """`a` [..., M, K] times `b` [..., K, N] -> [..., M, N] in their type: `acc = +0; acc = fma(a_mk, b_kn, acc)`."""
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(f"shapes {list(a.shape)} and {list(b.shape)}: {a.shape[-1]} columns times {b.shape[-2]} rows")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    acc = np.zeros((*batch, a.shape[-2], b.shape[-1]), a.dtype)
    if acc.size == 0:  # K may be anything then
        return acc
    columns = np.moveaxis(a, -1, 0)[..., None]  # [K, ..., M, 1]
    rows = np.moveaxis(b, -2, 0)[..., None, :]  # [K, ..., 1, N]
    rank = len(batch) + 3
    columns = columns.reshape(columns.shape[:1] + (1,) * (rank - columns.ndim) + columns.shape[1:])
    rows = rows.reshape(rows.shape[:1] + (1,) * (rank - rows.ndim) + rows.shape[1:])
    return fma_chain(columns, rows, acc)


def round_back(x: Array, dtype: np.dtype[np.generic]) -> Array:
    """An accumulator as an output of type `dtype`."""
    return round_to(x, dtype) if is_float(dtype) else x.astype(dtype, copy=False)


@operator("Gemm", since=(7, 9, 11, 13))
def gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803  ONNX's names
    transB: int = 0,  # noqa: N803
) -> Array:
    """`rn(rn(alpha * acc) + rn(beta * C))`; `acc` is the product's chain and `C` broadcasts into it."""
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(f"A and B have ranks {a.ndim} and {b.ndim}, expected 2")
    acc = scaled(alpha, chain(widen(a.T if transA else a), widen(b.T if transB else b)))
    if c is not None:
        if np.broadcast_shapes(acc.shape, c.shape) != acc.shape:
            raise ShapeError(f"C of shape {list(c.shape)} does not broadcast into {list(acc.shape)}")
        acc = acc + scaled(beta, widen(c))
    return round_back(acc, a.dtype)


def scaled(factor: float, x: Array) -> Array:
    """`rn(factor * x)`; integers: in binary64, then toward zero, unless the factor is 1."""
    if factor == 1:
        return x
    if is_float(x.dtype):
        return np.asarray(x.dtype.type(factor) * x)
    return to_integer(np.float64(factor) * x.astype(np.float64), x.dtype)


@operator("Gemm", since=(1, 6))
def gemm_1(
    a: Array,
    b: Array,
    c: Array,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    broadcast: int = 0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Array:
    """Gemm whose `C` broadcasts only if `broadcast` is set."""
    y = gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)
    if not broadcast and c.shape != y.shape:
        raise ShapeError(f"C has shape {list(c.shape)}, expected {list(y.shape)} as broadcast=0")
    return y


@operator("FusedMatMul", since=1, domain="com.microsoft")
def fused_matmul(
    a: Array,
    b: Array,
    *,
    alpha: float = 1.0,
    transA: int = 0,  # noqa: N803  ONNX's names
    transB: int = 0,  # noqa: N803
    transBatchA: int = 0,  # noqa: N803
    transBatchB: int = 0,  # noqa: N803
) -> Array:
    """`rn(alpha * MatMul(A', B'))`, the product rounded to its type before; a factor of 1 changes nothing.

    A' is `a` with its first axis moved to the last place but one (transBatchA), then its last two axes exchanged
    (transA). Vectors are not transposed; batches alone ask for operands of one rank, 3 at least.
    """
    if (transBatchA or transBatchB) and (a.ndim != b.ndim or a.ndim < 3):
        raise ShapeError(
            f"A {list(a.shape)} and B {list(b.shape)}: transBatchA and transBatchB ask for one rank, 3 at least"
        )
    product = matmul(turned(a, transA, transBatchA), turned(b, transB, transBatchB))
    return round_back(scaled(alpha, widen(product)), a.dtype)


def turned(x: Array, last_two: int, batch: int) -> Array:
    """`x` with its first axis before its last, then with its last two axes exchanged."""
    x = np.moveaxis(x, 0, -2) if batch else x
    return np.swapaxes(x, -1, -2) if last_two and x.ndim > 1 else x


@operator("MatMulInteger", since=10)
def matmul_integer(a: Array, b: Array, a_zero_point: Array | None = None, b_zero_point: Array | None = None) -> Array:
    """`(a - a_zero_point) @ (b - b_zero_point)` in wrapping int32.

    Zero points are scalars, or one for each row of `a` and each column of `b`.
    """
    left, right = a.astype(np.int32), b.astype(np.int32)
    if a_zero_point is not None:
        left = left - per_channel(a_zero_point, a, -2).astype(np.int32)
    if b_zero_point is not None:
        right = right - per_channel(b_zero_point, b, -1).astype(np.int32)
    return matmul(left, right)


def per_channel(values: Array, matrix: Array, axis: int) -> Array:
    """Zero points or scales of a `matrix` [..., M, N], made to broadcast to it.

    One in all, or one for each row (`axis` -2: [M] or [..., M, 1]) or column (-1: [N] or [..., 1, N]).
    """
    if values.size == 1 and values.ndim <= max(matrix.ndim, 1):
        return values.reshape(())
    other = -3 - axis
    spread = np.expand_dims(values, other) if values.ndim == 1 else values
    fits = 2 <= spread.ndim <= matrix.ndim and spread.shape[other] == 1
    if not fits or np.broadcast_shapes(spread.shape, matrix.shape) != matrix.shape:
        raise ShapeError(f"zero points or scales {list(values.shape)} for a matrix of shape {list(matrix.shape)}")
    return spread


@operator("QLinearMatMul", since=(10, 21))
def qlinear_matmul(
    a: Array,
    a_scale: Array,
    a_zero_point: Array,
    b: Array,
    b_scale: Array,
    b_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
) -> Array:
    """MatMul of quantized numbers: `(a - a_zero_point) @ (b - b_zero_point)`, then requantized to y's scale and type.

    The product is exact in wrapping int32; with a float8 operand (21) it is a chain in binary32, differences rounded.
    Scales and zero points as in MatMulInteger, a zero point having its scale's shape; those of y are scalars.
    """
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError("a scalar operand; use Mul")
    computed = np.int32 if {a.dtype, b.dtype} <= {np.dtype(np.int8), np.dtype(np.uint8)} else np.float32
    operands, scales = [], []
    for matrix, scale, zero_point, axis in ((a, a_scale, a_zero_point, -2), (b, b_scale, b_zero_point, -1)):
        check_granularity(scale, zero_point)
        operands.append(matrix.astype(computed) - per_channel(zero_point, matrix, axis).astype(computed))
        scales.append(per_channel(scale, matrix, axis))
    left, right = operands
    per_row, per_column = scales
    acc = chain(left if a.ndim > 1 else left[None, :], right if b.ndim > 1 else right[:, None])
    y = requantized(acc, per_row, per_column, y_scale, y_zero_point)
    if a.ndim == 1:
        y = y[..., 0, :]
    return y if b.ndim > 1 else y[..., 0]


@operator("MatMulIntegerToFloat", since=1, domain="com.microsoft")
def matmul_integer_to_float(
    a: Array,
    b: Array,
    a_scale: Array,
    b_scale: Array,
    a_zero_point: Array | None = None,
    b_zero_point: Array | None = None,
    bias: Array | None = None,
) -> Array:
    """MatMulInteger, whose sums are then numbers: `rn(rn(acc) * rn(a_scale * b_scale))`, `rn(.. + bias)`, in binary32.

    `a_scale` and `a_zero_point` are one value. `b_scale` and `b_zero_point` are one value, or one a column of `b`
    ([N] or [..., 1, N]), each for itself; `bias` [N]. float16 is rounded once, at the end.
    """
    for name, value in {"a_scale": a_scale, "a_zero_point": a_zero_point}.items():
        if value is not None and (value.size != 1 or value.ndim > 1):
            raise ShapeError(f"{name} has shape {list(value.shape)}, expected one value")
    left, right = a.astype(np.int32), b.astype(np.int32)
    if a_zero_point is not None:
        left = left - a_zero_point.reshape(()).astype(np.int32)
    if b_zero_point is not None:
        right = right - per_channel(b_zero_point, b, -1).astype(np.int32)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError("a scalar operand; use Mul")
    acc = chain(left if a.ndim > 1 else left[None, :], right if b.ndim > 1 else right[:, None])
    scale = widen(a_scale).reshape(()) * widen(per_channel(b_scale, b, -1))
    y = acc.astype(np.float32) * scale
    if bias is not None:
        if bias.shape != acc.shape[-1:]:
            raise ShapeError(f"bias has shape {list(bias.shape)}, expected {list(acc.shape[-1:])}")
        y = y + widen(bias)
    y = round_to(y, a_scale.dtype)
    if a.ndim == 1:
        y = y[..., 0, :]
    return y if b.ndim > 1 else y[..., 0]


@operator("DynamicQuantizeMatMul", since=1, domain="com.microsoft")
def dynamic_quantize_matmul(
    a: Array, b: Array, b_scale: Array, b_zero_point: Array | None = None, bias: Array | None = None
) -> Array:
    """DynamicQuantizeLinear of `a`, all of it with one scale, then MatMulIntegerToFloat."""
    levels, scale, zero_point = dynamic_quantize_linear(a)
    return matmul_integer_to_float(levels, b, scale, b_scale, zero_point, b_zero_point, bias)
