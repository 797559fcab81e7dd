"""Oracles of attention: the definitions in long double, with errors carried from step to step."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from diptych.testing import Case
from diptych.testing.oracles.base import WIDE, Expected, gamma, lane_depth, oracle, spacing, tiny, unit, wide
from diptych.testing.values import Array


def heads(x: Array, count: int | None) -> Array:
    """[B, L, H * D] as [B, H, L, D]."""
    if x.ndim == 4:
        return x
    assert count is not None
    return np.swapaxes(x.reshape(*x.shape[:2], count, x.shape[2] // count), 1, 2)


def roundoff(precision: Any) -> Any:
    """Half a unit in the last place of 1."""
    return WIDE(spacing(np.array(WIDE(1)), precision) / 2)


def input_or_none(case: Case, index: int) -> Any:
    """An optional input."""
    return case.inputs[index] if index < len(case.inputs) else None


def bias_of(case: Case, shape: tuple[int, ...], past: int) -> Array:
    """Position by position, as the text has it."""
    batch, _, rows, keys = shape
    get: Any = case.attributes.get
    bias = np.zeros(shape, WIDE)
    lengths, mask = input_or_none(case, 6), input_or_none(case, 3)
    for b, i, j in np.ndindex(batch, rows, keys):
        offset = past if lengths is None else int(lengths[b]) - rows
        p = i + offset
        out = bool(get("is_causal")) and j > p
        out |= get("left_window_size", -1) >= 0 and j < p - get("left_window_size", -1)
        out |= get("right_window_size", -1) >= 0 and j > p + get("right_window_size", -1)
        out |= lengths is not None and j >= lengths[b]
        if out:
            bias[b, :, i, j] = -np.inf
    if mask is None:
        return bias
    numbers = np.where(mask, WIDE(0), WIDE(-np.inf)) if mask.dtype == bool else wide(mask.astype(case.inputs[0].dtype))
    if numbers.ndim and numbers.shape[-1] < keys and (case.opset > 23 or numbers.shape[-1] != 1):
        missing = np.full((*numbers.shape[:-1], keys - numbers.shape[-1]), WIDE(-np.inf))
        numbers = np.concatenate([numbers, missing], axis=-1)
    return np.where(np.isneginf(bias), bias, bias + numbers)


class Steps:
    """Scores, probabilities and results with their absolute errors."""

    def __init__(self, q: Array, k: Array, scale: Any, dtype: Any, *, errors: tuple[Any, Any] = (0, 0)) -> None:
        """`errors`: how far Q and K may lie from these values."""
        self.u, self.dtype = WIDE(unit(dtype)), dtype
        scale = 1 / np.sqrt(WIDE(q.shape[-1])) if scale is None else WIDE(np.float32(scale))
        group = q.shape[1] // max(k.shape[1], 1)
        ungrouped, k = k, np.swapaxes(np.repeat(k, group, axis=1), -1, -2)
        self.x = scale * np.matmul(q, k)
        magnitude = np.abs(scale) * np.matmul(np.abs(q), np.abs(k))
        q_error, k_error = (
            np.broadcast_to(np.asarray(part, WIDE), x.shape) for part, x in zip(errors, (q, ungrouped), strict=True)
        )
        k_error = np.swapaxes(np.repeat(k_error, group, axis=1), -1, -2)
        given = np.matmul(q_error, np.abs(k) + k_error) + np.matmul(np.abs(q), k_error)
        self.error = (
            np.abs(scale) * given * WIDE(1.01)
            + gamma(q.shape[-1] + 8, dtype) * magnitude
            + tiny(dtype, q.shape[-1] + 4) * (1 + magnitude)
        )
        # What scaling a number near zero loses, times the other operand.
        beside = np.sum(np.abs(q), axis=-1)[..., None] + np.sum(np.abs(k), axis=-2)[..., None, :]
        self.error = self.error + tiny(dtype) * np.sqrt(np.abs(scale)) * beside
        top = np.sqrt(WIDE(np.finfo(np.float64 if dtype == np.float64 else np.float32).max))
        reach = max(float(np.max(np.abs(part), initial=0)) for part in (q, k))
        self.sound = reach * max(1.0, float(np.sqrt(np.abs(scale)))) < float(top) / 64

    def softcap(self, cap: float) -> None:
        """`cap * tanh(x / cap)`, whose slope is at most 1."""
        if cap:
            wide_cap = WIDE(np.float32(cap))
            self.x = wide_cap * np.tanh(self.x / wide_cap)
            self.error = self.error + 8 * self.u * np.abs(self.x)

    def add(self, bias: Array) -> None:
        """The bias, and its rounding."""
        x = np.where(np.isneginf(bias), -np.inf, self.x + bias)
        self.error = np.where(np.isneginf(x), 0, self.error + self.u * np.abs(x))
        self.x, self.part = x, ~np.isneginf(bias)

    def softmax(self, precision: Any, sink: Any = -np.inf) -> None:
        """Softmax of rows, `sink` being a further key's score; scores and probabilities are rounded to `precision`."""
        own = roundoff(precision)
        error = np.where(np.isneginf(self.x), 0, self.error + own * np.abs(self.x) * (precision != self.dtype))
        m = np.maximum(np.max(self.x, axis=-1, keepdims=True, initial=-np.inf), sink)
        e = np.exp(self.x - m)
        e = np.where(self.part, e, 0)
        total = np.sum(e, axis=-1, keepdims=True) + np.where(np.isneginf(m), 0, np.exp(sink - m))
        d = np.where(e > 0, np.abs(self.x - m), 0)
        u_sink = WIDE(unit(precision)) * np.where(np.isneginf(sink), 0, np.abs(sink - m) + 4)
        u = WIDE(unit(precision))
        worst = np.max(np.where(e > 0, error, 0), axis=-1, keepdims=True, initial=0)
        relative = 2 * worst + u * (np.max(d, axis=-1, keepdims=True, initial=0) + 12)
        relative = relative + u_sink + gamma(lane_depth(max(self.x.shape[-1], 1)), precision) + 2 * own
        self.p = np.where(self.part.any(axis=-1, keepdims=True), e / total, 0)
        relative = np.where(relative < 0.1, relative * 1.3, np.inf)
        least = float(spacing(np.array(WIDE(0)), precision))
        self.p_error = self.p * relative + np.where(self.part, tiny(self.dtype, 4) + least, 0)

    def results(self, v: Array, dtype: Any, v_error: Any = 0) -> Expected:
        """`P V` over the keys that take part; V may be `v_error` away."""
        group = self.p.shape[1] // max(v.shape[1], 1)
        v = np.repeat(v, group, axis=1)[:, :, None]
        p, part = self.p[..., None], self.part[..., None]
        terms = np.where(part, p * np.where(part, v, 0), 0)
        magnitude = np.sum(np.abs(terms), axis=-2)
        loss = np.sum(np.where(part, self.p_error[..., None] * np.abs(v), 0), axis=-2)
        v_errors = np.broadcast_to(
            np.asarray(v_error, WIDE), (*v.shape[:1], v.shape[1] // group if group else 0, *v.shape[3:])
        )
        v_errors = np.repeat(v_errors, group, axis=1)[:, :, None]
        loss = loss + np.sum(np.where(part, (p + self.p_error[..., None]) * v_errors, 0), axis=-2)
        slack = loss * WIDE(1.01) + gamma(self.p.shape[-1] + 3, dtype) * magnitude + tiny(dtype, self.p.shape[-1] + 2)
        top = float(np.finfo(np.float64 if dtype == np.float64 else np.float32).max)
        return Expected(np.sum(terms, axis=-2), np.where(magnitude > top / 4, np.inf, slack))


def finite(case: Case, *which: int) -> bool:
    """Whether these inputs have no infinity and no NaN."""
    given = [case.inputs[i] for i in which if i < len(case.inputs) and case.inputs[i] is not None]
    return all(np.isfinite(wide(x)).all() for x in given)


@oracle("Attention")
def attention(case: Case) -> list[Expected | None] | None:
    """Scores, softcap, bias, Softmax and the product with V, with errors carried from one to the next."""
    get: Any = case.attributes.get
    mask = input_or_none(case, 3)
    if not finite(case, 0, 1, 2, 4, 5) or (
        mask is not None and mask.dtype != bool and mask.dtype != case.inputs[0].dtype
    ):
        return None
    q, k, v = (
        heads(wide(x), get(name))
        for x, name in zip(case.inputs[:3], ("q_num_heads", *["kv_num_heads"] * 2), strict=True)
    )
    past_key, past_value = input_or_none(case, 4), input_or_none(case, 5)
    past = 0 if past_key is None else past_key.shape[2]
    if past_key is not None:
        k, v = np.concatenate([wide(past_key), k], axis=2), np.concatenate([wide(past_value), v], axis=2)
    dtype = case.inputs[0].dtype
    if case.inputs[2].dtype == np.float64 and dtype != np.float64:
        return None  # V is rounded first
    precision = dtype
    if get("softmax_precision") and helper.tensor_dtype_to_np_dtype(get("softmax_precision")) != dtype:
        precision = helper.tensor_dtype_to_np_dtype(get("softmax_precision"))
    computing = np.dtype(np.float64 if dtype == np.float64 else np.float32)
    steps = Steps(q, k, get("scale"), computing)
    bias = bias_of(case, steps.x.shape, past)
    if not steps.sound or np.isnan(bias).any() or np.isposinf(bias).any() or (bias[np.isfinite(bias)] > 1e30).any():
        return None
    stages = [Expected(steps.x, steps.error)]
    steps.softcap(get("softcap", 0.0))
    stages.append(Expected(steps.x, steps.error))
    steps.add(bias)
    stages.append(Expected(steps.x, steps.error))
    steps.softmax(computing if precision == dtype else precision)
    stages.append(Expected(steps.p, steps.p_error))
    y = steps.results(v, computing)
    if case.inputs[0].ndim == 3:
        exact, slack = (
            np.swapaxes(part, 1, 2).reshape(*case.inputs[0].shape[:2], -1)
            if part.size
            else part.reshape(case.inputs[0].shape[0], case.inputs[0].shape[1], part.shape[1] * part.shape[3])
            for part in (y.exact, np.asarray(y.slack))
        )
        y = Expected(exact, slack)
    mode = get("qk_matmul_output_mode", 0)
    return [y, None, None, stages[mode]]


@oracle("FlexAttention")
def flex_attention(case: Case) -> list[Expected | None] | None:
    """Attention without bodies, the softmax in its own precision."""
    if case.needs_model or not finite(case, 0, 1, 2):
        return None
    get: Any = case.attributes.get
    dtype = case.inputs[0].dtype
    q, k, v = map(wide, case.inputs)
    computing = np.dtype(np.float64 if dtype == np.float64 else np.float32)
    precision: Any = computing
    if get("softmax_precision"):
        precision = helper.tensor_dtype_to_np_dtype(get("softmax_precision"))
    steps = Steps(q, k, get("scale"), computing)
    if not steps.sound or np.max(np.abs(steps.x), initial=0) > 3e4:
        return None
    steps.add(np.zeros_like(steps.x))
    steps.error = steps.error + roundoff(precision) * np.abs(steps.x) + float(spacing(np.array(WIDE(0)), precision))
    steps.softmax(precision)
    results = np.dtype(np.float64 if precision == np.float64 else np.float32)
    expected = steps.results(v, results)
    if dtype == np.float64 and results != dtype:
        lost = (
            unit(results)
            * 2
            * np.sum(
                np.abs(steps.p[..., None] * np.repeat(np.abs(v), q.shape[1] // max(k.shape[1], 1), axis=1)[:, :, None]),
                axis=-2,
            )
        )
        expected = Expected(expected.exact, expected.slack + lost)
    slack = np.asarray(expected.slack)
    if dtype != results and dtype == np.float32:
        slack = slack + spacing(expected.exact, np.float32)
    return [Expected(expected.exact, slack)]


@oracle("RotaryEmbedding")
def rotary_embedding(case: Case) -> list[Expected | None] | None:
    """Two products and their sum, an element."""
    if not finite(case, 0, 1, 2):
        return None
    x, cos, sin = (wide(value) for value in case.inputs[:3])
    if x.ndim == 3:
        x = heads(x, case.attributes["num_heads"])
    if len(case.inputs) > 3:
        cos, sin = cos[case.inputs[3]], sin[case.inputs[3]]
    size = case.attributes.get("rotary_embedding_dim", 0) or x.shape[3]
    y, slack = x.copy(), np.zeros_like(x)
    for i in range(size // 2):
        a, b = (2 * i, 2 * i + 1) if case.attributes.get("interleaved") else (i, size // 2 + i)
        c, s = cos[:, None, :, i], sin[:, None, :, i]
        y[..., a], y[..., b] = c * x[..., a] - s * x[..., b], s * x[..., a] + c * x[..., b]
        for place, parts in ((a, (c * x[..., a], s * x[..., b])), (b, (s * x[..., a], c * x[..., b]))):
            size_of = sum(map(np.abs, parts))  # two of them may cancel that are each beyond the type
            slack[..., place] = np.where(size_of > 1e38, np.inf, gamma(2, np.float32) * size_of + tiny(np.float32, 2))
    if case.inputs[0].ndim == 3:
        y, slack = (np.swapaxes(part, 1, 2).reshape(case.inputs[0].shape) for part in (y, slack))
    return [Expected(y, slack)]


@oracle("LinearAttention")
def linear_attention(case: Case) -> list[Expected | None] | None:
    """The recurrence, position by position, with a running error."""
    if not finite(case, *range(6)):
        return None
    q_heads, kv_heads = case.attributes["q_num_heads"], case.attributes["kv_num_heads"]
    q, k, v = (heads(wide(x), count) for x, count in zip(case.inputs[:3], (q_heads, kv_heads, kv_heads), strict=True))
    past, decay, beta = (input_or_none(case, i) for i in (3, 4, 5))
    if decay is not None and np.max(wide(decay), initial=0) > 80:
        return None  # the decay overflows in binary32
    batch, _, steps, size = k.shape
    scale = WIDE(np.float32(case.attributes.get("scale", 0.0))) or 1 / np.sqrt(WIDE(size))
    state = np.zeros((batch, kv_heads, size, v.shape[3]), WIDE) if past is None else wide(past)
    error = np.zeros_like(state)
    u, chain = WIDE(2.0**-24), gamma(size + 2, np.float32)
    outputs, errors = [], []
    no_error: Any = WIDE(0)
    for t in range(steps):
        if decay is not None:
            g = wide(decay)[:, t]
            g = np.exp(g.reshape(batch, kv_heads, g.shape[1] // kv_heads))[..., None]
            error, state = g * error + np.abs(g * state) * 4 * u, g * state
        w, w_error = v[:, :, t], no_error
        if beta is not None:
            rate = wide(beta)[:, t][..., None]
            r = np.sum(k[:, :, t, :, None] * state, axis=2)
            r_error = np.sum(np.abs(k[:, :, t, :, None]) * (error + chain * np.abs(state)), axis=2)
            w_error = np.abs(rate) * (r_error + 3 * u * (np.abs(w) + np.abs(r) + r_error))
            w = rate * (w - r)
        state = state + k[:, :, t, :, None] * w[:, :, None]
        w_error = w_error[:, :, None] if np.ndim(w_error) else w_error
        error = error + np.abs(k[:, :, t, :, None]) * w_error + u * (np.abs(state) + error) + tiny(np.float32, 2)
        wide_state, wide_error = (np.repeat(part, q_heads // kv_heads, axis=1) for part in (state, error))
        o = scale * np.sum(q[:, :, t, :, None] * wide_state, axis=2)
        lost = np.sum(np.abs(q[:, :, t, :, None]) * (wide_error + chain * np.abs(wide_state)), axis=2)
        outputs.append(o)
        errors.append(np.abs(scale) * lost + 3 * u * np.abs(o) + tiny(np.float32, size + 4))
    reach = max([float(np.max(np.abs(part), initial=0)) for part in (state, *outputs)])
    if not reach < 1e30 or not all(float(np.max(np.abs(x), initial=0)) < 1e15 for x in (q, k, v, state)):
        return None
    shape = (batch, steps, q_heads * v.shape[3])
    y, slack = (
        np.swapaxes(np.array(part).reshape(steps, batch, q_heads * v.shape[3]), 0, 1).reshape(shape)
        for part in (outputs, errors)
    )
    return [Expected(y, slack * WIDE(1.05)), Expected(state, error * WIDE(1.05))]
