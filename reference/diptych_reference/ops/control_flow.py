"""If and Loop. Their bodies arrive as callables that see the outer values (session.Subgraph)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.model import ValueInfo
from diptych_reference.operator import Array, operator
from diptych_reference.signature import dtype_named

IF_VERSIONS = (1, 11, 13, 16, 19, 21, 23, 24, 25)  # they differ in the types they allow
LOOP_VERSIONS = (1, 11, 13, 16, 19, 21, 23, 24, 25)


@operator("If", since=IF_VERSIONS)
def if_(cond: Array, *, then_branch: Any, else_branch: Any) -> tuple[Any, ...]:
    """The outputs of the branch that `cond` chooses; the other one is not evaluated."""
    return tuple(then_branch() if truth(cond, "cond") else else_branch())


@operator("Loop", since=LOOP_VERSIONS)
def loop(m: Array | None = None, cond: Array | None = None, *v_initial: Any, body: Any) -> tuple[Any, ...]:
    """Evaluates `body(iteration, cond, *state) -> cond, *state, *scan` while `cond` holds, at most `m` times.

    `cond` gates the first iteration too; absent, it is true; an absent `m` does not bound. Returns the last state, then
    each scan output stacked along a new first axis.
    """
    state = list(v_initial)
    n_scans = len(body.outputs) - 1 - len(state)
    if n_scans < 0:
        raise InvalidModelError(f"the body has {len(body.outputs)} outputs, expected cond and {len(state)} states")
    scans: list[list[Array]] = [[] for _ in range(n_scans)]
    trips = math.inf if m is None else int(scalar(m, "M"))
    proceed = cond is None or truth(cond, "cond")
    iteration = 0
    while proceed and iteration < trips:
        again, *outputs = body(np.asarray(iteration, dtype=np.int64), np.asarray(proceed), *state)
        state = outputs[: len(state)]
        for scan, value in zip(scans, outputs[len(state) :], strict=True):
            scan.append(value)
        proceed = truth(again, "the body's condition")
        iteration += 1
    declared = body.outputs[1 + len(state) :]
    return *state, *(stacked(scan, info) for scan, info in zip(scans, declared, strict=True))


def stacked(values: list[Array], declared: ValueInfo) -> Array:
    """Scan values along a new first axis; without any, the declared type and shape (0 where it is not fixed)."""
    if values:
        return np.stack(values)
    shape = [size if isinstance(size, int) else 0 for size in declared.shape or ()]
    return np.empty((0, *shape), dtype_named(declared.type_name))


def scalar(value: Array, name: str) -> Array:
    """The one element of `value`, which may be of rank 0 or 1."""
    if value.size != 1:
        raise ShapeError(f"{name} has shape {list(value.shape)}, expected one element")
    return value.reshape(())


def truth(value: Array, name: str) -> bool:
    """A condition as a Python bool."""
    return bool(scalar(value, name))
