"""Attention where blocks of queries, tiles of keys, chunks of sums begin and end: sizes that strategies rarely draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diptych.testing import Case, difference, engine_paths, on_engine, on_reference

F32 = np.float32


def normal(*shape: int, dtype: Any = F32, seed: int = 0) -> Any:
    """Normal numbers."""
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(dtype)


def check(case: Case) -> None:
    """All paths of the engine against the reference."""
    expected = on_reference(case)
    assert expected.error is None, expected.error
    for isa, threads in engine_paths((1, 2, 3)):
        problem = difference(expected, on_engine(case, isa, threads))
        assert not problem, f"{isa}, {threads} threads: {problem}"


def attention(inputs: list[Any], n_outputs: int = 1, **attributes: Any) -> Case:
    """A case of the newest version."""
    return Case("Attention", "", 25, tuple(inputs), attributes, n_outputs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("attributes", [{}, {"is_causal": 1}, {"left_window_size": 20, "right_window_size": 3}])
def test_many_queries(dtype: Any, attributes: dict[str, Any]) -> None:
    """Several blocks a head, packed tiles, a past that ends inside a tile."""
    q, k, v = normal(1, 4, 101, 24, dtype=dtype), normal(1, 2, 101, 24, dtype=dtype), normal(1, 2, 101, 40, dtype=dtype)
    past = [normal(1, 2, 131, 24, dtype=dtype, seed=1), normal(1, 2, 131, 40, dtype=dtype, seed=1)]
    check(attention([q, k, v, None, *past], 3, **attributes))
    check(attention([q, k, v, None, *past], 4, qk_matmul_output_mode=2, **attributes))


@pytest.mark.parametrize("rows", [1, 2, 50])
@pytest.mark.parametrize("left", [-1, 10, 4200])
def test_rows_longer_than_a_chunk(rows: int, left: int) -> None:
    """A lane sum of more than 4096 terms, of which the window leaves out the first ones."""
    q, k, v = normal(1, 1, rows, 8), normal(1, 1, 8300, 8), normal(1, 1, 8300, 3)
    past = [normal(1, 1, 60, 8, seed=1), normal(1, 1, 60, 3, seed=1)]
    inputs = [q, k[:, :, 60 : 8300 - rows], v[:, :, 60 : 8300 - rows], None, *past]
    check(attention(inputs, left_window_size=left, is_causal=0))
    lengths = np.array([8250])
    check(attention([q, k, v, None, None, None, lengths], left_window_size=left, is_causal=1))


def test_values_that_are_excluded_in_a_block() -> None:
    """Infinite values beyond the causal frontier of some rows of a block, and inside that of others."""
    q, k, v = normal(1, 1, 60, 8), normal(1, 1, 60, 8), normal(1, 1, 60, 5)
    v[0, 0, 30, 2], v[0, 0, 50, 4], k[0, 0, 45] = np.inf, np.nan, np.inf
    check(attention([q, k, v], 4, is_causal=1, qk_matmul_output_mode=3))
    mask = np.random.default_rng(5).random((60, 60)) < 0.5
    mask[7], mask[:, 45] = False, False
    check(attention([q, k, v, mask], 4, qk_matmul_output_mode=3))
    check(attention([q, k, v, np.where(mask, F32(0.25), F32(-np.inf))], 4, qk_matmul_output_mode=1))


def test_grouped_heads_in_one_block_and_in_several() -> None:
    for rows in (1, 3, 49):
        q, k, v = normal(2, rows, 12 * 8), normal(2, 200, 2 * 8), normal(2, 200, 2 * 16)
        check(attention([q, k, v], q_num_heads=12, kv_num_heads=2, is_causal=1))
        lengths = np.array([150, 7])
        check(attention([q, k, v, None, None, None, lengths], q_num_heads=12, kv_num_heads=2, is_causal=1))


def test_results_do_not_depend_on_the_batch() -> None:
    """Row by row as all at once, on both panels."""
    q, k, v = normal(3, 2, 5, 8), normal(3, 2, 140, 8), normal(3, 2, 140, 8)
    for run in (on_reference, on_engine):
        [together] = run(attention([q, k, v], is_causal=1)).outputs
        for i in range(3):
            [alone] = run(attention([x[i : i + 1] for x in (q, k, v)], is_causal=1)).outputs
            assert np.array_equal(together[i : i + 1], alone)
