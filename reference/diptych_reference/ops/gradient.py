"""ai.onnx.preview.training.Gradient: reverse-mode differentiation of the graph around the node (docs/numerics.md).

What leads from `xs` and `zs` to `y` is evaluated once more, with the node's inputs in their places, and written on a
*tape*: which operator, of which values, gave which values. Read backwards, each entry's rule says how the gradient
of its output becomes that of its inputs. Rules are made of ONNX's operators and write on the same tape: a Gradient of
a Gradient needs nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diptych_reference.axes import normal_axes, normal_axis
from diptych_reference.errors import InvalidModelError, InvalidTypeError, UnsupportedOperatorError
from diptych_reference.numerics import is_float
from diptych_reference.operator import Array, lookup, operator

DOMAIN = "ai.onnx.preview.training"
MAX_DEPTH = 16  # of gradients of gradients of ...
OPSET = 22  # that of the operators which rules are made of


@operator("Gradient", since=1, domain=DOMAIN)
def gradient(
    *inputs: Array, xs: Sequence[str], y: str, zs: Sequence[str] | None = None, enclosing: Any
) -> tuple[Array, ...]:
    """The gradient of the sum of `y` with respect to each of `xs`, where `xs` and `zs` have the values `inputs`."""
    if enclosing is None:
        raise InvalidModelError("Gradient needs the graph around it")
    tape = Tape()
    found = differentiate(tape, [tape.add(value) for value in inputs], (xs, zs or [], y), enclosing, {})
    return tuple(tape.values[index] for index in found)


@dataclass
class Entry:
    """One application of an operator: places on the tape of its inputs (None: absent) and outputs."""

    op_type: str
    opset: int
    attributes: Mapping[str, Any]
    inputs: list[int | None]
    outputs: list[int] = field(default_factory=list)

    def refused(self, why: str = "") -> UnsupportedOperatorError:
        """The error of an entry that has no rule."""
        return UnsupportedOperatorError(f"Gradient has no rule for {self.op_type} at opset {self.opset}{why}")


@dataclass
class Tape:
    """Values, and how those that were computed came to be."""

    values: list[Any] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def add(self, value: Any) -> int:
        """A value that nothing computed."""
        self.values.append(value)
        return len(self.values) - 1

    def write(self, entry: Entry, results: Sequence[Any]) -> list[int]:
        """Write down an application and what it gave; the places of its outputs."""
        entry.outputs = [self.add(value) for value in results]
        self.entries.append(entry)
        return entry.outputs

    def apply(self, op_type: str, *inputs: int, **attributes: Any) -> int:
        """The one output of an operator that a rule uses."""
        result = lookup("", op_type, OPSET)([self.values[index] for index in inputs], attributes)[0]
        return self.write(Entry(op_type, OPSET, attributes, list(inputs)), [result])[0]

    def like(self, number: float, index: int) -> int:
        """A number of the type of a value."""
        return self.add(np.asarray(number, self.values[index].dtype))

    def filled(self, number: float, index: int) -> int:
        """A tensor like a value, full of a number."""
        return self.add(np.full_like(self.values[index], number))

    def ints(self, numbers: Sequence[int]) -> int:
        """A list of integers: shapes and axes."""
        return self.add(np.array(numbers, np.int64))

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a value."""
        return tuple(self.values[index].shape)

    def reshaped(self, index: int, shape: Sequence[int]) -> int:
        """A value under another shape."""
        return self.apply("Reshape", index, self.ints(shape), allowzero=1)

    def summed(self, index: int, axes: Sequence[int]) -> int:
        """The sum over some axes, which are kept."""
        return self.apply("ReduceSum", index, self.ints(axes), keepdims=1)

    def fitted(self, index: int, like: int) -> int:
        """A gradient summed over the axes along which `like` was broadcast."""
        shape, wanted = self.shape(index), self.shape(like)
        if shape == wanted:
            return index
        padded = (1,) * (len(shape) - len(wanted)) + wanted
        axes = [axis for axis, (n, kept) in enumerate(zip(shape, padded, strict=True)) if kept != n]
        return self.reshaped(self.summed(index, axes) if axes else index, wanted)

    def swapped(self, index: int) -> int:
        """The last two axes swapped."""
        rank = len(self.shape(index))
        return self.apply("Transpose", index, perm=[*range(rank - 2), rank - 1, rank - 2])


