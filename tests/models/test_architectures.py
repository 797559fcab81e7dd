"""Well-known architectures with seeded weights (tools/models): small for the reference, full size beside the peer."""

from __future__ import annotations

import numpy as np
import pytest
from tools.models.architectures import ARCHITECTURES, build

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
