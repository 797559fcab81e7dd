"""The activation functions of recurrent operators: names, parameters and defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from diptych_reference import numerics
from diptych_reference.errors import InvalidModelError
from diptych_reference.numerics import maximum, minimum
from diptych_reference.operator import Array

Activation = Callable[[Array], Array]


def constant(x: Array, value: float) -> Any:
    """`value` as a scalar of the type of `x`."""
    return x.dtype.type(value)


def hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    """`max(0, min(1, rn(rn(alpha * x) + beta)))`."""
    line = constant(x, alpha) * x + constant(x, beta)
    return maximum(np.zeros((), x.dtype), minimum(np.ones((), x.dtype), line))


def elu(x: Array, alpha: float) -> Array:
    """`x` where `x >= 0`, else `rn(alpha * rn(exp(x) - 1))`."""
    return np.where(x < 0, constant(x, alpha) * (numerics.exp(x) - constant(x, 1)), x)


# name -> (defaults of alpha and beta, as many as the function takes, function)
ACTIVATIONS: dict[str, tuple[tuple[float, ...], Callable[..., Array]]] = {
    "sigmoid": ((), numerics.sigmoid),
    "tanh": ((), numerics.tanh),
    "relu": ((), lambda x: maximum(x, np.zeros((), x.dtype))),
    "softplus": ((), numerics.softplus),
    "softsign": ((), lambda x: x / (constant(x, 1) + np.abs(x))),
    "affine": ((1.0, 0.0), lambda x, alpha, beta: constant(x, alpha) * x + constant(x, beta)),
    "leakyrelu": ((0.01,), lambda x, alpha: np.where(x < 0, constant(x, alpha) * x, x)),
    "thresholdedrelu": ((1.0,), lambda x, alpha: np.where(x > constant(x, alpha), x, constant(x, 0))),
    "scaledtanh": ((1.0, 1.0), lambda x, alpha, beta: constant(x, alpha) * numerics.tanh(constant(x, beta) * x)),
    "hardsigmoid": ((0.2, 0.5), hard_sigmoid),
    "elu": ((1.0,), elu),
}


def resolve_activations(
    names: Sequence[str] | None,
    default: Sequence[str],
    alphas: Sequence[float] | None,
    betas: Sequence[float] | None,
    directions: int,
) -> list[list[Activation]]:
    """The functions of each direction, `default` where none are named.

    Those that take an alpha (beta) use up the given ones in order.
    """
    wanted, each = list(names) if names else [*default] * directions, len(default)
    if len(wanted) != each * directions:
        raise InvalidModelError(f"activations {wanted}: expected {each * directions}")
    given: tuple[Iterator[float], ...] = (iter(alphas or ()), iter(betas or ()))
    bound: list[Activation] = []
    for name in wanted:
        if name.lower() not in ACTIVATIONS:
            raise InvalidModelError(f"activation {name!r}: expected one of {sorted(ACTIVATIONS)}")
        defaults, function = ACTIVATIONS[name.lower()]
        values = [float(np.float32(next(one, default))) for one, default in zip(given, defaults, strict=False)]
        bound.append(lambda x, function=function, values=values: function(x, *values))  # type: ignore[misc]
    return [bound[each * d : each * (d + 1)] for d in range(directions)]
