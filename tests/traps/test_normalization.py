"""Normalizations: the stash type, groups and channels, training, absent outputs, epsilons."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.traps.both import answer, answers, refusals, same

import diptych
import diptych_reference


def both_run(node: Any, feeds: dict[str, Any], outputs: list[str]) -> list[Any]:
    """The outputs of a model of one node, equal on both panels."""
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), None) for n, v in feeds.items()
    ]
    graph = helper.make_graph([node], "g", inputs, [helper.make_empty_tensor_value_info(name) for name in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10).SerializeToString()
    left = diptych_reference.ReferenceSession(model).run(None, feeds)
    right = diptych.InferenceSession(model).run(None, feeds)
    for expected, actual in zip(left, right, strict=True):
        same(np.asarray(actual), np.asarray(expected))
    return list(right)


def test_stash_type_keeps_float16_from_overflow() -> None:
    """Squares of 1000 are not float16 numbers; statistics have the stash type."""
    x = np.array([[1000, -1000, 1000, -1000]], np.float16)
    ones = np.ones(4, np.float16)
    y, mean, inverse = answers("LayerNormalization", [x, ones], opset=17, n_outputs=3)
    same(y, [[1, -1, 1, -1]])
    assert (mean.dtype, inverse.dtype) == (np.float32, np.float32)
    assert float(inverse[0, 0]) == pytest.approx(1e-3)
    same(answer("RMSNormalization", [x, ones], opset=23), [[1, -1, 1, -1]])
    grouped = {"num_groups": 1}
    same(answer("GroupNormalization", [x, ones, 0 * ones], grouped, opset=21), [[1, -1, 1, -1]])
    same(answer("GroupNormalization", [x, ones[:1], 0 * ones[:1]], grouped, opset=18), [[1, -1, 1, -1]])


def normalized(x: Any) -> Any:
    """What the first stage gives, in binary64, for numbers whose statistics are exact."""
    wide = x.astype(np.float64)
    return (wide - wide.mean()) / np.sqrt(wide.var())


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_the_normalized_number_is_rounded_before_scale_and_bias(dtype: Any) -> None:
    """Stage two is in the type of X and rounds after each operation; version 18 of GroupNormalization rounds once."""
    x = np.array([[1, 2, 3, 5, 7, 11, 13, 17]], np.float32).astype(dtype)
    scale, bias = np.full(8, 1.7).astype(dtype), np.full(8, -0.6).astype(dtype)
    h = normalized(x).astype(np.float32)
    staged = ((h.astype(dtype) * scale).astype(dtype) + bias).astype(dtype)
    once = (h.astype(np.float64) * scale.astype(np.float64) + bias.astype(np.float64)).astype(np.float32).astype(dtype)
    assert (staged != once).any()
    zero = {"epsilon": 0.0}
    same_numbers(answer("LayerNormalization", [x, scale, bias], zero, opset=17), staged)
    same_numbers(answer("GroupNormalization", [x, scale, bias], {"num_groups": 1, **zero}, opset=21), staged)
    parameters = [scale[:1], bias[:1]]
    same_numbers(answer("GroupNormalization", [x, *parameters], {"num_groups": 1, **zero}, opset=18), once)
    same_numbers(answer("InstanceNormalization", [x[None], *parameters], zero, opset=22)[0], once)
    root = np.sqrt(np.mean(np.square(x.astype(np.float64))))
    staged = ((x.astype(np.float64) / root).astype(np.float32).astype(dtype) * scale).astype(dtype)
    same_numbers(answer("RMSNormalization", [x, scale], zero, opset=23), staged)


def same_numbers(actual: Any, expected: Any) -> None:
    assert actual.dtype == expected.dtype
    assert np.array_equal(actual.astype(np.float32), expected.astype(np.float32)), (actual, expected)


def test_double_in_the_default_stash_type_is_rounded_to_float() -> None:
    x = np.array([[1, 1 + 2.0**-30]])
    ones = np.ones(2)
    for op_type, opset in (("LayerNormalization", 17), ("RMSNormalization", 23)):
        y = answer(op_type, [x, ones], opset=opset)
        assert y.dtype == np.float64
        assert y[0, 0] == y[0, 1]
        wide = answer(op_type, [x, ones], {"stash_type": TensorProto.DOUBLE, "epsilon": 0.0}, opset=opset)
        assert wide[0, 0] != wide[0, 1]


@pytest.mark.parametrize("stash", [TensorProto.INT64, TensorProto.STRING, 99])
def test_a_stash_type_is_a_float(stash: int) -> None:
    x = np.ones((1, 2), np.float32)
    refusals("RMSNormalization", [x, x[0]], {"stash_type": stash}, opset=23)
    refusals("GroupNormalization", [x, x[0], x[0]], {"stash_type": stash, "num_groups": 1}, opset=21)


def test_rms_normalization_gives_the_type_of_the_scale() -> None:
    """The normalized number has been rounded to the type of X; then it converts."""
    x = np.array([[1, 2, 3]], np.float16)
    y = answer("RMSNormalization", [x, np.ones(3, np.float32)], opset=23)
    same(y, answer("RMSNormalization", [x, np.ones(3, np.float16)], opset=23).astype(np.float32), np.float32)
    refusals("RMSNormalization", [x, np.ones((2, 3), np.float16)], opset=23)  # would make Y greater than X


def test_groups_have_parameters_in_18_and_channels_have_them_in_21() -> None:
    x = np.array([-1, 1] * 4, np.float32).reshape(1, 4, 2)
    two, four = np.array([1, 2], np.float32), np.array([1, 2, 3, 4], np.float32)
    attributes = {"num_groups": 2, "epsilon": 0.0}
    same(answer("GroupNormalization", [x, two, two], attributes, opset=18), [[[0, 2], [0, 2], [0, 4], [0, 4]]])
    same(answer("GroupNormalization", [x, four, four], attributes, opset=21), [[[0, 2], [0, 4], [0, 6], [0, 8]]])
    refusals("GroupNormalization", [x, four, four], attributes, opset=18)
    refusals("GroupNormalization", [x, two, two], attributes, opset=21)
    for groups in (0, -1, 3):
        refusals("GroupNormalization", [x, four, four], {"num_groups": groups}, opset=21)


def test_instance_normalization_is_over_one_channel_of_one_instance() -> None:
    x = np.array([[[1, 3], [10, 30]], [[5, 7], [2, 4]]], np.float32)
    y = answer("InstanceNormalization", [x, np.ones(2, np.float32), np.zeros(2, np.float32)], {"epsilon": 0.0}, opset=6)
    same(y, np.tile(np.float32([-1, 1]), (2, 2, 1)))


def test_instance_normalization_of_rank_2_gives_the_bias() -> None:
    x, scale, bias = np.array([[4, 5]], np.float32), np.ones(2, np.float32), np.array([7, 8], np.float32)
    same(answer("InstanceNormalization", [x, scale, bias], opset=6), [[7, 8]])


def test_batch_normalization_trains_on_population_variance() -> None:
    """running = input * momentum + batch * (1 - momentum); in inference Y is the only output."""
    x = np.array([[1, 3]], np.float32).T  # [2, 1]: one channel, mean 2, population variance 1 (sample variance 2)
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    y, mean, variance = answers(
        "BatchNormalization",
        [x, one, zero, 10 * one, 5 * one],
        {"training_mode": 1, "momentum": 0.75, "epsilon": 0.0},
        opset=15,
        n_outputs=3,
    )
    same(y, [[-1], [1]])
    same(mean, [8])
    same(variance, [4])
    inference = answers("BatchNormalization", [x, one, zero, one, one], {"epsilon": 0.0}, opset=15)
    same(inference[0], [[0], [2]])


def test_mean_variance_normalization_has_the_epsilon_of_its_body() -> None:
    """Numbers that are all alike give 0, not NaN."""
    same(answer("MeanVarianceNormalization", [np.full((1, 1, 2, 2), 2, np.float32)], opset=13), np.zeros((1, 1, 2, 2)))
    x = np.array([[1, 3]], np.float32)
    same(answer("MeanVarianceNormalization", [x], {"axes": []}, opset=13), [[-1, 1]])
    same(answer("MeanVarianceNormalization", [x], {"axes": [-1]}, opset=13), [[-1, 1]])
    refusals("MeanVarianceNormalization", [x], opset=13)  # the default axes are those of images


def test_lp_normalization_takes_absolute_values_and_zeros() -> None:
    same(answer("LpNormalization", [np.array([-1, 2, -1], np.float32)], {"p": 1}, opset=22), [-0.25, 0.5, -0.25])
    same(answer("LpNormalization", [np.array([3, -4], np.float64)], opset=22), [3 / 5, -4 / 5])
    same(answer("LpNormalization", [np.array([0, -0.0], np.float32)], opset=22), [0, 0])
    same(answer("LpNormalization", [np.array([math.nan, 1], np.float32)], opset=22), [math.nan, math.nan])
    refusals("LpNormalization", [np.ones(2, np.float32)], {"p": 3}, opset=22)


def test_absent_outputs_shift_nothing() -> None:
    """An output without a name is neither computed nor returned; the ones after it keep their places."""
    x, ones = np.array([[1, 3]], np.float32), np.ones(2, np.float32)
    node = helper.make_node("LayerNormalization", ["x", "s"], ["", "", "inverse"], epsilon=0.0)
    [inverse] = both_run(node, {"x": x, "s": ones}, ["inverse"])
    same(inverse, [[1]])
    node = helper.make_node("SoftmaxCrossEntropyLoss", ["x", "t"], ["", "log_prob"])
    [log_prob] = both_run(node, {"x": 0 * x, "t": np.array([1])}, ["log_prob"])
    assert np.allclose(log_prob, -math.log(2))
    node = helper.make_node("Dropout", ["x"], ["", "mask"])
    [mask] = both_run(node, {"x": x}, ["mask"])
    same(mask, [[True, True]])
    same(answers("Dropout", [x], opset=13, n_outputs=1)[0], x)  # inference: the identity


# com.microsoft


def refused(op_type: str, inputs: list[Any], attributes: dict[str, Any] | None = None) -> None:
    """Both panels say that a shape is wrong."""
    left, right = refusals(op_type, inputs, attributes, opset=1, domain="com.microsoft")
    assert isinstance(left, diptych_reference.ShapeError)
    assert isinstance(right, diptych.ShapeError)


@pytest.mark.parametrize(
    ("x", "skip"),
    [
        ((4, 3, 8), (2, 3, 8)),
        ((2, 3, 8), (4, 3, 8)),
        ((2, 3, 8), (1, 1, 8)),
        ((2, 3, 8), (8,)),
        ((6, 8), (3, 8)),
        ((6, 8), (1, 6, 8)),
        ((1, 2, 3, 8), (1, 2, 3, 8)),
        ((8,), (8,)),
    ],
)
def test_skip_fits_the_input(x: tuple[int, ...], skip: tuple[int, ...]) -> None:
    """One skip may serve all of the batch; nothing else broadcasts, and batches are not begun again."""
    for op_type in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"):
        refused(op_type, [np.ones(x, np.float32), np.ones(skip, np.float32), np.ones(8, np.float32)])


@pytest.mark.parametrize("place", [2, 3, 4])
@pytest.mark.parametrize("shape", [(1,), (1, 8), ()])
def test_parameters_have_one_number_a_place(place: int, shape: tuple[int, ...]) -> None:
    inputs = [np.ones((2, 3, 8), np.float32)] * 2 + [np.ones(8, np.float32)] * 3
    inputs[place] = np.ones(shape, np.float32)
    refused("SkipLayerNormalization", inputs)
    if place < 4:
        refused("SkipSimplifiedLayerNormalization", inputs[:4])


def test_the_fourth_input_of_the_simplified_one_is_the_bias() -> None:
    x, bias = np.zeros((1, 2), np.float32), np.array([3, 3], np.float32)
    ones = np.ones(2, np.float32)
    y, mean, inverse, total = answers(
        "SkipSimplifiedLayerNormalization",
        [x, x, ones, bias],
        {"epsilon": 0.0},
        opset=1,
        domain="com.microsoft",
        n_outputs=4,
    )
    same(y, [[1, 1]])
    same(mean, [[0]])
    same(inverse, [[1 / np.float32(3)]])
    same(total, [[3, 3]])


def test_epsilon_is_small_by_default() -> None:
    """1e-12, not LayerNormalization's 1e-5."""
    x, ones = np.array([[1e-4, -1e-4]], np.float32), np.ones(2, np.float32)
    how: dict[str, Any] = {"opset": 1, "domain": "com.microsoft"}
    for op_type in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"):
        y = answer(op_type, [x, 0 * x, ones], **how)
        assert abs(y[0, 0] - 1) < 1e-3
    tables = [np.concatenate([x, x]), 0 * x]
    ids = np.zeros((1, 1), np.int32)
    y = answer("EmbedLayerNormalization", [ids, None, *tables, None, ones, 0 * ones], **how)
    assert abs(y[0, 0, 0] - 1) < 1e-3


