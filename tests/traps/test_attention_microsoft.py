"""The attentions of com.microsoft: where ONNX Runtime is odd, or its page silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.traps.both import answer, answers, refusals, same
from tests.traps.test_attention import attended

F32 = np.float32
HOW: dict[str, Any] = {"opset": 1, "domain": "com.microsoft"}
LEAST = float(np.finfo(F32).min)


def i32(*values: int) -> Any:
    """A vector."""
    return np.array(values, np.int32)


def uniform(rows: int, keys: int, batch: int = 1) -> list[Any]:
    """As in test_attention, of one head: queries of zeros, values 1, 2, 4, …"""
    v = np.broadcast_to(2.0 ** np.arange(keys), (batch, keys))[..., None].astype(F32)
    return [np.zeros((batch, rows, 1), F32), np.ones((batch, keys, 1), F32), v]


def seen(y: Any) -> list[list[int]]:
    """The keys that each query of the first sequence attended."""
    return attended(np.asarray(y)[:, None])


def test_keys_that_a_mask_leaves_out_stay_with_a_number_added() -> None:
    """Where all are left out, all are attended alike; with a small number they are never gone."""
    inputs = [*uniform(1, 3), None]
    assert seen(answer("MultiHeadAttention", [*inputs, i32(2)], {"num_heads": 1}, **HOW)) == [[0, 1]]
    assert seen(answer("MultiHeadAttention", [*inputs, i32(0)], {"num_heads": 1}, **HOW)) == [[0, 1, 2]]
    mask = np.array([[1, 0, 0]], np.int32)
    attributes = {"num_heads": 1, "mask_filter_value": float(np.log(0.5))}
    [_, _, _, qk] = answers("MultiHeadAttention", [*inputs, mask], attributes, n_outputs=4, **HOW)
    same(qk, [[[[0, np.log(F32(0.5)), np.log(F32(0.5))]]]])
    # A flag counts where it is above 0.
    mask = np.array([[2, -1, 1]], np.int32)
    assert seen(answer("MultiHeadAttention", [*inputs, mask], {"num_heads": 1}, **HOW)) == [[0, 2]]


def test_what_comes_later_takes_no_part_whatever_is_added() -> None:
    """All keys up to the query are masked with the least number: they are attended, later ones are not."""
    inputs = [*uniform(3, 3), None, i32(0)]
    attributes = {"num_heads": 1, "unidirectional": 1, "mask_filter_value": LEAST}
    y, _, _, qk = answers("MultiHeadAttention", inputs, attributes, n_outputs=4, **HOW)
    assert seen(y) == [[0], [0, 1], [0, 1, 2]]
    same(qk[0, 0, 0], [LEAST, -np.inf, -np.inf])


def test_causality_beside_other_numbers_of_keys() -> None:
    """Query i attends keys up to past + i, a single query too."""
    attributes = {"num_heads": 1, "unidirectional": 1}
    assert seen(answer("MultiHeadAttention", uniform(1, 3), attributes, **HOW)) == [[0]]
    assert seen(answer("MultiHeadAttention", uniform(2, 4), attributes, **HOW)) == [[0], [0, 1]]
    q, k, v = uniform(2, 3)
    past = [np.ones((1, 1, 1, 1), F32), np.full((1, 1, 1, 1), 16, F32)]
    y = answer("MultiHeadAttention", [q, k, v, None, None, None, *past], attributes, **HOW)
    assert np.allclose(y[0, :, 0], [17 / 2, 19 / 3], rtol=1e-6)


def test_an_infinite_bias_excludes() -> None:
    bias = np.array([[[[0, -np.inf, 0], [-np.inf, -np.inf, -np.inf]]]], F32)
    y = answer("MultiHeadAttention", [*uniform(2, 3), None, None, bias], {"num_heads": 1}, **HOW)
    assert seen(y) == [[0, 2], []]
    # Also beside a mask, whose number is added first.
    y = answer("MultiHeadAttention", [*uniform(2, 3), None, i32(1), bias], {"num_heads": 1}, **HOW)
    assert seen(y) == [[0], []]
    prompt = [*uniform(3, 3), None, None, i32(2), i32(3), None, None, None]
    bias = np.array([[[[0, 0, 0], [-np.inf, 0, 0], [-np.inf, -np.inf, -np.inf]]]], F32)
    y = answer("GroupQueryAttention", [*prompt, bias], {"num_heads": 1, "kv_num_heads": 1}, **HOW)
    assert seen(y) == [[0], [1], []]


@pytest.mark.parametrize("op_type", ["MultiHeadAttention", "GroupQueryAttention", "Attention"])
def test_scales(op_type: str) -> None:
    """0 is the default, a negative one refused."""
    x = [np.ones((1, 2, 4), F32)] * 3
    inputs = {
        "MultiHeadAttention": [x[0], x[1] * np.array([[[1], [2]]], F32), x[2]],
        "GroupQueryAttention": [*x, None, None, i32(1), i32(2)],
        "Attention": [np.ones((1, 2, 1), F32), np.ones((1, 12), F32)],
    }[op_type]
    heads = {"num_heads": 2, **({"kv_num_heads": 2} if op_type == "GroupQueryAttention" else {})}
    same(answer(op_type, inputs, {**heads, "scale": 0.0}, **HOW), answer(op_type, inputs, heads, **HOW))
    for error in refusals(op_type, inputs, {**heads, "scale": -1.0}, **HOW):
        assert "negative" in str(error)


def test_what_multi_head_attention_refuses() -> None:
    q, k, v = uniform(2, 3)
    past = [np.ones((1, 1, 2, 1), F32)] * 2
    before = [x[:, None] for x in (k, v)]
    one = {"num_heads": 1}
    refusals("MultiHeadAttention", [q, *before, None, None, None, *past], one, **HOW)
    refusals("MultiHeadAttention", [q, k, v, None, i32(-1)], one, **HOW)
    refusals("MultiHeadAttention", [q, k, v, None, np.ones((1, 3), np.int32), None, *past], one, **HOW)
    refusals("MultiHeadAttention", [q, k, v, None, None, np.zeros((1, 1, 1, 3), F32)], one, **HOW)
    refusals("MultiHeadAttention", [q, k, v, None, None, None, *past, i32(0)], one, **HOW)  # no room for three
    refusals("MultiHeadAttention", [q, k, v, None, None, None, past[0]], one, **HOW)
    refusals("MultiHeadAttention", [q, k, before[1]], one, **HOW)
    refusals("MultiHeadAttention", [q, k], one, **HOW)
    refusals("MultiHeadAttention", [q], one, **HOW)
    refusals("MultiHeadAttention", [q, k, v], {"num_heads": 0}, **HOW)
    room = [np.ones((1, 1, 9, 1), F32)] * 2
    beams = np.zeros((1, 1, 9), np.int32)
    for error in refusals("MultiHeadAttention", [q, k, v, None, None, None, *room, i32(1), beams], one, **HOW):
        assert "cache_indirection" in str(error)


def test_a_shared_buffer_keeps_what_is_behind_the_keys() -> None:
    q, k, v = uniform(1, 1)
    room = [np.array([5, 6, 7, 8], F32).reshape(1, 1, 4, 1)] * 2
    inputs = [q, k, v, None, None, None, *room, i32(2)]
    y, present_key, present_value = answers("MultiHeadAttention", inputs, {"num_heads": 1}, n_outputs=3, **HOW)
    same(present_key[0, 0, :, 0], [5, 6, 1, 8])
    same(present_value[0, 0, :, 0], [5, 6, 1, 8])
    assert y.shape == (1, 1, 1)


def test_a_bias_beside_keys_of_before_is_that_of_the_queries() -> None:
    q, k, v = uniform(1, 2)
    k = k * np.array([[[1], [3]]], F32)
    before = [x[:, None] for x in (k, v)]
    plain = answer("MultiHeadAttention", [q + F32(2), *before], {"num_heads": 1}, **HOW)
    bias = np.array([2, 50, 70], F32)
    same(answer("MultiHeadAttention", [q, *before, bias], {"num_heads": 1}, **HOW), plain)


def projected(rows: int, **inputs: Any) -> list[Any]:
    """Attention's inputs: queries and keys are 0, the values those of the input."""
    order = ("mask_index", "past", "attention_bias")
    x = (2.0 ** np.arange(rows)).reshape(1, rows, 1).astype(F32)
    weights = np.array([[0, 0, 1]], F32)
    return [x, weights, None, *(inputs.get(name) for name in order)]


