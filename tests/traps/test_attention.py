"""Attention, whose text ONNX 1.23 re-worded in place, and its kin: what the wrong reading would get wrong."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.traps.both import answer, answers, refusals, same

import diptych
import diptych_reference
from diptych.testing import Case, difference, on_engine, on_reference
from diptych.testing.families.attention import modifier

F32 = np.float32
VERSIONS = (23, 24, 25)


def uniform(rows: int, keys: int, heads: int = 1) -> list[Any]:
    """Queries of zeros, so that all keys that take part count the same; the values are 1, 2, 4, … for each key."""
    v = np.broadcast_to(2.0 ** np.arange(keys), (1, heads, keys))[..., None].astype(F32)
    return [np.zeros((1, heads, rows, 2), F32), np.ones((1, heads, keys, 2), F32), v]


def attended(y: Any) -> list[list[int]]:
    """The keys that each query attended, read off from means of different powers of two."""
    found = []
    for value in np.asarray(y, np.float64)[0, 0, :, 0]:
        fits = [keys for keys in range(1, 1 << 8) if abs(value - keys / bin(keys).count("1")) < 1e-5 * value]
        found.append([j for j in range(8) if fits[0] >> j & 1] if fits else [])
    return found


# The causal mask is bottom-right aligned


@pytest.mark.parametrize("opset", VERSIONS)
def test_causal_without_a_cache_is_lower_triangular(opset: int) -> None:
    y = answer("Attention", uniform(2, 4), {"is_causal": 1}, opset=opset)
    assert attended(y) == [[0], [0, 1]]


@pytest.mark.parametrize("opset", VERSIONS)
def test_causal_starts_after_the_past(opset: int) -> None:
    q, k, v = uniform(2, 5)
    inputs = [q, k[:, :, 3:], v[:, :, 3:], None, k[:, :, :3], v[:, :, :3]]
    y, present_key, present_value = answers("Attention", inputs, {"is_causal": 1}, opset=opset, n_outputs=3)
    assert attended(y) == [[0, 1, 2, 3], [0, 1, 2, 3, 4]]
    same(present_key, k)
    same(present_value, v)


@pytest.mark.parametrize("opset", VERSIONS[1:])
def test_causal_ends_with_the_keys_of_a_cache_outside(opset: int) -> None:
    q, k, v = uniform(2, 6)
    inputs = [np.repeat(x, 3, axis=0) for x in (q, k, v)]
    lengths = np.array([4, 1, 6])
    y = answer("Attention", [*inputs, None, None, None, lengths], {"is_causal": 1}, opset=opset)
    assert attended(y[:1]) == [[0, 1, 2], [0, 1, 2, 3]]
    same(y[1, 0, :, 0], [0.0, 1.0])  # the offset is -1: the first query has no key, and gives 0
    assert attended(y[2:]) == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5]]


# A row without keys is 0, not NaN


@pytest.mark.parametrize("opset", VERSIONS)
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_fully_masked_row_is_zero(opset: int, kind: str) -> None:
    mask: Any = np.array([[True, False], [False, False]])
    if kind == "float":
        mask = np.where(mask, F32(0), F32(-np.inf))
    inputs = [*uniform(2, 2), mask]
    y, _, _, p = answers("Attention", inputs, {"qk_matmul_output_mode": 3}, opset=opset, n_outputs=4)
    same(y[0, 0, :, 0], [1.0, 0.0])
    same(p[0, 0], [[1.0, 0.0], [0.0, 0.0]])


# Excluded keys have no influence


@pytest.mark.parametrize("kind", ["bool", "float", "causal", "window", "padding"])
def test_what_is_excluded_may_be_anything(kind: str) -> None:
    """The ruling: NaN and infinities of keys and values that take no part do not reach the result."""
    q, k, v = uniform(1, 4)
    k[0, 0, 2:], v[0, 0, 2:] = np.nan, np.inf
    inputs: list[Any] = [q, k, v]
    attributes: dict[str, Any] = {}
    if kind == "bool":
        inputs.append(np.array([[True, True, False, False]]))
    elif kind == "float":
        inputs.append(np.array([[0, 0, -np.inf, -np.inf]], F32))
    elif kind == "causal":
        inputs = [np.zeros((1, 1, 2, 2), F32), k, v]
        attributes["is_causal"] = 1
    elif kind == "window":
        attributes["right_window_size"] = 1
    else:
        inputs += [None, None, None, np.array([2])]
    y, _, _, p = answers("Attention", inputs, {**attributes, "qk_matmul_output_mode": 3}, opset=25, n_outputs=4)
    assert attended(y)[-1] == [0, 1]
    same(p[0, 0, -1], [0.5, 0.5, 0, 0])


def test_a_value_that_takes_part_with_probability_0_counts() -> None:
    """Its probability underflows: 0 times infinity is NaN, unlike for a key that is excluded."""
    q, k = np.array([[[[1.0]]]], F32), np.array([[[[0.0], [-2e4]]]], F32)
    v = np.array([[[[1.0], [np.inf]]]], F32)
    assert np.isnan(answer("Attention", [q, k, v], {"scale": 1.0}, opset=25)).all()


# Softcap comes before the mask; the modes of the fourth output


def test_softcap_before_the_mask() -> None:
    """Of the other order tanh would make -softcap of -inf, and the masked key would count."""
    inputs = [*uniform(1, 3), np.array([[True, False, True]])]
    assert attended(answer("Attention", inputs, {"softcap": 2.0}, opset=25)) == [[0, 2]]


@pytest.mark.parametrize("opset", VERSIONS)
def test_modes_of_the_scores(opset: int) -> None:
    """0: the product; 1: capped, before the mask; 2: capped and masked; 3: probabilities."""
    q, k, v = np.array([[[[2.0]]]], F32), np.array([[[[1.0], [3.0]]]], F32), np.ones((1, 1, 2, 1), F32)
    mask = np.array([[0.5, -np.inf]], F32)
    stages = [
        answers(
            "Attention",
            [q, k, v, mask],
            {"scale": 1.0, "softcap": 4.0, "qk_matmul_output_mode": mode},
            opset=opset,
            n_outputs=4,
        )[3]
        for mode in range(4)
    ]
    capped = 4 * np.tanh(np.array([2.0, 6.0]) / 4)
    same(stages[0], [[[[2.0, 6.0]]]])
    np.testing.assert_allclose(stages[1][0, 0, 0], capped, rtol=1e-6)
    np.testing.assert_allclose(stages[2][0, 0, 0], [capped[0] + 0.5, -np.inf], rtol=1e-6)
    same(stages[3], [[[[1.0, 0.0]]]])


def test_a_mode_that_does_not_exist_is_refused() -> None:
    refusals("Attention", uniform(1, 1), {"qk_matmul_output_mode": 4}, opset=25)


# Masks that are short, that broadcast, that are numbers of other types


def test_short_masks() -> None:
    inputs = uniform(1, 4)
    for opset in (24, 25):
        for mask in (np.array([[True, True]]), np.zeros((1, 2), F32)):
            assert attended(answer("Attention", [*inputs, mask], opset=opset)) == [[0, 1]]
    refusals("Attention", [*inputs, np.array([[True, True]])], opset=23)
    refusals("Attention", [*inputs, np.ones((1, 5), bool)], opset=25)


def test_a_mask_of_length_1() -> None:
    inputs = [*uniform(2, 3), np.array([[True], [False]])]
    assert attended(answer("Attention", inputs, opset=23)) == [[0, 1, 2], []]
    assert attended(answer("Attention", inputs, opset=25)) == [[0], []]


def test_masks_of_three_axes_have_heads_first() -> None:
    inputs = [*uniform(1, 2, heads=2), np.array([[[True, False]], [[False, True]]])]
    same(answer("Attention", inputs, opset=25)[0, :, 0, 0], [1.0, 2.0])


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float64", "float16"])
def test_masks_of_other_types_are_added(dtype: str) -> None:
    mask = np.array([[0, 3]], dtype)
    p = answers("Attention", [*uniform(1, 2), mask], {"qk_matmul_output_mode": 2}, opset=25, n_outputs=4)[3]
    same(p, [[[[0.0, 3.0]]]])


# Windows


def test_windows() -> None:
    y = answer("Attention", uniform(4, 6), {"left_window_size": 2, "right_window_size": 1}, opset=25)
    assert attended(y) == [[0, 1], [0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4]]
    y = answer("Attention", uniform(3, 3), {"left_window_size": 1, "right_window_size": 5, "is_causal": 1}, opset=25)
    assert attended(y) == [[0], [0, 1], [1, 2]]


def test_windows_are_unknown_before_25() -> None:
    """An attribute of a later version is an error, not ignored: the result would be full attention."""
    for opset in (23, 24):
        for error in refusals("Attention", uniform(2, 2), {"left_window_size": 1}, opset=opset):
            assert "left_window_size" in str(error)
    refusals("Attention", uniform(2, 2), {"left_window_size": -2}, opset=25)


def test_the_cache_outside_is_unknown_in_23() -> None:
    refusals("Attention", [*uniform(1, 2), None, None, None, np.array([1])], opset=23)


# Heads


def test_key_heads_serve_neighbours() -> None:
    """Query heads 0 and 1 share key head 0."""
    q, k = np.zeros((1, 4, 1, 1), F32), np.zeros((1, 2, 1, 1), F32)
    v = np.array([[[[1.0]], [[2.0]]]], F32)
    same(answer("Attention", [q, k, v], opset=25)[0, :, 0, 0], [1, 1, 2, 2])
    flat = answer(
        "Attention",
        [q.reshape(1, 1, 4), k.reshape(1, 1, 2), v.reshape(1, 1, 2)],
        {"q_num_heads": 4, "kv_num_heads": 2},
        opset=25,
    )
    same(flat, [[[1, 1, 2, 2]]])


def test_numbers_of_heads_beside_four_axes() -> None:
    inputs = uniform(1, 2, heads=2)
    expected = answer("Attention", inputs, opset=25)
    for count in (0, 2):
        same(answer("Attention", inputs, {"q_num_heads": count, "kv_num_heads": count}, opset=25), expected)
    refusals("Attention", inputs, {"q_num_heads": 1}, opset=25)
    refusals("Attention", [x[:, 0] for x in inputs], opset=25)  # and three axes need them


def test_values_of_another_type() -> None:
    q, k, v = uniform(1, 3)
    y, _, present = answers("Attention", [q, k, v.astype(np.float16)], opset=25, n_outputs=3)
    assert (y.dtype, present.dtype) == (np.dtype(F32), np.dtype(np.float16))
    same(y, answer("Attention", [q, k, v], opset=25))


def test_lengths_outside_the_cache_are_refused() -> None:
    for length in (-1, 3):
        refusals("Attention", [*uniform(1, 2), None, None, None, np.array([length])], opset=25)
    refusals("Attention", [*uniform(1, 2), None, np.ones((1, 1, 1, 2), F32)], opset=25)


# float16 and bfloat16 compute in binary32


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_types_are_rounded_once(dtype: Any) -> None:
    """1 + 2^-8 and 1 + 2^-12 can only be told from their sums if scores and results are not rounded on the way."""
    random = np.random.default_rng(3)
    q, k, v = (random.normal(size=(1, 2, 5, 16)).astype(dtype) for _ in range(3))
    y = answer("Attention", [q, k, v], opset=25)
    wide = answer("Attention", [q.astype(F32), k.astype(F32), v.astype(F32)], opset=25)
    same(y.view(np.uint16), wide.astype(dtype).view(np.uint16))


def test_softmax_precision_rounds() -> None:
    """A precision of its own rounds scores and probabilities; the type's own or a wider one does not."""
    q, k, v = uniform(1, 3)
    k[0, 0, 1] = 1e-4
    q += 1
    names = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
    p = [
        answers("Attention", [q, k, v], {"softmax_precision": n, "qk_matmul_output_mode": 3}, opset=25, n_outputs=4)[3]
        for n in names
    ]
    plain = answers("Attention", [q, k, v], {"qk_matmul_output_mode": 3}, opset=25, n_outputs=4)[3]
    same(p[0], plain)
    np.testing.assert_allclose(p[1], plain, rtol=1e-6)
    same(p[2], p[2].astype(np.float16).astype(F32))
    assert not np.array_equal(p[2], plain)
    refusals("Attention", [q, k, v], {"softmax_precision": TensorProto.INT32}, opset=25)