def test_the_sum_is_rounded_before_it_is_normalized() -> None:
    """In float16 1 + 2^-11 is 1, so that all are equal, and bias comes after skip."""
    x, tiny = np.ones((1, 4), np.float16), np.array([[2**-11, 0, 2**-11, 0]], np.float16)
    ones = np.ones(4, np.float16)
    y, _, _, total = answers(
        "SkipLayerNormalization",
        [x, tiny, ones, None, tiny[0]],
        opset=1,
        domain="com.microsoft",
        n_outputs=4,
    )
    same(total, x)
    same(y, 0 * x)


def test_simplified_layer_normalization_has_the_stash_type() -> None:
    x, ones = np.array([[1 + 2**-40, 1]], np.float64), np.ones(2, np.float64)
    for stash, dtype in ((TensorProto.FLOAT, np.float32), (TensorProto.DOUBLE, np.float64)):
        y, inverse = answers(
            "SimplifiedLayerNormalization", [x, ones], {"stash_type": stash, "epsilon": 0.0}, opset=1, n_outputs=2
        )
        assert inverse.dtype == dtype
        assert (y[0, 0] == y[0, 1]) == (dtype == np.float32)
    for stash in (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT32):
        refusals("SimplifiedLayerNormalization", [x, ones], {"stash_type": stash}, opset=1)