def test_masks_of_the_projected_attention() -> None:
    one = {"num_heads": 1}
    assert seen(answer("Attention", projected(3, mask_index=i32(2)), one, **HOW))[0] == [0, 1]
    assert seen(answer("Attention", projected(3, mask_index=i32(3, 1)), one, **HOW))[0] == [1, 2]
    assert seen(answer("Attention", projected(3, mask_index=i32(1, 0, 3, 0, 3)), one, **HOW))[0] == [0]
    assert seen(answer("Attention", projected(3, mask_index=np.zeros((1, 1), np.int32)), one, **HOW))[0] == [0, 1, 2]
    refusals("Attention", projected(3, mask_index=i32(-1)), one, **HOW)
    refusals("Attention", projected(3, mask_index=np.ones((1, 4), np.int32)), one, **HOW)


def test_a_square_mask_begins_at_the_past() -> None:
    """Row P of the mask is the first query's; M may be more than there are keys."""
    square = np.tril(np.ones((5, 5), np.int32))[None, None]
    past = np.zeros((2, 1, 1, 1, 1), F32)
    past[1] = 4
    y = answer("Attention", projected(2, mask_index=square, past=past), {"num_heads": 1}, **HOW)
    assert np.allclose(y[0, :, 0], [5 / 2, 7 / 3], rtol=1e-6)
    refusals("Attention", projected(2, mask_index=square, past=past), {"num_heads": 1, "unidirectional": 1}, **HOW)


