"""Ways to make a candidate smaller, cheap ones first. A pass yields candidates; whether they fail is not its affair.

A pass may yield models that break ONNX's rules: the reference, which runs each first, refuses those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from diptych.reducer.candidate import Candidate
from diptych.reducer.passes.attributes import drop_attributes, simplify_attributes
from diptych.reducer.passes.contents import plain_tensors, single_elements, sparse_tensors
from diptych.reducer.passes.names import lower_versions, rename, strip
from diptych.reducer.passes.nodes import (
    drop_inputs,
    drop_nodes,
    drop_outputs,
    fold_constants,
    inline_functions,
    lift_bodies,
)
from diptych.reducer.passes.shapes import drop_axes, fix_shapes, shorten_sequences, shrink_axes
from diptych.reducer.passes.types import plain_types

__all__ = ["PASSES"]

PASSES: dict[str, Callable[[Candidate], Iterable[Candidate | None]]] = {
    "strip": strip,
    "fold constants": fold_constants,
    "inline functions": inline_functions,
    "drop nodes": drop_nodes,
    "lift bodies": lift_bodies,
    "drop outputs": drop_outputs,
    "drop inputs": drop_inputs,
    "drop attributes": drop_attributes,
    "fix shapes": fix_shapes,
    "shorten sequences": shorten_sequences,
    "shrink axes": shrink_axes,
    "drop axes": drop_axes,
    "simplify attributes": simplify_attributes,
    "plain tensors": plain_tensors,
    "sparse tensors": sparse_tensors,
    "single elements": single_elements,
    "plain types": plain_types,
    "lower versions": lower_versions,
    "rename": rename,
}
