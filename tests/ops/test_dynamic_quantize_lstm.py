"""DynamicQuantizeLSTM beside ONNX Runtime, whose operator it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.ops.composition import byte_weights

from diptych.testing import Case, difference, on_engine, on_reference

onnxruntime.set_default_logger_severity(4)


def case(seed: int, direction: str, columns: bool, dtype: Any, lengths: bool, batch: int) -> Case:
    random = np.random.default_rng(seed)
    d, steps, size, hidden = 2 if direction == "bidirectional" else 1, 7, 5, 6
    shape = (d, 4 * hidden) if columns else (d,)

    def parameters() -> list[Any]:
        # ONNX Runtime knows no other zero point of int8 than 0, and one of uint8 in all.
        zero = np.zeros(shape, np.int8) if dtype == np.int8 else np.full(shape, 128, np.uint8)
        return [random.uniform(0.002, 0.01, shape).astype(np.float32), zero]

    def real(*shape: int) -> Any:
        return random.normal(size=shape).astype(np.float32)

    ends = np.iinfo(dtype)
    inputs = (
        real(steps, batch, size),
        byte_weights(random.integers(ends.min, ends.max, (d, size, 4 * hidden), endpoint=True).astype(dtype)),
        byte_weights(random.integers(ends.min, ends.max, (d, hidden, 4 * hidden), endpoint=True).astype(dtype)),
        real(d, 8 * hidden),
        np.array([steps, 3][:batch], np.int32) if lengths else None,
        real(d, batch, hidden) * np.float32(0.3),
        real(d, batch, hidden) * np.float32(0.3),
        None,
        *parameters(),
        *parameters(),
    )
    attributes = {"direction": direction, "hidden_size": hidden}
    return Case("DynamicQuantizeLSTM", "com.microsoft", 1, inputs, attributes, 3)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(("lengths", "batch"), [(False, 1), (False, 2)])
def test_beside_onnxruntime(direction: str, columns: bool, dtype: Any, lengths: bool, batch: int) -> None:
    """A level of h more or less, where it lies between two, moves a gate by a scale; few do, and all stay near."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more it quantizes parts of the batch apart
    for seed in range(4):
        one = case(seed, direction, columns, dtype, lengths, batch)
        expected = on_reference(one)
        assert not difference(expected, on_engine(one))
        session = onnxruntime.InferenceSession(
            one.model().SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for ours, peer in zip(expected.outputs, session.run(None, one.feeds()), strict=True):
            assert ours.shape == peer.shape
            assert np.abs(ours - peer).max() < 0.02
            assert np.median(np.abs(ours - peer)) < 1e-4