def test_a_past_beside_a_bias() -> None:
    past = np.zeros((2, 1, 1, 1, 1), F32)
    past[1] = 4
    bias = np.array([[[[0, -np.inf, 0], [0, 0, 0]]]], F32)
    y = answer("Attention", projected(2, past=past, attention_bias=bias), {"num_heads": 1}, **HOW)
    assert np.allclose(y[0, :, 0], [6 / 2, 7 / 3], rtol=1e-6)


def test_what_the_projected_attention_refuses() -> None:
    inputs = projected(2)
    for name in ("do_rotary", "past_present_share_buffer"):
        for error in refusals("Attention", inputs, {"num_heads": 1, name: 1}, **HOW):
            assert name in str(error)
    refusals("Attention", inputs, {"num_heads": 2}, **HOW)
    refusals("Attention", inputs, {"num_heads": 1, "qkv_hidden_sizes": [1, 1]}, **HOW)
    refusals("Attention", inputs, {"num_heads": 1, "qkv_hidden_sizes": [1, 0, 2]}, **HOW)
    refusals("Attention", inputs, {"num_heads": 1, "qkv_hidden_sizes": [1, 1, 2]}, **HOW)
    refusals("Attention", projected(2, past=np.zeros((2, 1, 2, 1, 1), F32)), {"num_heads": 1}, **HOW)


GROUP = {"num_heads": 1, "kv_num_heads": 1}


def prompt(rows: int, lasts: Any, total: int, room: int | None = None, batch: int = 1) -> list[Any]:
    """GroupQueryAttention's inputs up to total_sequence_length; the past's values are 64, 65, …"""
    past: list[Any] = [None, None]
    if room is not None:
        past = [np.ones((batch, 1, room, 1), F32), 64 + np.arange(batch * room, dtype=F32).reshape(batch, 1, room, 1)]
    return [*uniform(rows, rows, batch), *past, lasts, i32(total)]


