"""Where implementations read the operators that arrange elements wrongly: each test fails for the wrong reading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.traps.both import answer, answers, refusals, same

import diptych
from diptych_reference import ReferenceSession

FLOATS = np.arange(24, dtype=np.float32)


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def test_reshape_copies_zeros_infers_and_makes_scalars() -> None:
    x = FLOATS.reshape(2, 3, 4)
    assert answer("Reshape", [x, ints(0, -1)], opset=14).shape == (2, 12)
    assert answer("Reshape", [FLOATS[:1], ints()], opset=14).shape == ()
    assert answer("Reshape", [np.zeros((0, 3), np.float32), ints(3, 0)], {"allowzero": 1}, opset=14).shape == (3, 0)
    refusals("Reshape", [x, ints(0, -1)], {"allowzero": 1}, opset=14)
    refusals("Reshape", [np.zeros((0, 3), np.float32), ints(0, -1)], opset=14)  # -1 of nothing is anything


def test_unsqueeze_counts_in_the_output_and_squeeze_drops_all_ones() -> None:
    x = FLOATS[:3]
    assert answer("Unsqueeze", [x, ints(3, 0, -2)], opset=13).shape == (1, 3, 1, 1)
    assert answer("Unsqueeze", [x], {"axes": [0, 2]}, opset=11).shape == (1, 3, 1)
    assert answer("Squeeze", [x.reshape(1, 3, 1)], opset=13).shape == (3,)
    assert answer("Squeeze", [x.reshape(1, 3, 1)], {"axes": [2]}, opset=11).shape == (1, 3)
    refusals("Unsqueeze", [x, ints(0, -3)], opset=13)  # both are axis 0


def test_slice_clamps_and_goes_backwards() -> None:
    x, least = FLOATS[:5], np.iinfo(np.int64).min
    same(answer("Slice", [x, ints(1), ints(99)], opset=13), x[1:])
    same(answer("Slice", [x, ints(-1), ints(-1), ints(0), ints(-1)], opset=13), x[:0])  # end -1 is the last element
    same(answer("Slice", [x, ints(-1), ints(least), ints(0), ints(-2)], opset=13), x[::-2])
    same(answer("Slice", [x, ints(99), ints(0), ints(-1), ints(-1)], opset=13), x[:0:-1])
    same(answer("Slice", [x], {"starts": [-3], "ends": [99]}, opset=9), x[-3:])


def test_split_is_uneven_only_with_num_outputs() -> None:
    x = FLOATS[:7]
    parts = answers("Split", [x], {"num_outputs": 3}, opset=18, n_outputs=3)
    assert [len(part) for part in parts] == [3, 3, 1]
    refusals("Split", [x[:6], ints(2, 5)], opset=13)
    assert [len(p) for p in answers("Split", [x], {"split": [0, 7]}, opset=11, n_outputs=2)] == [0, 7]


def test_expand_keeps_dimensions_where_the_target_has_one() -> None:
    x = FLOATS[:3].reshape(3, 1)
    assert answer("Expand", [x, ints(2, 1, 4)], opset=13).shape == (2, 3, 4)
    assert answer("Expand", [x, ints(1)], opset=13).shape == (3, 1)
    refusals("Expand", [x, ints(2, 1)], opset=13)


def test_pad_crops_first_and_takes_any_constant() -> None:
    x = FLOATS[:5]
    seven = np.array(7, np.float32)
    same(answer("Pad", [x, ints(-1, 2), seven], opset=13), [1, 2, 3, 4, 7, 7])
    same(answer("Pad", [x, ints(-2, 2)], {"mode": "reflect"}, opset=13), [2, 3, 4, 3, 2])  # not from what was cut
    same(answer("Pad", [x, ints(-2, 2)], {"mode": "edge"}, opset=13), [2, 3, 4, 4, 4])
    same(answer("Pad", [x, ints(-2, 2)], {"mode": "wrap"}, opset=19), [2, 3, 4, 2, 3])
    y = answer("Pad", [FLOATS[:6].reshape(2, 3), ints(1, 0), None, ints(-1)], opset=18)
    same(y, [[0, 0, 1, 2], [0, 3, 4, 5]])
    words = np.array(["a"], dtype=object)
    assert answer("Pad", [words, ints(1, 1), np.array("-", dtype=object)], opset=18).tolist() == ["-", "a", "-"]
    same(answer("Pad", [np.array([False]), ints(1, 0), np.array(True)], opset=18), [True, False])


def test_concat_takes_empty_tensors() -> None:
    empty = np.zeros((2, 0), np.float32)
    x = FLOATS[:4].reshape(2, 2)
    same(answer("Concat", [empty, x, empty], {"axis": -1}, opset=13), x)
    refusals("Concat", [np.zeros((3, 0), np.float32), x], {"axis": 1}, opset=13)


def test_attributes_became_inputs() -> None:
    x = FLOATS[:6].reshape(1, 2, 3)
    refusals("Squeeze", [x, ints(0)], opset=11)
    refusals("Squeeze", [x], {"axes": [0]}, opset=13)
    refusals("Unsqueeze", [x], {"axes": [0]}, opset=13)
    refusals("Pad", [x], {"pads": [0] * 6}, opset=11)
    refusals("Pad", [x, ints(*[0] * 6), None, ints(0, 1, 2)], opset=13)
    refusals("Split", [x], {"split": [1]}, opset=13)
    refusals("Slice", [x], {"starts": [0], "ends": [1]}, opset=10)
    refusals("Pad", [FLOATS, ints(1, 0)], {"mode": "wrap"}, opset=18)  # version 19's


def test_depth_to_space_modes() -> None:
    """DCR counts the places of a block first: channels 0, 1 are the depths of place 0."""
    x = np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1)
    same(answer("DepthToSpace", [x], {"blocksize": 2}, opset=13), [[[[0, 2], [4, 6]], [[1, 3], [5, 7]]]])
    crd = answer("DepthToSpace", [x], {"blocksize": 2, "mode": "CRD"}, opset=11)
    same(crd, [[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]])
    for mode in ("DCR", "CRD"):
        space = answer("DepthToSpace", [x], {"blocksize": 2, "mode": mode}, opset=28)
        same(answer("SpaceToDepth", [space], {"blocksize": 2, "mode": mode}, opset=28), x)


def test_newer_attributes_are_refused_by_older_versions() -> None:
    x = np.zeros((1, 4, 2, 2), np.float32)
    refusals("SpaceToDepth", [x], {"blocksize": 2, "mode": "CRD"}, opset=27)
    refusals("DepthToSpace", [x], {"blocksize": 2, "mode": "CRD"}, opset=10)
    refusals("SpaceToDepth", [x], {"blocksize": 2, "mode": "RCD"}, opset=28)


@pytest.mark.parametrize("attributes", [{"blocksize": 0}, {"blocksize": -2}, {"blocksize": 3}, {"blocksize": 2**32}])
def test_blocks_must_fit(attributes: dict[str, int]) -> None:
    refusals("DepthToSpace", [np.zeros((1, 4, 2, 2), np.float32)], attributes, opset=13)
    refusals("SpaceToDepth", [np.zeros((1, 4, 2, 2), np.float32)], attributes, opset=13)


def test_blocks_of_strings() -> None:
    x = np.array(["a", "b", "c", "d"], dtype=object)
    assert (
        answer("SpaceToDepth", [x.reshape(1, 1, 2, 2)], {"blocksize": 2}, opset=13).reshape(-1).tolist() == x.tolist()
    )


def test_center_crop_pad_puts_the_odd_one_after() -> None:
    x = FLOATS[:4]
    same(answer("CenterCropPad", [x, ints(1)], opset=18), x[1:2])  # 3 too many: 1 before
    same(answer("CenterCropPad", [x, ints(7)], opset=18), [0, 0, 1, 2, 3, 0, 0])
    y = answer("CenterCropPad", [FLOATS[:6].reshape(2, 3), ints(3)], {"axes": [-2]}, opset=18)
    same(y, [[0, 1, 2], [3, 4, 5], [0, 0, 0]])
    words = np.array(["a"], dtype=object)
    assert answer("CenterCropPad", [words, ints(2)], opset=18).tolist() == ["a", ""]
    refusals("CenterCropPad", [FLOATS[:6].reshape(2, 3), ints(3, 3)], {"axes": [1, -1]}, opset=18)


def test_trilu_diagonals() -> None:
    x = FLOATS[:6].reshape(2, 3) + 1
    same(answer("Trilu", [x], opset=14), np.triu(x))
    for k in (-9, -2, -1, 0, 1, 2, 9, 2**62, -(2**63), 2**63 - 1):
        near = max(min(k, 5), -5)
        same(answer("Trilu", [x, np.array(k)], opset=14), np.triu(x, near))
        same(answer("Trilu", [x, ints(k)], {"upper": 0}, opset=14), np.tril(x, near))


def test_reverse_sequence_needs_the_first_two_axes() -> None:
    x = FLOATS[:6].reshape(2, 3)
    same(answer("ReverseSequence", [x, ints(2, 0, 1)], opset=10), [[3, 1, 2], [0, 4, 5]])
    turned = answer("ReverseSequence", [x, ints(3, 2)], {"batch_axis": 0, "time_axis": 1}, opset=10)
    same(turned, [[2, 1, 0], [4, 3, 5]])
    refusals("ReverseSequence", [x, ints(2, 0, 3)], opset=10)
    refusals("ReverseSequence", [x, ints(2, 0, -1)], opset=10)
    refusals("ReverseSequence", [x, ints(1, 1)], {"batch_axis": 0, "time_axis": 0}, opset=10)


CASES = [
    ("Reshape", [FLOATS, ints(4, -1)], {}),
    ("Slice", [FLOATS, ints(1), ints(-1), ints(0), ints(2)], {}),
    ("Pad", [FLOATS, ints(1, 2), np.array(3, np.float32), ints(0)], {}),
    ("Unsqueeze", [FLOATS, ints(1)], {}),
    ("Squeeze", [FLOATS[None], ints(0)], {}),
    ("Expand", [FLOATS, ints(2, 24)], {}),
    ("Tile", [FLOATS, ints(2)], {}),
    ("CenterCropPad", [FLOATS, ints(30)], {}),
    ("Trilu", [FLOATS.reshape(4, 6), np.array(1)], {}),
    ("OneHot", [ints(1, 0, 5), np.array(3), np.array([0.5, 2.5], np.float32)], {}),
    ("Compress", [FLOATS, np.arange(20) % 3 == 0], {}),
]


@pytest.mark.parametrize(("op_type", "inputs", "attributes"), CASES, ids=[case[0] for case in CASES])
def test_parameters_come_at_run_time(op_type: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    """As inputs of the graph, and as the outputs of nodes: not only as constants."""
    names = [f"x{i}" for i in range(len(inputs))]
    copies = [helper.make_node("Identity", [name], [f"c{name}"]) for name in names]
    node = helper.make_node(op_type, [f"c{name}" for name in names], ["y"], **attributes)
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim)
        for name, value in zip(names, inputs, strict=True)
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([*copies, node], "g", declared, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    feeds = dict(zip(names, inputs, strict=True))
    [expected] = ReferenceSession(model).run(None, feeds)
    [actual] = diptych.InferenceSession(model.SerializeToString()).run(None, feeds)
    same(actual, expected)
    same(expected, answer(op_type, inputs, attributes, opset=18))