# The kin


def test_rotary_positions() -> None:
    x = np.arange(8, dtype=F32).reshape(1, 1, 2, 4)
    cos, sin = np.array([[1, 1], [0, 0]], F32), np.array([[0, 0], [1, 1]], F32)
    y = answer("RotaryEmbedding", [x, cos, sin, np.array([[0, 1]])], opset=23)
    same(y, [[[[0, 1, 2, 3], [-6, -7, 4, 5]]]])
    y = answer("RotaryEmbedding", [x, cos, sin, np.array([[0, 1]])], {"interleaved": 1}, opset=23)
    same(y, [[[[0, 1, 2, 3], [-5, 4, -7, 6]]]])
    y = answer(
        "RotaryEmbedding", [x, cos[:, :1], sin[:, :1], np.array([[0, 1]])], {"rotary_embedding_dim": 2}, opset=23
    )
    same(y, [[[[0, 1, 2, 3], [-5, 4, 6, 7]]]])
    for position in (-1, 2):
        refusals("RotaryEmbedding", [x, cos, sin, np.array([[0, position]])], opset=23)
    refusals("RotaryEmbedding", [x, cos, sin], opset=23)


def test_linear_attention_rules() -> None:
    one = np.ones((1, 2, 1), F32)
    heads = {"q_num_heads": 1, "kv_num_heads": 1, "scale": 1.0}
    half = np.full((1, 2, 1), np.log(0.5), F32)

    def states(rule: str, *gates: Any) -> Any:
        return answers(
            "LinearAttention", [one, one, one, None, *gates], {**heads, "update_rule": rule}, opset=27, n_outputs=2
        )

    same(states("linear")[0], [[[1], [2]]])
    same(states("delta", None, 0.5 * one)[0], [[[0.5], [0.75]]])
    np.testing.assert_allclose(states("gated", half)[0], [[[1], [1.5]]], rtol=1e-6)
    np.testing.assert_allclose(states("gated_delta", half, one)[0], [[[1], [1]]], rtol=1e-6)
    for rule, gates in (("linear", [half]), ("gated", []), ("delta", [half, one]), ("none", [])):
        refusals("LinearAttention", [one, one, one, None, *gates], {**heads, "update_rule": rule}, opset=27)


def test_flex_attention_graphs() -> None:
    """Their input has the softmax's type, float for float16; what changes type or shape is refused."""
    x = [np.ones((1, 1, 2, 2), np.float16)] * 3

    def run(graph: Any, name: str = "score_mod") -> Any:
        case = Case("FlexAttention", "ai.onnx.preview", 1, tuple(x), {name: graph}, 1)
        expected = on_reference(case)
        assert not difference(expected, on_engine(case))
        return expected

    for name in ("score_mod", "prob_mod"):
        assert run(modifier("Tanh", TensorProto.FLOAT), name).error is None
    cast = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16)],
        "cast",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, None)],
    )
    assert run(cast).error is not None
    cut = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["y"])],
        "flatten",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    assert run(cut).error is not None


def test_preview_operators_need_their_domain() -> None:
    x = np.ones((1, 1, 2, 2), F32)
    for run, error in (
        (diptych.run_operator, diptych.UnsupportedOperatorError),
        (diptych_reference.run_operator, diptych_reference.UnsupportedOperatorError),
    ):
        with pytest.raises(error):
            run("FlexAttention", [x, x, x], {}, opset=25)
