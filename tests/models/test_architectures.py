"""Well-known architectures with seeded weights (tools/models): small for the reference, full size beside the peer."""

from __future__ import annotations

import numpy as np
import pytest
from tools.models.architectures import ARCHITECTURES, build

import diptych

from . import peer
from .panels import differences


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_panels_agree_to_the_bit(name: str) -> None:
    model = build(name, small=True).SerializeToString()
    assert list(differences(model, ARCHITECTURES[name].feeds(np.random.default_rng(8), True))) == []


@pytest.mark.parametrize("small", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["small", "full"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_nodes_agree_with_onnxruntime(name: str, small: bool) -> None:
    model = build(name, small=small).SerializeToString()
    assert list(peer.disagreements(model, ARCHITECTURES[name].feeds(np.random.default_rng(9), small))) == []


def test_weights_come_from_the_seed_alone() -> None:
    assert build("bilstm_tagger", small=True) == build("bilstm_tagger", small=True)


def test_both_spellings_of_a_decoder_say_the_same() -> None:
    feeds = ARCHITECTURES["llama_step"].feeds(np.random.default_rng(10), True)
    plain, native = (
        diptych.InferenceSession(build(name, small=True).SerializeToString()).run(None, feeds)
        for name in ("llama_step", "llama_step_23")
    )
    for a, b in zip(plain, native, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["llama_step", "llama_step_23"])
def test_tokens_one_by_one_score_as_they_do_together(name: str) -> None:
    """The cache, the places and the mask fit together, from an empty cache on."""
    session = diptych.InferenceSession(build(name, small=True).SerializeToString())
    ids = np.random.default_rng(11).integers(0, 50, (2, 6))
    caches = [value.name for value in session.get_inputs() if value.name.startswith("past.")]
    cache = {value: np.zeros((2, 2, 0, 8), np.float32) for value in caches}

    def run(start: int, stop: int, past: dict[str, np.ndarray]) -> list[np.ndarray]:
        places = np.tile(np.arange(start, stop), (2, 1))
        mask = np.ones((2, stop), np.int64)
        feeds = {"input_ids": ids[:, start:stop], "position_ids": places, "attention_mask": mask, **past}
        return list(session.run(None, feeds))

    together = run(0, 6, cache)[0]
    for i in range(6):
        scores, *present = run(i, i + 1, cache)
        cache = dict(zip(caches, present, strict=True))
        np.testing.assert_allclose(scores[:, 0], together[:, i], rtol=0, atol=1e-5)
