"""If, Loop, Scan, SequenceMap. Their bodies arrive as callables that see the outer values (session.Subgraph).

They evaluate their bodies; what they cut, stack and collect moves elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych_reference.axes import normal_axis
from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.model import ValueInfo
from diptych_reference.operator import Array, operator
from diptych_reference.signature import dtype_named, value_type
from diptych_reference.values import Sequence as Items

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


@operator("Scan", since=(9, 11, 16, 19, 21, 23, 24, 25))
def scan(
    *initial_state_and_scan_inputs: Any,
    num_scan_inputs: int,
    body: Any,
    scan_input_axes: Sequence[int] | None = None,
    scan_input_directions: Sequence[int] | None = None,
    scan_output_axes: Sequence[int] | None = None,
    scan_output_directions: Sequence[int] | None = None,
) -> tuple[Any, ...]:
    """Evaluates `body(*state, *slabs) -> *state, *scan` for the slabs of the last `num_scan_inputs` inputs.

    Slabs are cut along an axis of each (0), from the front or, for direction 1, from the back. Returns the last state,
    then each scan output stacked along a new axis (0), appending or, for direction 1, prepending. States keep their
    type and shape.
    """
    state, inputs, n_scans = divided(initial_state_and_scan_inputs, num_scan_inputs, body)
    axes = numbers(scan_input_axes, "scan_input_axes", len(inputs))
    front = [np.moveaxis(x, normal_axis(axis, x.ndim), 0) for x, axis in zip(inputs, axes, strict=True)]
    steps = slabs(front, flags(scan_input_directions, "scan_input_directions", len(inputs)))
    state, scans = iterate(body, state, steps)
    results = []
    axes = numbers(scan_output_axes, "scan_output_axes", n_scans)
    directions = flags(scan_output_directions, "scan_output_directions", n_scans)
    for values, info, axis, prepended in zip(scans, body.outputs[len(state) :], axes, directions, strict=True):
        results.append(stacked(values[::-1] if prepended else values, info, axis, len(steps)))
    return *state, *results


@operator("Scan", since=8)
def scan_8(
    sequence_lens: Array | None = None,
    *initial_state_and_scan_inputs: Any,
    num_scan_inputs: int,
    body: Any,
    directions: Sequence[int] | None = None,
) -> tuple[Any, ...]:
    """As version 9 for each batch (axis 0 of every input) apart, along axis 1 of the scan inputs.

    Batch b runs `sequence_lens[b]` steps, by default all; direction 1 takes these from the last to the first. What its
    scan outputs do not reach is zero (empty strings).
    """
    state, inputs, n_scans = divided(initial_state_and_scan_inputs, num_scan_inputs, body)
    batches = common_length([*state, *inputs], 0)
    longest = common_length(inputs, 1)
    lens = np.full(batches, longest) if sequence_lens is None else sequence_lens
    if lens.shape != (batches,) or not all(0 <= n <= longest for n in lens.tolist()):
        raise ShapeError(f"sequence_lens is {lens.tolist()}, expected {batches} lengths of 0 to {longest}")
    backward = flags(directions, "directions", len(inputs))
    last: list[list[Any]] = [[] for _ in state]
    scans: list[dict[tuple[int, int], Array]] = [{} for _ in range(n_scans)]
    for b, n in enumerate(lens.tolist()):
        ends, collected = iterate(body, [s[b, ...] for s in state], slabs([x[b, :n] for x in inputs], backward))
        for values, end in zip(last, ends, strict=True):
            values.append(end)
        for places, values in zip(scans, collected, strict=True):
            places.update({(b, t): value for t, value in enumerate(values)})
    states = [np.stack(values) if values else initial for values, initial in zip(last, state, strict=True)]
    declared = body.outputs[len(state) :]
    return *states, *(padded(places, info, (batches, longest)) for places, info in zip(scans, declared, strict=True))


@operator("SequenceMap", since=17)
def sequence_map(input_sequence: list[Any], *additional_inputs: Any, body: Any) -> tuple[Any, ...]:
    """The sequences of what `body` gives for each item of the sequences; tensors among the inputs go to every item.

    All sequences have the length of the first. Of nothing, sequences of the declared types.
    """
    inputs = [input_sequence, *additional_inputs]
    if len(body.inputs) != len(inputs):
        raise InvalidModelError(f"the body has {len(body.inputs)} inputs, the node {len(inputs)}")
    lengths = [len(x) for x in inputs if isinstance(x, list)]
    if set(lengths) != {len(input_sequence)}:
        raise ShapeError(f"the sequences have lengths {lengths}, expected one length")
    mapped: list[list[Any]] = [[] for _ in body.outputs]
    for i in range(len(input_sequence)):
        results = body(*(x[i] if isinstance(x, list) else x for x in inputs))
        for items, value in zip(mapped, results, strict=True):
            items.append(tensor(value, "an output of the body"))
    return tuple(Items(items, declared_dtype(info)) for items, info in zip(mapped, body.outputs, strict=True))


def divided(given: Sequence[Any], num_scan_inputs: int, body: Any) -> tuple[list[Any], list[Array], int]:
    """States, scan inputs and the number of scan outputs of a Scan."""
    n_states = len(given) - num_scan_inputs
    if num_scan_inputs < 1 or n_states < 0:
        raise InvalidModelError(f"num_scan_inputs is {num_scan_inputs}, expected 1 to {len(given)}")
    if len(body.inputs) != len(given) or len(body.outputs) < n_states:
        raise InvalidModelError(
            f"the body has {len(body.inputs)} inputs and {len(body.outputs)} outputs for {len(given)} inputs of which "
            f"{n_states} are states"
        )
    return list(given[:n_states]), list(given[n_states:]), len(body.outputs) - n_states


def numbers(attribute: Sequence[int] | None, name: str, count: int) -> list[int]:
    """An attribute with one number for each of `count` values; zeros if it is absent."""
    found = [0] * count if attribute is None else list(attribute)
    if len(found) != count:
        raise InvalidModelError(f"{name} has {len(found)} entries, expected {count}")
    return found


def flags(attribute: Sequence[int] | None, name: str, count: int) -> list[bool]:
    """`numbers` that are 0 or 1."""
    found = numbers(attribute, name, count)
    if not set(found) <= {0, 1}:
        raise InvalidModelError(f"{name} is {found}, expected 0 or 1 each")
    return [flag == 1 for flag in found]


def common_length(values: Sequence[Array], axis: int) -> int:
    """The length of `axis`, which all values share."""
    lengths = {value.shape[normal_axis(axis, value.ndim)] for value in values}
    if len(lengths) > 1:
        raise ShapeError(f"the lengths {sorted(lengths)} of what is scanned together differ")
    return int(lengths.pop())


def slabs(inputs: Sequence[Array], reversed_: Sequence[bool]) -> list[list[Array]]:
    """For each step one slab of each input along its first axis."""
    count = common_length(inputs, 0)
    return [
        [x[count - 1 - t if flag else t, ...] for x, flag in zip(inputs, reversed_, strict=True)] for t in range(count)
    ]


def iterate(body: Any, state: list[Any], steps: list[list[Array]]) -> tuple[list[Any], list[list[Array]]]:
    """The last state, and for each scan output its value in every step."""
    scans: list[list[Array]] = [[] for _ in body.outputs[len(state) :]]
    kinds = [(value_type(value), value.shape) for value in state]
    for elements in steps:
        outputs = body(*state, *elements)
        state = outputs[: len(state)]
        for index, (value, kind) in enumerate(zip(state, kinds, strict=True)):
            if (value_type(value), getattr(value, "shape", None)) != kind:
                raise ShapeError(f"state {index} became {value_type(value)} in its loop, expected {kind}")
        for values, value in zip(scans, outputs[len(state) :], strict=True):
            values.append(value)
    return state, scans


def stacked(values: list[Array], declared: ValueInfo, axis: int = 0, count: int = 0) -> Array:
    """Scan values along a new axis; without any, `count` of the declared type and shape (0 where it is not fixed)."""
    if values:
        same_kind(values)
        return np.stack(values, axis=normal_axis(axis, values[0].ndim + 1))
    shape = [size if isinstance(size, int) else 0 for size in declared.shape or ()]
    shape.insert(normal_axis(axis, len(shape) + 1), count)
    return blank(shape, dtype_named(declared.type_name))


def padded(places: dict[tuple[int, int], Array], declared: ValueInfo, lengths: tuple[int, int]) -> Array:
    """The scan values at their places (batch, step), zero elsewhere."""
    if not places:
        shape = [size if isinstance(size, int) else 0 for size in declared.shape or ()]
        return blank([*lengths, *shape], dtype_named(declared.type_name))
    first = same_kind(list(places.values()))
    result = blank([*lengths, *first.shape], first.dtype)
    for place, value in places.items():
        result[place] = value
    return result


def same_kind(values: list[Any]) -> Array:
    """The first of some values, which are tensors of one dtype and shape."""
    kinds = {(value_type(tensor(value, "a scan output")), value.shape) for value in values}
    if len(kinds) > 1:
        raise ShapeError(f"a scan output is {sorted(map(str, kinds))} in different iterations")
    first: Array = values[0]
    return first


def tensor(value: Any, name: str) -> Array:
    """A value that must be a tensor."""
    if not isinstance(value, np.ndarray):
        raise ShapeError(f"{name} is {value_type(value)}, expected a tensor")
    return value


def blank(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Zeros, or empty strings."""
    return np.full(shape, "", dtype) if dtype.kind == "O" else np.zeros(shape, dtype)


def declared_dtype(declared: ValueInfo) -> np.dtype[Any] | None:
    """The dtype of a declared tensor, None where it is not declared to be one."""
    return dtype_named(declared.type_name) if declared.type_name.startswith("tensor(") else None


def scalar(value: Array, name: str) -> Array:
    """The one element of `value`, which may be of rank 0 or 1."""
    if value.size != 1:
        raise ShapeError(f"{name} has shape {list(value.shape)}, expected one element")
    return value.reshape(())


def truth(value: Array, name: str) -> bool:
    """A condition as a Python bool."""
    return bool(scalar(value, name))