def embedded(**changes: Any) -> list[Any]:
    """Inputs of an EmbedLayerNormalization of two sequences."""
    inputs = {
        "input_ids": np.array([[0, 1, 2], [2, 1, 0]], np.int32),
        "segment_ids": np.array([[0, 1, 0], [1, 1, 0]], np.int32),
        "word": np.arange(12, dtype=np.float32).reshape(3, 4),
        "position": np.ones((3, 4), np.float32),
        "segment": np.array([[1, 2, 3, 4], [100, 200, 300, 400]], np.float32),
        "gamma": np.ones(4, np.float32),
        "beta": np.zeros(4, np.float32),
        "mask": np.array([[0, 1, 1], [1, 2, 0]], np.int32),
        "position_ids": None,
    }
    return list({**inputs, **changes}.values())


def embedding(**changes: Any) -> list[Any]:
    attributes = changes.pop("attributes", {})
    return answers(
        "EmbedLayerNormalization", embedded(**changes), attributes, opset=1, domain="com.microsoft", n_outputs=3
    )


def test_embeddings_are_added_up() -> None:
    words, positions, segments = embedded()[2:5]
    ids, segment_ids = embedded()[:2]
    _, index, total = embedding()
    same(total, words[ids] + positions[:3] + segments[segment_ids])
    for kind in ({}, {"mask_index_type": 0}, {"mask_index_type": 1}, {"mask_index_type": 2}):
        same(embedding(attributes=kind)[1], np.array([2, 1], np.int32))  # ones, wherever they are
    same(embedding(mask=None)[1], np.array([0, 0], np.int32))
    same(embedding(segment_ids=None)[2], words[ids] + positions[:3] + segments[0])
    same(embedding(segment_ids=None, segment=None)[2], words[ids] + positions[:3])
    rows = np.arange(12, dtype=np.float32).reshape(3, 4) / 8
    backwards = np.array([[2, 1, 0]], np.int32)
    same(embedding(position=rows, position_ids=backwards)[2], words[ids] + rows[::-1] + segments[segment_ids])
    assert index.dtype == np.int32