def test_padding_of_a_prompt() -> None:
    """Its queries attend what there is; its keys stand in the cache until others take their place."""
    y, key, value = answers("GroupQueryAttention", prompt(3, i32(1), 3, 5), GROUP, n_outputs=3, **HOW)
    assert seen(y) == [[0], [0, 1], [0, 1]]
    same(key[0, 0, :, 0], [1, 1, 1, 0, 0])
    same(value[0, 0, :, 0], [1, 2, 4, 0, 0])
    [again, _, value] = answers(
        "GroupQueryAttention", [*uniform(1, 1), key, value, i32(2), i32(3)], GROUP, n_outputs=3, **HOW
    )
    same(value[0, 0, :, 0], [1, 2, 1, 0, 0])
    same(again[0, 0], [4 / 3])


def test_sequences_of_different_lengths() -> None:
    """The new key stands behind each one's own past; nothing of the past's buffer beyond is seen or kept."""
    inputs = prompt(1, i32(3, 1), 4, 6, batch=2)
    y, _, value = answers("GroupQueryAttention", inputs, GROUP, n_outputs=3, **HOW)
    same(value[:, 0, :, 0], [[64, 65, 66, 1, 0, 0], [70, 1, 0, 0, 0, 0]])
    same(y[:, 0, 0], np.array([196 / 4, 71 / 2], F32))


def test_several_queries_behind_a_past_in_a_batch() -> None:
    inputs = prompt(2, i32(3, 1), 4, 6, batch=2)
    y, _, value = answers("GroupQueryAttention", inputs, GROUP, n_outputs=3, **HOW)
    same(value[:, 0, :, 0], [[64, 65, 1, 2, 0, 0], [1, 2, 0, 0, 0, 0]])
    same(y[1, :, 0], [1, 3 / 2])


def test_windows() -> None:
    """The last so many keys, the query's own among them; 0 is none."""
    for window, keys in ((1, [[0], [1], [2]]), (2, [[0], [0, 1], [1, 2]]), (0, [[], [], []])):
        y = answer("GroupQueryAttention", prompt(3, i32(2), 3), {**GROUP, "local_window_size": window}, **HOW)
        assert seen(y) == keys
    refusals("GroupQueryAttention", prompt(3, i32(2), 3), {**GROUP, "local_window_size": 1, "causal": 0}, **HOW)
    y = answer("GroupQueryAttention", prompt(3, i32(1), 3), {**GROUP, "causal": 0}, **HOW)
    assert seen(y) == [[0, 1], [0, 1], [0, 1]]


def test_positions_of_a_prompt_are_counted_from_the_first() -> None:
    """Later ones are taken as they are."""
    cos = np.arange(1.0, 9.0, dtype=F32)[:, None]
    sin = np.zeros((8, 1), F32)
    x = np.ones((1, 2, 2), F32)
    options = {**GROUP, "do_rotary": 1}
    inputs = [x, x, x, None, None, i32(1), i32(2), cos, sin, np.array([[3, 0]])]
    _, key, _ = answers("GroupQueryAttention", inputs, options, n_outputs=3, **HOW)
    same(key[0, 0, :, 0], [4, 5])
    past = [np.zeros((1, 1, 1, 2), F32)] * 2
    inputs = [x, x, x, *past, i32(2), i32(3), cos, sin, np.array([[3, 0]])]
    _, key, _ = answers("GroupQueryAttention", inputs, options, n_outputs=3, **HOW)
    same(key[0, 0, :, 0], [0, 4, 1])
    _, key, _ = answers("GroupQueryAttention", inputs[:9], options, n_outputs=3, **HOW)
    same(key[0, 0, :, 0], [0, 2, 3])
    refusals("GroupQueryAttention", [*inputs[:9], np.array([[3, 8]])], options, **HOW)
    refusals("GroupQueryAttention", [*inputs[:9], np.array([[-1, 0]])], options, **HOW)
    refusals("GroupQueryAttention", inputs[:7], options, **HOW)