def differentiate(
    tape: Tape,
    inputs: Sequence[int],
    names: tuple[Sequence[str], Sequence[str], str],
    enclosing: Any,
    outer: Mapping[str, int],
    depth: int = 1,
) -> list[int]:
    """Evaluate what leads to `y` on the tape, then go backwards; the gradients of `xs`. `names`: xs, zs, y.

    `outer`: places of the values that a Gradient around this one has on the tape.
    """
    xs, zs, y = names
    if depth > MAX_DEPTH:
        raise InvalidModelError(f"gradients of gradients are nested more than {MAX_DEPTH} deep")
    if len(inputs) != len(xs) + len(zs):
        raise InvalidModelError(f"{len(inputs)} inputs for the tensors {[*xs, *zs]} of xs and zs")
    known = dict(zip([*xs, *zs], inputs, strict=True))
    wanted = [known[name] for name in xs]
    target = forward(tape, y, known, enclosing, outer, depth)
    for name, index in [*zip(xs, wanted, strict=True), (y, target)]:
        if not isinstance(tape.values[index], np.ndarray) or not is_float(tape.values[index].dtype):
            raise InvalidTypeError(f"{name!r} is not a tensor of floats, so there is no gradient")
    return backward(tape, target, wanted)


def forward(tape: Tape, name: str, known: dict[str, int], enclosing: Any, outer: Mapping[str, int], depth: int) -> int:
    """The place of a named value on the tape. What it depends on comes first, each node after its inputs in order."""

    def read(wanted: str) -> int:
        if wanted not in known:
            known[wanted] = outer[wanted] if wanted in outer else tape.add(enclosing.value(wanted))
        return known[wanted]

    for node in enclosing.leading_to(name, set(known)):
        inputs = [read(wanted) if wanted else None for wanted in node.inputs]
        if (node.domain, node.op_type) == (DOMAIN, "Gradient"):
            names = (node.attributes["xs"], node.attributes.get("zs") or [], node.attributes["y"])
            outputs = differentiate(tape, [place(i) for i in inputs], names, enclosing, {**outer, **known}, depth + 1)
        else:
            results = enclosing.evaluate(node, [None if index is None else tape.values[index] for index in inputs])
            outputs = tape.write(Entry(node.op_type, enclosing.opset(node), node.attributes, inputs), results)
        known.update((output, at) for output, at in zip(node.outputs, outputs, strict=False) if output)
    return read(name)


def backward(tape: Tape, target: int, wanted: Sequence[int]) -> list[int]:
    """Gradients of the sum of `target` with respect to the values `wanted`; zeros where it does not depend on one."""
    active = set(wanted)
    for entry in tape.entries:
        if active.intersection(index for index in entry.inputs if index is not None):
            active.update(entry.outputs)
    found: dict[int, int] = {}
    if target in active:
        found[target] = tape.filled(1, target)
    for entry in reversed(tape.entries[:]):
        grads = [found.get(index) for index in entry.outputs]
        if all(grad is None for grad in grads):
            continue
        needed = [index is not None and index in active for index in entry.inputs]
        if not any(needed):
            continue
        if entry.op_type not in RULES:
            raise entry.refused()
        if grads[0] is None or any(grad is not None for grad in grads[1:]):
            raise entry.refused(", of whose outputs the first alone may matter")
        for index, rule in zip(entry.inputs, RULES[entry.op_type](tape, entry, grads[0]), strict=False):
            if index is not None and index in active:
                new = rule()
                if new is not None:
                    found[index] = tape.apply("Add", found[index], new) if index in found else new
    return [found[index] if index in found else tape.filled(0, index) for index in wanted]


# Rules: from an entry and the gradient `g` of its first output, for each input a function that gives its gradient.

Rule = Callable[[Tape, Entry, int], list[Callable[[], int | None]]]
RULES: dict[str, Rule] = {}


