"""Linear algebra beyond matrix products: Einsum and Det."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.numerics import fma_chain, lane_sum, round_to, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.matmul import round_back

ELLIPSIS = 0x100  # labels of an ellipsis' axes: characters that are no letters of an equation
TERM = re.compile(r"([A-Za-z]*)(\.\.\.)?([A-Za-z]*)", re.ASCII)


@operator("Einsum", since=(12, 28))
def einsum(*inputs: Array, equation: str) -> Array:
    """Sums of products over named axes, two operands at a time from the left (docs/numerics.md, section 4).

    A pair becomes one operand: axes that only one of the two has and nobody needs later are lane sums in it, then axes
    that both have and nobody needs later are one fma chain. float16 and bfloat16 stay in binary32 until the end.
    """
    terms, output = labels_of(equation, [x.ndim for x in inputs])
    operands = [diagonal(x, term) for x, term in zip(inputs, terms, strict=True)]
    sizes = sizes_of(operands)
    terms = [labels for _, labels in operands]
    arrays = [np.broadcast_to(widen(x), [sizes[label] for label in labels]) for x, labels in operands]
    acc, labels = arrays[0], terms[0]
    for k in range(1, len(arrays)):
        needed = set(output).union(*terms[k + 1 :])
        acc, labels = contract(acc, labels, arrays[k], terms[k], needed)
    acc, labels = summed(acc, labels, output)
    return round_back(np.transpose(acc, [labels.index(label) for label in output]).copy(), inputs[0].dtype)


def labels_of(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """One character for each axis of each operand, and of the output, those of an ellipsis included."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    found = [TERM.fullmatch(term) for term in left.split(",")]
    explicit = TERM.fullmatch(right)
    if None in found or explicit is None:
        raise InvalidModelError(f"equation {equation!r}: expected terms of letters with at most one '...' each")
    parts = [match.groups(default="") for match in found if match]
    if len(parts) != len(ranks):
        raise InvalidModelError(f"equation {equation!r} has {len(parts)} terms for {len(ranks)} inputs")
    hidden = [rank - len(before + after) for rank, (before, _, after) in zip(ranks, parts, strict=True)]
    with_dots = {count for count, (_, dots, _) in zip(hidden, parts, strict=True) if dots}
    if any(count != 0 for count, (_, dots, _) in zip(hidden, parts, strict=True) if not dots) or min(hidden) < 0:
        raise ShapeError(f"equation {equation!r} does not fit operands of ranks {list(ranks)}")
    if len(with_dots) > 1:
        raise ShapeError(f"equation {equation!r}: '...' stands for {sorted(with_dots)} axes, expected one number")
    ellipsis = "".join(chr(ELLIPSIS + i) for i in range(max(with_dots, default=0)))
    terms = [before + (ellipsis if dots else "") + after for before, dots, after in parts]
    if not arrow:
        counts = Counter(letter for before, _, after in parts for letter in before + after)
        return terms, ellipsis + "".join(sorted(letter for letter, count in counts.items() if count == 1))
    before, dots, after = explicit.groups(default="")
    letters = before + after
    if len(set(letters)) < len(letters) or not set(letters) <= set("".join(terms)):
        raise InvalidModelError(f"equation {equation!r}: output letters must be distinct and from the operands")
    return terms, before + (ellipsis if dots else "") + after


def diagonal(x: Array, labels: str) -> tuple[Array, str]:
    """`x` with every label once: of axes with one label, the elements whose indices there are equal."""
    for label in labels:
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(
                    f"axes {first} and {second} have one letter and lengths {x.shape[first]}, {x.shape[second]}"
                )
            x = np.moveaxis(np.diagonal(x, axis1=first, axis2=second), -1, first)
            labels = labels[:second] + labels[second + 1 :]
    return x, labels


def sizes_of(operands: Sequence[tuple[Array, str]]) -> dict[str, int]:
    """The length of each label's axes; a length of 1 broadcasts."""
    sizes: dict[str, int] = {}
    for x, labels in operands:
        for label, n in zip(labels, x.shape, strict=True):
            known = sizes.get(label, 1)
            if known != n and 1 not in (known, n):
                raise ShapeError(f"axes of one letter have lengths {known} and {n}")
            sizes[label] = n if known == 1 else known
    return sizes


def summed(x: Array, labels: str, kept: Collection[str]) -> tuple[Array, str]:
    """Lane sum over the axes whose labels are not kept; without any, `x` itself."""
    axes = tuple(axis for axis, label in enumerate(labels) if label not in kept)
    if not axes:
        return x, labels
    return lane_sum(x, axes), "".join(label for label in labels if label in kept)


def contract(a: Array, a_labels: str, b: Array, b_labels: str, needed: set[str]) -> tuple[Array, str]:
    """The product of two operands, and its labels: those of `a` that are needed, then those of `b` alone."""
    a, a_labels = summed(a, a_labels, needed.union(b_labels))
    b, b_labels = summed(b, b_labels, needed.union(a_labels))
    chained = [label for label in a_labels if label not in needed]
    kept = "".join(label for label in a_labels if label in needed) + "".join(
        label for label in b_labels if label not in a_labels
    )
    left, right = aligned(a, a_labels, chained, kept), aligned(b, b_labels, chained, kept)
    start = np.zeros(np.broadcast_shapes(left.shape[1:], right.shape[1:]), a.dtype)
    return fma_chain(left, right, start), kept


def aligned(x: Array, labels: str, chained: Sequence[str], kept: str) -> Array:
    """`x` as [chained axes as one, kept axes]; a kept axis that it has not is 1 long."""
    order = [labels.index(label) for label in (*chained, *(label for label in kept if label in labels))]
    moved = np.transpose(x, order)
    count = math.prod(moved.shape[: len(chained)])
    lengths = iter(moved.shape[len(chained) :])
    return moved.reshape((count, *(next(lengths) if label in labels else 1 for label in kept)))


@operator("Det", since=(11, 22))
def det(x: Array) -> Array:
    """Determinants of [..., M, M]: elimination in binary64 with the greatest pivot of each column, rounded once."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"X has shape {list(x.shape)}, expected square matrices [..., M, M]")
    size, batch = x.shape[-1], math.prod(x.shape[:-2])
    a = x.astype(np.float64).reshape(batch, size, size)
    result, every = np.ones(batch), np.arange(batch)
    for j in range(size):
        place = j + np.argmax(np.abs(a[:, j:, j]), axis=1)  # the first greatest; NaN is above all
        a[every, j], a[every, place] = a[every, place], a[every, j]
        pivot = a[:, j, j]
        result = np.where(place == j, result, -result) * pivot
        factor = a[:, j + 1 :, j] / pivot[:, None]
        rest = a[:, j + 1 :, j + 1 :]
        eliminated = rest - factor[:, :, None] * a[:, j, None, j + 1 :]
        a[:, j + 1 :, j + 1 :] = np.where((pivot == 0)[:, None, None], rest, eliminated)
    return round_to((result + 0.0).reshape(x.shape[:-2]), x.dtype)