def test_scores_that_are_given() -> None:
    """+0 where a query does not attend; without a qk_output they are those that Softmax sees."""
    inputs = [*prompt(2, i32(1), 2), None, None, None, np.full((1, 1, 2, 2), 0.5, F32)]
    for qk_output, scores in ((0, [[0.5, 0], [0.5, 0.5]]), (1, [[0.5, 0], [0.5, 0.5]]), (2, [[1, 0], [0.5, 0.5]])):
        qk = answers("GroupQueryAttention", inputs, {**GROUP, "qk_output": qk_output}, n_outputs=4, **HOW)[3]
        same(qk[0, 0], scores)


def test_a_sink_takes_its_part() -> None:
    """A key without a value: it only makes the others' shares smaller; a sink of -inf is none."""
    inputs = [*prompt(1, i32(0), 1), None, None, None, None]
    same(answer("GroupQueryAttention", inputs, {**GROUP, "smooth_softmax": 1}, **HOW)[0, 0], [0.5])
    same(answer("GroupQueryAttention", [*inputs, np.zeros(1, F32)], GROUP, **HOW)[0, 0], [0.5])
    same(answer("GroupQueryAttention", [*inputs, np.full(1, -np.inf, F32)], GROUP, **HOW)[0, 0], [1])
    same(answer("GroupQueryAttention", [*inputs, np.full(1, 200, F32)], GROUP, **HOW)[0, 0], [0])


def test_what_group_query_attention_refuses() -> None:
    def refused(inputs: list[Any], **attributes: Any) -> str:
        return str(refusals("GroupQueryAttention", inputs, {**GROUP, **attributes}, **HOW)[1])

    refused(prompt(2, i32(2), 2))  # beyond the total
    refused(prompt(2, i32(-1), 2))
    refused(prompt(2, i32(1), 3))  # neither a prompt nor a past
    refused(prompt(2, i32(0), 3, 3))  # two queries, one key
    refused(prompt(1, i32(1), 9, 3))  # no room
    refused(prompt(2, i32(1, 1), 2))
    refused([*prompt(2, i32(1), 2)[:5], i32(1), i32(2, 2)])
    refused(prompt(2, i32(1), 2), num_heads=3, kv_num_heads=2)
    refused(prompt(2, i32(1), 2), qk_output=3)
    whole = [*prompt(2, i32(1), 2), *[None] * 10]
    for place, name in ((12, "k_scale"), (13, "v_scale"), (14, "q_norm_weight"), (16, "query_seqlens")):
        given = i32(2) if place == 16 else np.ones(1, F32)
        assert name in refused([*whole[:place], given])
    assert "k_quant_type" in refused(whole[:7], k_quant_type="PER_TENSOR")
    assert "sliding_window_cache" in refused(whole[:7], sliding_window_cache=1)


def test_rotary_embedding_of_microsoft() -> None:
    """scale and is_packed_batching change nothing; the caches' rows bound the positions, not their number."""
    x = np.array([[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]], F32)
    cos, sin = np.array([[0.0, 1.0]], F32), np.array([[1.0, 0.0]], F32)
    ids = np.zeros((1, 3), np.int64)
    turned = [[[-3, 2, 1, 4], [-7, 6, 5, 8], [-11, 10, 9, 12]]]
    for attributes in ({}, {"scale": 2.0}, {"is_packed_batching": 1}, {"num_heads": 1}):
        same(answer("RotaryEmbedding", [x, ids, cos, sin], attributes, **HOW), turned)
    refusals("RotaryEmbedding", [x, np.array([0]), cos, sin], **HOW)  # positions 1 and 2 are no rows
    refusals("RotaryEmbedding", [x, np.array([-1]), cos, sin], **HOW)
    refusals("RotaryEmbedding", [x, np.array([2**63 - 1]), cos, sin], **HOW)
    refusals("RotaryEmbedding", [x, ids, cos, sin], {"num_heads": 1, "rotary_embedding_dim": 2}, **HOW)  # wider caches
    refusals("RotaryEmbedding", [x, ids, cos[:, :1], sin[:, :1]], {"rotary_embedding_dim": 2}, **HOW)
    refusals("RotaryEmbedding", [x, ids, cos, sin[:, :1]], **HOW)