@pytest.mark.parametrize(
    "changes",
    [
        {"input_ids": np.array([[0, -1, 2], [2, 1, 0]], np.int32)},
        {"input_ids": np.array([[0, 3, 2], [2, 1, 0]], np.int32)},
        {"segment_ids": np.array([[0, 2, 0], [1, 1, 0]], np.int32)},
        {"position_ids": np.array([[0, -1, 2]], np.int32)},
        {"position_ids": np.array([[0, 3, 2]], np.int32)},
        {"position": np.ones((2, 4), np.float32)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_embeddings_that_are_not_in_the_table(changes: dict[str, Any]) -> None:
    left, right = refusals("EmbedLayerNormalization", embedded(**changes), opset=1, domain="com.microsoft")
    assert isinstance(left, diptych_reference.InvalidInputError)
    assert isinstance(right, diptych.InvalidInputError)


@pytest.mark.parametrize(
    "changes",
    [
        {"segment": None},
        {"segment_ids": np.zeros((1, 3), np.int32)},
        {"mask": np.zeros((2, 2), np.int32)},
        {"position_ids": np.zeros((3, 3), np.int32)},
        {"position_ids": np.zeros(3, np.int32)},
        {"position": np.ones((3, 5), np.float32)},
        {"beta": np.zeros(1, np.float32)},
        {"input_ids": np.zeros(3, np.int32), "segment_ids": np.zeros(3, np.int32), "mask": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_embeddings_that_do_not_fit(changes: dict[str, Any]) -> None:
    refused("EmbedLayerNormalization", embedded(**changes))
