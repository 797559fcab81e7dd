"""Models in 8 and 4 bits (tools/models/derived.py): those of small seeded models, and slow those of trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tools.models import architectures
from tools.models.architectures import ARCHITECTURES
from tools.models.derived import DERIVED
from tools.models.int4 import BLOCK, dequantized_blocks
from tools.models.obtain import build, feeds_of, obtain
from tools.models.wheels import FetchError

import diptych
from diptych.testing.blocks import block_codes

from . import peer
from .panels import differences

SEEDED = [name for name, derived in DERIVED.items() if derived.source in ARCHITECTURES]
TRAINED = [name for name in DERIVED if name not in SEEDED]
RNG = np.random.default_rng


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, so that the small models are built."""
    monkeypatch.setattr(architectures, "STORE", tmp_path)
    return tmp_path


def trained(name: str) -> bytes:
    """A model derived anew from a trained one; skips where that cannot be had."""
    try:
        return build(name).read_bytes()
    except FetchError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", SEEDED)
def test_panels_agree_to_the_bit(name: str, store: Path) -> None:
    model = build(name, small=True).read_bytes()
    assert list(differences(model, feeds_of(name, RNG(12), small=True))) == []


@pytest.mark.parametrize("name", SEEDED)
def test_nodes_agree_with_onnxruntime(name: str, store: Path) -> None:
    model = build(name, small=True).read_bytes()
    assert list(peer.disagreements(model, feeds_of(name, RNG(13), small=True))) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_panels_agree_to_the_bit_on_trained_weights(name: str) -> None:
    model = trained(name)
    assert list(differences(model, feeds_of(name, RNG(12), small=True))) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_nodes_agree_with_onnxruntime_on_trained_weights(name: str) -> None:
    assert list(peer.disagreements(trained(name), feeds_of(name, RNG(13)))) == []


@pytest.mark.slow
def test_8_bits_see_what_floats_see() -> None:
    """Beside the model that it is derived from; what the language models say is in test_language.py."""
    name = "open_nsfw_int8_qdq"
    model, feeds = trained(name), feeds_of(name, RNG(14))
    full, few = (
        diptych.InferenceSession(content).run(None, feeds)[0] for content in (obtain(DERIVED[name].source), model)
    )
    assert error_of(full, few) < 0.1


def error_of(expected: Any, actual: Any) -> float:
    """Root of the mean square of the error, relative to that of what was expected."""
    difference = actual.astype(np.float64) - expected
    return float(np.sqrt((difference**2).mean() / (expected.astype(np.float64) ** 2).mean()))


def test_both_forms_of_4_bits_are_the_same_numbers(store: Path) -> None:
    feeds = feeds_of("llama_step", RNG(15), small=True)
    forms = ("llama_step_int4", "llama_step_int4_qdq")
    operator, blocks = (peer.session(obtain(name, small=True).read_bytes()).run(None, feeds) for name in forms)
    for a, b in zip(operator, blocks, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def test_blocks_err_by_half_a_step_and_keep_zero() -> None:
    weight = RNG(16).standard_normal((BLOCK + 5, 7)).astype(np.float32)
    weight[3] = 0
    codes, scales, zero_points = block_codes(weight, BLOCK, symmetric=False)
    again = ((codes - zero_points[..., np.newaxis]) * scales[..., np.newaxis]).reshape(7, -1).T
    steps = np.repeat(scales, BLOCK, axis=1).T
    assert (np.abs(again[: len(weight)] - weight) <= 0.51 * steps[: len(weight)]).all()
    assert (again[3] == 0).all()
    assert (again[len(weight) :] == 0).all()


def test_opset_21_is_what_blocks_need(store: Path) -> None:
    model = dequantized_blocks(onnx.load(obtain("llama_step", small=True)))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 21)]
    onnx.checker.check_model(model, full_check=True)
