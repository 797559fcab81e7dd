"""The attentions of com.microsoft beside ONNX Runtime, whose they are, and in sizes that strategies seldom draw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

import diptych
from diptych.testing import Case, difference, engine_paths, on_engine, on_reference

onnxruntime.set_default_logger_severity(4)
F32 = np.float32
DOMAIN = "com.microsoft"
random = np.random.default_rng(3)


def real(*shape: int, dtype: Any = F32) -> Any:
    """Normal numbers."""
    return random.normal(size=shape).astype(dtype)


def flags(*shape: int) -> Any:
    """Zeros and ones."""
    return (random.random(shape) < 0.6).astype(np.int32)


def i32(*values: int) -> Any:
    """A vector."""
    return np.array(values, np.int32)


def case(op_type: str, inputs: list[Any], n_outputs: int, **attributes: Any) -> Case:
    """A case of the only version."""
    while inputs[-1] is None:
        inputs = inputs[:-1]
    return Case(op_type, DOMAIN, 1, tuple(inputs), attributes, n_outputs)


def beside(one: Case, tolerance: float = 2e-5) -> None:
    """Both panels the same bits, and ONNX Runtime near them."""
    expected = on_reference(one)
    assert expected.error is None, expected.error
    assert not difference(expected, on_engine(one))
    model = one.model()
    if one.op_type == "MultiHeadAttention" and one.n_outputs > 3:  # whose type ONNX Runtime does not infer
        model.graph.output[3].type.tensor_type.elem_type = TensorProto.FLOAT
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for ours, peer in zip(expected.outputs, session.run(None, one.feeds()), strict=True):
        assert ours.shape == peer.shape
        both = np.stack([ours, peer]).astype(np.float64)
        # Where a mask of -10000 was added, what was lost is lost.
        near = np.abs(both[0] - both[1]) <= tolerance * np.maximum(1, np.abs(both).max(axis=0))
        hidden = np.isneginf(both[0]) & (both[1] < -1e38)
        assert (near | hidden).all(), (ours, peer)


def multi_head_cases() -> Iterator[tuple[str, Case]]:
    """Layouts, biases, masks and caches."""
    batch, rows, keys, past, n, h = 2, 4, 6, 3, 2, 8
    q, k, v = real(batch, rows, n * h), real(batch, keys, n * h), real(batch, keys, n * h)
    own = [real(batch, rows, n * h) for _ in range(2)]
    bias, pasts = real(3 * n * h), [real(batch, n, past, h) for _ in range(2)]
    op_type = "MultiHeadAttention"
    for name, operands in (("cross", [q, k, v]), ("self", [q, *own])):
        yield name, case(op_type, operands, 4, num_heads=n)
        yield f"{name}, bias, scale", case(op_type, [*operands, bias], 4, num_heads=n, scale=0.5)
        length = operands[1].shape[1]
        for label, mask in (
            ("ends", i32(2, 0)),
            ("offsets", i32(1, length, 0, rows, 2 * rows, 0, length, 2 * length)),
            ("flags", flags(batch, length)),
            ("each", flags(batch, rows, length)),
        ):
            yield f"{name}, {label}", case(op_type, [*operands, None, mask], 4, num_heads=n)
            beside_bias = real(1, n, rows, length)
            yield (
                f"{name}, {label}, attention_bias",
                case(op_type, [*operands, bias, mask, beside_bias], 4, num_heads=n, mask_filter_value=-3.0),
            )
        for b, heads in ((1, 1), (batch, 1), (1, n), (batch, n)):
            added = real(b, heads, rows, past + length)
            yield (
                f"{name}, past, attention_bias of {b}, {heads}",
                case(op_type, [*operands, None, None, added, *pasts], 4, num_heads=n),
            )
        mask = flags(batch, past + length)
        yield f"{name}, past, flags", case(op_type, [*operands, bias, mask, None, *pasts], 4, num_heads=n)
        for filled in (0, 2):
            room = [real(batch, n, 9, h) for _ in range(2)]
            yield (
                f"{name}, shared buffer, {filled}",
                case(op_type, [*operands, None, None, None, *room, i32(filled)], 4, num_heads=n),
            )
    yield "causal", case(op_type, [q, *own], 4, num_heads=n, unidirectional=1)
    yield "causal, past", case(op_type, [q, *own, None, i32(6, 4), None, *pasts], 4, num_heads=n, unidirectional=1)
    before = [real(batch, n, keys, h) for _ in range(2)]
    yield "before", case(op_type, [q, *before, bias], 1, num_heads=n)
    yield "before, mask", case(op_type, [q, *before, None, flags(batch, keys)], 3, num_heads=n)
    yield "wide values", case(op_type, [q, k, real(batch, keys, n * 5), real(n * 21)], 4, num_heads=n)


def group_query_cases() -> Iterator[tuple[str, Case]]:
    """Prompts and decoding, packed and not, with all that the scores may meet."""
    n, m, h = 4, 2, 16
    op_type, heads = "GroupQueryAttention", {"num_heads": n, "kv_num_heads": m}
    caches, ids = [real(20, 8) for _ in range(2)], np.array([[3, 9, 9, 9, 9], [0, 0, 0, 0, 0]], np.int64)
    for rows, lasts, total, room in (
        (5, (4, 2), 5, None),
        (5, (4, 4), 5, 9),
        (1, (6, 3), 7, 6),
        (1, (5, 3), 6, 9),
        (3, (8,), 9, 9),
        (3, (8,), 9, 6),
    ):
        b = len(lasts)
        past = [None, None] if room is None else [real(b, m, room, h) for _ in range(2)]
        separate = [real(b, rows, n * h), real(b, rows, m * h), real(b, rows, m * h)]
        lengths = [i32(*lasts), i32(total)]
        label = f"{rows} of {total} in {room}"
        plain = [*past, *lengths]
        yield f"{label}", case(op_type, [*separate, *plain], 3, **heads)
        packed = [real(b, rows, (n + 2 * m) * h), None, None]
        for which, operands in (("separate", separate), ("packed", packed)):
            for interleaved in (0, 1):
                turning = {"do_rotary": 1, "rotary_interleaved": interleaved}
                yield (
                    f"{label}, {which}, rotary {interleaved}",
                    case(op_type, [*operands, *plain, *caches], 3, **heads, **turning),
                )
                given = ids[:b, :rows] if rows > 1 or total == 1 else ids[:b, 1:2]
                yield (
                    f"{label}, {which}, position_ids {interleaved}",
                    case(op_type, [*operands, *plain, *caches, given], 3, **heads, **turning),
                )
        tail = [None, None, None, real(1, n, rows, total), real(n)]
        for options in (
            {"qk_output": 1},
            {"qk_output": 2, "softcap": 0.5},
            {"qk_output": 1, "softcap": 2.0, "scale": 0.3},
            {"qk_output": 2, "smooth_softmax": 1},
            {"qk_output": 2, "causal": 0},
        ):
            yield f"{label}, {options}", case(op_type, [*separate, *plain], 4, **heads, **options)
            yield f"{label}, {options}, bias", case(op_type, [*separate, *plain, *tail[:4]], 4, **heads, **options)
            yield f"{label}, {options}, sink", case(op_type, [*separate, *plain, *tail], 4, **heads, **options)
        if rows < total or min(lasts) == total - 1:
            for window in (1, 2, 4):
                yield (
                    f"{label}, window {window}",
                    case(op_type, [*separate, *plain], 4, **heads, local_window_size=window, qk_output=2),
                )


def projected_cases() -> Iterator[tuple[str, Case]]:
    """Masks of all forms, with and without a past."""
    batch, rows, past, n, h, width = 2, 4, 3, 2, 8, 10
    x, weights, bias = real(batch, rows, width), real(width, 3 * n * h), real(3 * n * h)
    for length, before in ((rows, None), (past + rows, real(2, batch, n, past, h))):
        for label, mask in (
            ("none", None),
            ("ends", i32(2, 1)),
            ("ends and starts", i32(length, 2, 1, 9)),
            ("offsets", i32(1, 3, 0, 4, 8, 0, length, 2 * length)),
            ("flags", flags(batch, length)),
            ("each", flags(batch, rows, length)),
            ("one", np.zeros((batch, 1), np.int32)),
        ):
            for causal in (0, 1):
                yield (
                    f"{label}, {length} keys, unidirectional {causal}",
                    case("Attention", [x, weights, bias, mask, before], 2, num_heads=n, unidirectional=causal),
                )
    for b, heads in ((1, 1), (batch, 1), (1, n), (batch, n)):
        added = [None, None, real(b, heads, rows, rows)]
        yield f"attention_bias {b}, {heads}", case("Attention", [x, weights, bias, *added], 2, num_heads=n)
    yield "no bias", case("Attention", [x, weights], 2, num_heads=n, scale=0.5)
    sizes = {"qkv_hidden_sizes": [n * h, n * h, n * 5]}
    yield "sizes", case("Attention", [x, real(width, n * 21), real(n * 21)], 1, num_heads=n, **sizes)


def rotary_cases() -> Iterator[tuple[str, Case]]:
    """Ranks, positions and parts."""
    batch, rows, n, h = 2, 3, 2, 16
    ids = np.array([[0, 5, 2], [8, 8, 1]], np.int64)
    for interleaved in (0, 1):
        for x in (real(batch, rows, n * h), real(batch, n, rows, h)):
            for positions in (ids, np.array([4]), np.array(6)):
                label = f"rank {x.ndim}, positions {positions.shape}, interleaved {interleaved}"
                inputs, options = [x, positions], {"interleaved": interleaved}
                yield label, case("RotaryEmbedding", [*inputs, real(9, 8), real(9, 8)], 1, **options)
                part = {"num_heads": n, "rotary_embedding_dim": 6, **options}
                yield f"{label}, part", case("RotaryEmbedding", [*inputs, real(9, 3), real(9, 3)], 1, **part)


ALL = [*multi_head_cases(), *group_query_cases(), *projected_cases(), *rotary_cases()]


@pytest.mark.parametrize(("name", "one"), ALL, ids=[f"{one.op_type}: {name}" for name, one in ALL])
def test_beside_onnxruntime(name: str, one: Case) -> None:
    beside(one)


def check(one: Case) -> None:
    """All paths of the engine against the reference."""
    expected = on_reference(one)
    assert expected.error is None, expected.error
    for isa, threads in engine_paths((1, 2, 3)):
        problem = difference(expected, on_engine(one, isa, threads))
        assert not problem, f"{isa}, {threads} threads: {problem}"


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("rows", [1, 50, 101])
def test_long_caches(dtype: Any, rows: int) -> None:
    """Several tiles and blocks; sequences that end inside a tile, and before the last tiles."""
    h, total = 24, 400
    operands = [real(2, rows, n * h, dtype=dtype) for n in (6, 2, 2)]
    past = [real(2, 2, 420, h, dtype=dtype) for _ in range(2)]
    tail = [i32(390, 130), i32(total), real(400, 12, dtype=dtype), real(400, 12, dtype=dtype)]
    options = {"num_heads": 6, "kv_num_heads": 2, "do_rotary": 1}
    check(case("GroupQueryAttention", [*operands, *past, *tail], 3, **options))
    check(case("GroupQueryAttention", [*operands, *past, *tail], 4, qk_output=2, smooth_softmax=1, **options))
    check(case("GroupQueryAttention", [*operands, *past, *tail], 3, local_window_size=60, **options))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_long_prompts(dtype: Any) -> None:
    """Packed tiles of views: packed operands, a bias, masks of keys beyond a tile."""
    n, h, rows = 3, 24, 150
    packed = real(2, rows, n, 3, h, dtype=dtype)
    mask = i32(149, 20)
    check(case("MultiHeadAttention", [packed, None, None, None, mask], 4, num_heads=n))
    bias, added = real(3 * n * h, dtype=dtype), real(1, n, rows, rows, dtype=dtype)
    check(case("MultiHeadAttention", [packed, None, None, bias, mask, added], 3, num_heads=n, unidirectional=1))
    x, weights = real(2, rows, 40, dtype=dtype), real(40, 3 * n * h, dtype=dtype)
    square = flags(2, 1, 300, 300)
    past = real(2, 2, n, 140, h, dtype=dtype)
    check(case("Attention", [x, weights, bias, square, past], 2, num_heads=n))
    check(case("Attention", [x, weights, bias, flags(2, rows + 140), past], 2, num_heads=n, unidirectional=1))


def test_packed_operands_are_those_apart() -> None:
    """What ONNX Runtime has on other devices alone: [B, S, N, 3, H] and [B, L, N, 2, H]."""
    q, k, v = (real(2, 5, 3, 8) for _ in range(3))
    flat = [x.reshape(2, 5, 24) for x in (q, k, v)]
    expected = on_reference(case("MultiHeadAttention", flat, 4, num_heads=3, unidirectional=1)).outputs
    for inputs in ([np.stack([q, k, v], axis=3)], [flat[0], np.stack([k, v], axis=3)]):
        one = case("MultiHeadAttention", inputs, 4, num_heads=3, unidirectional=1)
        for run in (on_reference, on_engine):
            for ours, apart in zip(run(one).outputs, expected, strict=True):
                assert np.array_equal(ours, apart)


def test_a_constant_projection_is_packed_once() -> None:
    """Weights that are initializers give the same bits."""
    x, weights, bias = real(1, 7, 12), real(12, 48), real(48)
    one = case("Attention", [x, weights, bias], 1, num_heads=2)
    model, feeds = one.model(), one.feeds()
    names = list(feeds)
    kept = [value for value in model.graph.input if value.name == names[0]]
    for name in names[1:]:
        model.graph.initializer.append(numpy_helper.from_array(feeds[name], name))
    del model.graph.input[:]
    model.graph.input.extend(kept)
    session = diptych.InferenceSession(model.SerializeToString())
    [expected] = on_reference(one).outputs
    for _ in range(2):
        [y] = session.run(None, {names[0]: x})
        assert np.array_equal(y, expected)


@pytest.mark.parametrize("run", [on_reference, on_engine])
def test_decoding_gives_the_bits_of_the_whole_prompt(run: Any) -> None:
    """A prompt of three, two more, then one at a time, in a shared buffer, as the same eight at once."""
    n, m, h, length = 4, 2, 16, 8
    q, k, v = real(1, length, n * h), real(1, length, m * h), real(1, length, m * h)
    caches = [real(length, 8), real(length, 8)]
    options = {"num_heads": n, "kv_num_heads": m, "do_rotary": 1, "softcap": 3.0, "smooth_softmax": 1}

    def outputs(rows: slice, past: list[Any], total: int) -> list[Any]:
        operands = [x[:, rows] for x in (q, k, v)]
        one = case("GroupQueryAttention", [*operands, *past, i32(total - 1), i32(total), *caches], 3, **options)
        return list(run(one).outputs)

    whole = outputs(slice(0, length), [None, None], length)
    past: list[Any] = [np.zeros((1, m, length, h), F32)] * 2
    for first, end in ((0, 3), (3, 5), (5, 6), (6, 7), (7, 8)):
        y, *past = outputs(slice(first, end), past, end)
        assert np.array_equal(y, whole[0][:, first:end])
    assert all(np.array_equal(ours, full) for ours, full in zip(past, whole[1:], strict=True))


@pytest.mark.parametrize("run", [on_reference, on_engine])
def test_right_padding_changes_no_bits(run: Any) -> None:
    """Sequences of a batch, padded, as each alone."""
    n, m, h = 4, 2, 8
    operands = [real(2, 6, count * h) for count in (n, m, m)]
    options = {"num_heads": n, "kv_num_heads": m, "local_window_size": 3}
    inputs = [*operands, None, None, i32(5, 3), i32(6)]
    together = run(case("GroupQueryAttention", inputs, 1, **options)).outputs[0]
    for b, length in enumerate((6, 4)):
        own = [x[b : b + 1, :length] for x in operands]
        alone = case("GroupQueryAttention", [*own, None, None, i32(length - 1), i32(length)], 1, **options)
        assert np.array_equal(together[b : b + 1, :length], run(alone).outputs[0])
