"""Oracles of com.microsoft's attentions: position by position, in long double."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.attention import Steps, finite, heads, input_or_none, rotary_embedding
from diptych.testing.oracles.base import NARROW, WIDE, Expected, finfo, gamma, oracle, spacing, tiny, wide
from diptych.testing.values import Array

F32 = np.dtype(np.float32)


def rounding(x: Array, dtype: Any) -> Array:
    """What rounding to the type loses, at most."""
    return spacing(x, dtype) / 2 if np.dtype(dtype).name in NARROW else np.zeros_like(x)


def fits(dtype: Any, *computed: Array) -> bool:
    """Whether what was computed before the attention stays a finite number of the type."""
    top = float(finfo(dtype).max) / 4
    return all(float(np.max(np.abs(x), initial=0)) < top for x in computed)


def merged(expected: Expected) -> Expected:
    """[B, N, S, H] as [B, S, N * H]."""
    batch, count, rows, size = expected.exact.shape
    parts = (expected.exact, np.broadcast_to(np.asarray(expected.slack, WIDE), expected.exact.shape))
    exact, slack = (np.swapaxes(part, 1, 2).reshape(batch, rows, count * size) for part in parts)
    return Expected(exact, slack)


def reasonable(bias: Array) -> bool:
    """Whether adding it leaves something of a score."""
    numbers = bias[~np.isneginf(bias)]
    return not np.isnan(numbers).any() and float(np.max(np.abs(numbers), initial=0)) < 1e30


def masked(kept: Array, case: Case, scores: tuple[int, ...], attention_bias: Any) -> tuple[Array, Array]:
    """The bias of all scores, and the roundings of its own sum."""
    filter_value = WIDE(np.float32(case.attributes.get("mask_filter_value", -10000.0)))
    bias = np.broadcast_to(np.where(kept, WIDE(0), filter_value), scores)
    if attention_bias is None:
        return bias, np.zeros_like(bias)
    both = bias + wide(attention_bias)
    return both, np.where(np.isfinite(both), np.abs(both) * WIDE(2.0**-24), 0)


def kept_keys(mask: Any, batch: int, rows: int, past: int, keys: int) -> Array:
    """[B, 1, rows, keys], a key at a time."""
    kept = np.ones((batch, 1, rows, keys), bool)
    if mask is None or (mask.ndim == 2 and mask.shape != (batch, keys)):
        return kept
    for b, _, i, j in np.ndindex(kept.shape):
        if mask.ndim == 1:
            kept[b, 0, i, j] = j < mask[b] and (len(mask) != 2 * batch or j >= mask[batch + b])
        else:
            flag = {2: (b, j), 3: (b, i, j), 4: (b, 0, past + i, j)}[mask.ndim]
            kept[b, 0, i, j] = mask[flag] > 0
    return kept


def after(past: Any, own: Array, filled: int) -> Array:
    """Keys of the past, then own ones."""
    return own if past is None else np.concatenate([wide(past)[:, :, :filled], own], axis=2)


def attended(case: Case, steps: Steps, bias: tuple[Array, Array], past: int) -> bool:
    """Adds the bias and what causality excludes."""
    values, lost = bias
    if not steps.sound or not reasonable(values):
        return False
    if case.attributes.get("unidirectional"):
        rows, keys = steps.x.shape[2:]
        later = np.array([[j > past + i for j in range(keys)] for i in range(rows)], bool).reshape(rows, keys)
        values = np.where(later, -np.inf, values)
    steps.add(values)
    steps.error = steps.error + np.where(np.isneginf(values), 0, lost)
    return True


@oracle("MultiHeadAttention")
def multi_head_attention(case: Case) -> list[Expected | None] | None:
    """MultiHeadAttention: packed or apart, with a bias, masks and a cache."""
    if not finite(case, 0, 1, 2, 3, 6, 7):
        return None
    count, dtype = case.attributes["num_heads"], case.inputs[0].dtype
    query, key, value, bias, mask, attention_bias, past_key, past_value, filled = (
        input_or_none(case, i) for i in range(9)
    )
    given: list[Any] = [None if x is None else wide(x) for x in (query, key, value)]
    q, k, v = given
    if q.ndim == 5:
        q, k, v = (np.swapaxes(q[:, :, :, i], 1, 2) for i in range(3))
    else:
        q = heads(q, count)
        if v is None:
            k, v = (np.swapaxes(k[:, :, :, i], 1, 2) for i in range(2))
        k, v = heads(k, count), heads(v, count)
    lost = [np.zeros_like(x) for x in (q, k, v)]
    if bias is not None:
        first, parts = 0, [q, k, v]
        for i, x in enumerate(parts):
            width = count * x.shape[3]
            if i == 0 or key is None or key.ndim != 4:
                parts[i] = x + wide(bias)[first : first + width].reshape(count, 1, x.shape[3])
                lost[i] = np.abs(parts[i]) * WIDE(2.0**-24) + rounding(parts[i], dtype)
            first += width
        q, k, v = parts
    past = 0 if past_key is None else int(past_key.shape[2] if filled is None else filled.reshape(()))
    k, v = after(past_key, k, past), after(past_value, v, past)
    lost[1:] = (np.concatenate([np.zeros((*x.shape[:2], past, x.shape[3]), WIDE), x], axis=2) for x in lost[1:])
    steps = Steps(q, k, case.attributes.get("scale") or None, F32, errors=(lost[0], lost[1]))
    kept = kept_keys(mask, q.shape[0], q.shape[2], past, k.shape[2])
    if not fits(dtype, q, k, v) or not attended(case, steps, masked(kept, case, steps.x.shape, attention_bias), past):
        return None
    scores = Expected(steps.x, steps.error)
    steps.softmax(F32)
    presents: list[Expected | None] = [Expected(k, lost[1]), Expected(v, lost[2])]
    if filled is not None:
        presents = [
            Expected(
                np.concatenate([x, wide(buffer)[:, :, x.shape[2] :]], axis=2),
                np.concatenate([slack, np.zeros_like(wide(buffer)[:, :, x.shape[2] :])], axis=2),
            )
            for x, slack, buffer in ((k, lost[1], past_key), (v, lost[2], past_value))
        ]
    return [merged(steps.results(v, F32, lost[2])), *presents, scores]


@oracle("com.microsoft.Attention")
def attention(case: Case) -> list[Expected | None] | None:
    """com.microsoft.Attention: the projections first, whose errors reach the scores."""
    if not finite(case, 0, 1, 2, 4):
        return None
    count, dtype = case.attributes["num_heads"], case.inputs[0].dtype
    x, weights, bias, mask, past, attention_bias = (input_or_none(case, i) for i in range(6))
    x, weights = wide(x), wide(weights)
    projected = np.matmul(x, weights)
    slack = gamma(x.shape[2] + 2, F32) * np.matmul(np.abs(x), np.abs(weights)) + tiny(F32, x.shape[2] + 1)
    if bias is not None:
        slack = slack + (np.abs(wide(bias)) + np.abs(projected)) * WIDE(2.0**-23)
        projected = projected + wide(bias)
    slack = slack + rounding(np.abs(projected) + slack, dtype)
    sizes = case.attributes.get("qkv_hidden_sizes") or [weights.shape[1] // 3] * 3
    ends = [sizes[0], sizes[0] + sizes[1]]
    q, k, v = (heads(part, count) for part in np.split(projected, ends, axis=2))
    lost = [heads(part, count) for part in np.split(slack, ends, axis=2)]
    before = 0 if past is None else past.shape[3]
    if past is not None:
        k, v = after(past[0], k, before), after(past[1], v, before)
        none = np.zeros((*k.shape[:2], before, k.shape[3]), WIDE)
        lost[1:] = (np.concatenate([none, part], axis=2) for part in lost[1:])
    steps = Steps(q, k, case.attributes.get("scale") or None, F32, errors=(lost[0], lost[1]))
    kept = kept_keys(mask, q.shape[0], q.shape[2], before, k.shape[2])
    if not fits(dtype, q, k, v) or not attended(case, steps, masked(kept, case, steps.x.shape, attention_bias), before):
        return None
    steps.softmax(F32)
    y = merged(steps.results(v, F32, lost[2]))
    return [y, Expected(np.stack([k, v]), np.stack([lost[1], lost[2]]))] if k.shape == v.shape else [y]


@oracle("GroupQueryAttention")
def group_query_attention(case: Case) -> list[Expected | None] | None:
    """GroupQueryAttention: rotations, a shared buffer of keys and values, windows and sinks."""
    if not finite(case, 0, 1, 2, 3, 4, 7, 8, 11):
        return None
    get: Any = case.attributes.get
    dtype = case.inputs[0].dtype
    count, kv_count = get("num_heads"), get("kv_num_heads")
    query, key, value, past_key, past_value, lasts, total, cos, sin, ids, attention_bias, sink = (
        input_or_none(case, i) for i in range(12)
    )
    if key is None:
        size = query.shape[2] // (count + 2 * kv_count)
        query, key, value = np.split(query, [count * size, (count + kv_count) * size], axis=2)
    q, k, v = (heads(wide(x), n) for x, n in ((query, count), (key, kv_count), (value, kv_count)))
    (batch, _, rows, _), keys = q.shape, int(total.reshape(()))
    ends = [int(last) + 1 for last in lasts.reshape(-1)]
    starts = [0 if keys == rows else end - rows for end in ends]
    lost = [np.zeros_like(x) for x in (q, k)]
    if get("do_rotary"):
        places = np.array([[start + i for i in range(rows)] for start in starts], np.int64).reshape(batch, rows)
        if ids is not None and keys == rows and ids.size:
            places = np.array([[ids[0, 0] + i for i in range(rows)]] * batch, np.int64)
        elif ids is not None:
            places = ids
        turned = [rotated(x, cos, sin, places, bool(get("rotary_interleaved")), dtype) for x in (q, k)]
        (q, lost[0]), (k, lost[1]) = turned
    capacity = max(keys, 0 if past_key is None else past_key.shape[2])
    cache_k, cache_v, slack = (np.zeros((batch, kv_count, capacity, x.shape[3]), WIDE) for x in (k, v, k))
    for b, start in enumerate(starts):
        for cache, own, past in ((cache_k, k, past_key), (cache_v, v, past_value), (slack, lost[1], None)):
            if past is not None:
                cache[b, :, :start] = wide(past[b, :, :start])
            cache[b, :, start : start + rows] = own[b]
    steps = Steps(q, cache_k[:, :, :keys], get("scale") or None, F32, errors=(lost[0], slack[:, :, :keys]))
    bias, outside = np.zeros(steps.x.shape, WIDE), np.zeros(steps.x.shape, bool)
    if attention_bias is not None:
        bias = np.broadcast_to(wide(attention_bias), steps.x.shape)
    if not steps.sound or not reasonable(bias) or not fits(dtype, q, k):
        return None
    window = get("local_window_size", -1)
    for b, _, i, j in np.ndindex((batch, 1, rows, keys)):
        p = starts[b] + i
        outside[b, :, i, j] = j >= ends[b] or (get("causal", 1) and j > p) or (window >= 0 and j <= p - window)
    if get("softcap", 0.0) > 0:
        steps.softcap(get("softcap"))
    steps.add(np.where(outside, -np.inf, bias))
    biased = Expected(np.where(outside, 0, steps.x), steps.error)
    sinks: Any = WIDE(-np.inf)
    if sink is not None:
        sinks = wide(sink)[:, None, None]
    elif get("smooth_softmax") == 1:
        sinks = WIDE(0)
    steps.softmax(F32, sinks)
    y = merged(steps.results(cache_v[:, :, :keys], F32))
    shown = Expected(steps.p, steps.p_error) if get("qk_output") == 2 else biased
    return [y, Expected(cache_k, slack), Expected(cache_v), shown]


def rotated(x: Array, cos: Array, sin: Array, places: Array, interleaved: bool, dtype: Any) -> tuple[Array, Array]:
    """`x` [B, N, S, H] turned, and its errors, by ONNX's RotaryEmbedding."""
    if cos.shape[1] == 0:
        return x, np.zeros_like(x)
    attributes = {"interleaved": int(interleaved), "rotary_embedding_dim": 2 * cos.shape[1]}
    [expected] = rotary_embedding(Case("RotaryEmbedding", "", 23, (x, cos, sin, places), attributes, 1)) or [None]
    assert expected is not None
    slack = np.asarray(expected.slack, WIDE)
    return expected.exact, slack + rounding(np.abs(expected.exact) + slack, dtype)


@oracle("com.microsoft.RotaryEmbedding")
def rotary_embedding_of_microsoft(case: Case) -> list[Expected | None] | None:
    """ONNX's RotaryEmbedding, with the names that com.microsoft gives its inputs."""
    x, ids, cos, sin = case.inputs
    if ids.size == 1 and ids.ndim < 2:
        rows = x.shape[2] if x.ndim == 4 else x.shape[1]
        ids = np.broadcast_to(int(ids.reshape(())) + np.arange(rows), (x.shape[0], rows))
    names = ("interleaved", "rotary_embedding_dim")
    attributes = {name: case.attributes[name] for name in names if name in case.attributes}
    attributes["num_heads"] = case.attributes.get("num_heads") or x.shape[-1] // max(2 * cos.shape[1], 1)
    return rotary_embedding(Case("RotaryEmbedding", "", 23, (x, cos, sin, ids), attributes, 1))
