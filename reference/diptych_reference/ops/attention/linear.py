"""LinearAttention: a matrix of keys by values in place of a cache, updated step by step."""

from __future__ import annotations

import numpy as np

from diptych_reference import numerics
from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError
from diptych_reference.numerics import fma, fma_chain, round_to
from diptych_reference.operator import Array, operator

RULES = ("linear", "gated", "delta", "gated_delta")


@operator("LinearAttention", since=27)
def linear_attention(
    query: Array,
    key: Array,
    value: Array,
    past_state: Array | None = None,
    decay: Array | None = None,
    beta: Array | None = None,
    *,
    chunk_size: int = 64,
    kv_num_heads: int,
    q_num_heads: int,
    scale: float = 0.0,
    update_rule: str = "gated_delta",
) -> tuple[Array, Array]:
    """From query [B, T, Hq * Dk], key [B, T, Hkv * Dk], value [B, T, Hkv * Dv]; states are [B, Hkv, Dk, Dv].

    In binary32, for each step: gated rules `S = rn(S * exp(decay))`; delta rules write
    `w = rn(beta * rn(v - r))`, r the chains of `k_d S_dm` over d, the others `w = v`; `S = fma(k_d, w_m, S)`; the
    output is `rn(scale * o)`, o the chains of `q_d S_dm` over d. Outputs are rounded once; between steps the state is
    not.
    `chunk_size` is a hint.
    """
    check_inputs(update_rule, decay, beta)
    if q_num_heads <= 0 or kv_num_heads <= 0 or q_num_heads % kv_num_heads:
        raise InvalidModelError(f"{q_num_heads} query heads are no multiple of {kv_num_heads} key heads")
    q, k, v = (
        unpacked(query, q_num_heads, "query"),
        unpacked(key, kv_num_heads, "key"),
        unpacked(value, kv_num_heads, "value"),
    )
    batch, steps, _, size = k.shape
    if q.shape[:2] != (batch, steps) or v.shape[:2] != (batch, steps) or q.shape[3] != size:
        raise ShapeError(
            f"query {list(query.shape)}, key {list(key.shape)}, value {list(value.shape)} do not fit together"
        )
    state = initial_state(past_state, (batch, kv_num_heads, size, v.shape[3]))
    gate = None if decay is None else numerics.exp(per_head(decay, k.shape, kv_num_heads * size, "decay"))
    rate = None if beta is None else per_head(beta, k.shape, 1, "beta")
    factor = np.float32(scale) if scale != 0 else np.float32(1) / np.sqrt(np.float32(size))
    group = q_num_heads // kv_num_heads
    output = np.zeros((batch, steps, q_num_heads, v.shape[3]), np.float32)
    for t in range(steps):
        if gate is not None:
            state = state * gate[:, t, :, :, None]
        write = v[:, t]
        if rate is not None:
            write = rate[:, t] * (write - product(k[:, t], state))
        state = fma(k[:, t, :, :, None], write[:, :, None, :], state)
        output[:, t] = factor * product(q[:, t], np.repeat(state, group, axis=1))
    y = round_to(output.reshape(batch, steps, q_num_heads * v.shape[3]), query.dtype)
    return y, round_to(state, query.dtype if past_state is None else past_state.dtype)


def check_inputs(update_rule: str, decay: Array | None, beta: Array | None) -> None:
    """Each rule has its inputs, and no others."""
    if update_rule not in RULES:
        raise InvalidModelError(f"update_rule {update_rule!r}, expected one of {list(RULES)}")
    for name, given, needed in (("decay", decay, "gated" in update_rule), ("beta", beta, "delta" in update_rule)):
        if (given is not None) != needed:
            raise InvalidInputError(f"update_rule {update_rule!r} {'needs' if needed else 'has no'} input {name}")


def unpacked(x: Array, heads: int, name: str) -> Array:
    """[B, T, heads * size] in binary32 as [B, T, heads, size]."""
    if x.ndim != 3 or x.shape[2] % heads:
        raise ShapeError(f"{name} has shape {list(x.shape)}, expected [B, T, {heads} * size]")
    return x.astype(np.float32).reshape(*x.shape[:2], heads, x.shape[2] // heads)


def per_head(x: Array, shape: tuple[int, ...], other: int, name: str) -> Array:
    """A decay or beta in binary32, to broadcast to keys [B, T, H, Dk]: one number a head, or `other` of them a step."""
    batch, steps, heads, _ = shape
    if x.ndim != 3 or x.shape[:2] != (batch, steps) or x.shape[2] not in (heads, other):
        raise ShapeError(f"{name} has shape {list(x.shape)}, expected [{batch}, {steps}, {heads} or {other}]")
    wide = x.astype(np.float32)
    return wide[..., None] if x.shape[2] in (heads, 1) else wide.reshape(shape)


def initial_state(past_state: Array | None, shape: tuple[int, ...]) -> Array:
    """The state before the first step, in binary32."""
    if past_state is None:
        return np.zeros(shape, np.float32)
    if past_state.shape != shape:
        raise ShapeError(f"past_state has shape {list(past_state.shape)}, expected {list(shape)}")
    return past_state.astype(np.float32)


def product(x: Array, state: Array) -> Array:
    """`x` [B, H, Dk] times `state` [B, H, Dk, Dv]: `acc = fma(x_d, S_dm, acc)` over d from +0."""
    acc = np.zeros((*state.shape[:2], state.shape[3]), np.float32)
    return fma_chain(np.moveaxis(x, -1, 0)[..., None], np.moveaxis(state, 2, 0), acc)