def rule(*op_types: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of `op_types`."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(op_types, function))
        return function

    return register


def place(index: int | None) -> int:
    """An input that is there."""
    if index is None:
        raise InvalidModelError("an input that an operator needs is absent")
    return index


UNARY: dict[str, Callable[[Tape, int, int, int], int]] = {  # of x, y and g
    "Identity": lambda t, x, y, g: g,
    "Neg": lambda t, x, y, g: t.apply("Neg", g),
    "Exp": lambda t, x, y, g: t.apply("Mul", g, y),
    "Log": lambda t, x, y, g: t.apply("Div", g, x),
    "Sqrt": lambda t, x, y, g: t.apply("Div", g, t.apply("Add", y, y)),
    "Reciprocal": lambda t, x, y, g: t.apply("Neg", t.apply("Mul", g, t.apply("Mul", y, y))),
    "Abs": lambda t, x, y, g: t.apply("Mul", g, t.apply("Sign", x)),
    "Sin": lambda t, x, y, g: t.apply("Mul", g, t.apply("Cos", x)),
    "Cos": lambda t, x, y, g: t.apply("Neg", t.apply("Mul", g, t.apply("Sin", x))),
    "Relu": lambda t, x, y, g: t.apply("Where", t.apply("Greater", x, t.like(0, x)), g, t.like(0, g)),
    "Sigmoid": lambda t, x, y, g: t.apply("Mul", g, t.apply("Mul", y, t.apply("Sub", t.like(1, y), y))),
    "Tanh": lambda t, x, y, g: t.apply("Mul", g, t.apply("Sub", t.like(1, y), t.apply("Mul", y, y))),
    "Softplus": lambda t, x, y, g: t.apply("Mul", g, t.apply("Sigmoid", x)),
    "Reshape": lambda t, x, y, g: t.reshaped(g, t.shape(x)),
    "Expand": lambda t, x, y, g: t.fitted(g, x),
}
UNARY.update(dict.fromkeys(("Flatten", "Squeeze", "Unsqueeze"), UNARY["Reshape"]))
Pair = tuple[Callable[[], int], Callable[[], int]]
BINARY: dict[str, Callable[[Tape, int, int, int, int], Pair]] = {  # of a, b, y and g
    "Add": lambda t, a, b, y, g: (lambda: g, lambda: g),
    "Sub": lambda t, a, b, y, g: (lambda: g, lambda: t.apply("Neg", g)),
    "Mul": lambda t, a, b, y, g: (lambda: t.apply("Mul", g, b), lambda: t.apply("Mul", g, a)),
    "Div": lambda t, a, b, y, g: (
        lambda: t.apply("Div", g, b),
        lambda: t.apply("Neg", t.apply("Div", t.apply("Mul", g, y), b)),
    ),
}


@rule(*UNARY)
def unary(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """A function of the first input alone."""
    return [lambda: UNARY[e.op_type](t, place(e.inputs[0]), e.outputs[0], g)]


@rule(*BINARY)
def binary(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """Two operands that broadcast."""
    if e.opset < 7:
        raise e.refused()
    a, b = place(e.inputs[0]), place(e.inputs[1])
    first, second = BINARY[e.op_type](t, a, b, e.outputs[0], g)
    return [lambda: t.fitted(first(), a), lambda: t.fitted(second(), b)]


@rule("Sum")
def sum_(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """Each operand has the whole gradient."""
    return [lambda index=index: t.fitted(g, place(index)) for index in e.inputs]  # type: ignore[misc]


@rule("Sign", "Greater")
def step(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """Constant but for jumps: no gradient."""
    return [lambda: None for _ in e.inputs]


@rule("Where")
def where(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """The gradient goes where the value came from."""
    condition, a, b = (place(index) for index in e.inputs)
    zero = t.like(0, g)
    return [
        lambda: None,
        lambda: t.fitted(t.apply("Where", condition, g, zero), a),
        lambda: t.fitted(t.apply("Where", condition, zero, g), b),
    ]


@rule("Pow")
def power(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """`b * a^(b-1)` and `y * log(a)`, for operands of one type."""
    if e.opset < 7:
        raise e.refused()
    a, b, y = place(e.inputs[0]), place(e.inputs[1]), e.outputs[0]
    if t.values[a].dtype != t.values[b].dtype:
        raise e.refused(" with an exponent of another type")

    def base() -> int:
        lowered = t.apply("Pow", a, t.apply("Sub", b, t.like(1, b)))
        return t.fitted(t.apply("Mul", g, t.apply("Mul", b, lowered)), a)

    return [base, lambda: t.fitted(t.apply("Mul", g, t.apply("Mul", y, t.apply("Log", a))), b)]


@rule("MatMul")
def matmul(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """`g B^T` and `A^T g`, summed over the batch axes that were broadcast."""
    a, b = place(e.inputs[0]), place(e.inputs[1])
    if min(len(t.shape(a)), len(t.shape(b))) < 2:
        raise e.refused(" with a vector")
    return [
        lambda: t.fitted(t.apply("MatMul", g, t.swapped(b)), a),
        lambda: t.fitted(t.apply("MatMul", t.swapped(a), g), b),
    ]


@rule("Gemm")
def gemm(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """Products again; C has `beta * g`."""
    if e.opset < 7:
        raise e.refused()
    a, b = place(e.inputs[0]), place(e.inputs[1])
    alpha, beta = e.attributes.get("alpha", 1.0), e.attributes.get("beta", 1.0)
    trans_a, trans_b = bool(e.attributes.get("transA", 0)), bool(e.attributes.get("transB", 0))

    def product(left: int, right: int, trans_left: bool, trans_right: bool) -> int:
        return t.apply("Gemm", left, right, alpha=alpha, transA=int(trans_left), transB=int(trans_right))

    def addend() -> int:
        scaled = g if beta == 1 else t.apply("Mul", g, t.like(beta, g))
        return t.fitted(scaled, place(e.inputs[2]))

    return [
        lambda: product(b, g, trans_b, True) if trans_a else product(g, b, False, not trans_b),
        lambda: product(g, a, True, trans_a) if trans_b else product(a, g, not trans_a, False),
        addend,
    ]


@rule("Transpose")
def transpose(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """The inverse permutation."""
    rank = len(t.shape(g))
    perm = e.attributes.get("perm") or list(range(rank))[::-1]
    return [lambda: t.apply("Transpose", g, perm=[perm.index(axis) for axis in range(rank)])]


@rule("ReduceSum", "ReduceMean")
def reduction(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """The gradient, for a mean divided by the count, spread over what was summed."""
    x = place(e.inputs[0])
    shape = t.shape(x)
    named = list(e.attributes.get("axes") or [])
    if len(e.inputs) > 1 and e.inputs[1] is not None:
        named = [int(axis) for axis in t.values[e.inputs[1]].reshape(-1)]
    every = not named and not e.attributes.get("noop_with_empty_axes", 0)
    axes = tuple(range(len(shape))) if every else normal_axes(named, len(shape))
    kept = [1 if axis in axes else n for axis, n in enumerate(shape)]

    def spread() -> int:
        share = g
        if e.op_type == "ReduceMean":
            share = t.apply("Div", g, t.like(math.prod(shape[axis] for axis in axes), g))
        return t.apply("Expand", t.reshaped(share, kept), t.ints(shape))

    return [spread]


@rule("Softmax", "LogSoftmax")
def softmax(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """`(g - sum(g * y)) * y`, or `g - exp(y) * sum(g)`, sums along the axis."""
    if e.opset < 13:
        raise e.refused()
    y = e.outputs[0]
    axis = [normal_axis(e.attributes.get("axis", -1), len(t.shape(y)))]

    def soft() -> int:
        return t.apply("Mul", t.apply("Sub", g, t.summed(t.apply("Mul", g, y), axis)), y)

    def log_soft() -> int:
        return t.apply("Sub", g, t.apply("Mul", t.apply("Exp", y), t.summed(g, axis)))

    return [soft if e.op_type == "Softmax" else log_soft]


@rule("Conv")
def conv(t: Tape, e: Entry, g: int) -> list[Callable[[], int | None]]:
    """X: ConvTranspose of `g`. W: Conv of X and `g` with batch and channels swapped, strides and dilations too."""
    x, w = place(e.inputs[0]), place(e.inputs[1])
    sizes, kernel, made = t.shape(x)[2:], t.shape(w)[2:], t.shape(g)[2:]
    rank = len(sizes)
    group, auto = e.attributes.get("group", 1), e.attributes.get("auto_pad", "NOTSET")
    strides, dilations = (list(e.attributes.get(name) or [1] * rank) for name in ("strides", "dilations"))
    pads = list(e.attributes.get("pads") or [0] * 2 * rank) if auto == "NOTSET" else [0] * 2 * rank
    if auto not in ("NOTSET", "VALID") or 0 in (*t.shape(x), *t.shape(w), *t.shape(g)):
        raise e.refused(f" with auto_pad {auto}, or empty")
    reach = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(made, strides, kernel, dilations, strict=True)]
    # What the last window leaves of the padded input: 0 .. stride - 1.
    rest = [n + pads[i] + pads[rank + i] - reach[i] for i, n in enumerate(sizes)]

    def of_x() -> int:
        return t.apply(
            "ConvTranspose", g, w, strides=strides, dilations=dilations, pads=pads, group=group, output_padding=rest
        )

    def of_w() -> int:
        if group != 1:
            raise e.refused(" with groups")
        perm = [1, 0, *range(2, rank + 2)]
        ends = [pads[rank + i] - rest[i] for i in range(rank)]
        cropped = t.apply(
            "Pad", t.apply("Transpose", x, perm=perm), t.ints([0, 0, *pads[:rank], 0, 0, *ends]), t.like(0, x)
        )
        product = t.apply("Conv", cropped, t.apply("Transpose", g, perm=perm), strides=dilations, dilations=strides)
        return t.apply("Transpose", product, perm=perm)

    return [of_x, of_w, lambda: t.reshaped(t.summed(g, [0, *range(2, rank + 2)]), t.shape(g)[1:2])]
