"""Lowering on both panels: the same list, the same bits, and a lowered file that says the same without it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.testing.graphs import GraphCase
from diptych.testing.quantized import quantized_models


def engine(model: bytes, quantized: str, **options: Any) -> diptych.InferenceSession:
    """A session of the engine."""
    chosen = diptych.SessionOptions(quantized=quantized, threads=1)
    for name, value in options.items():
        setattr(chosen, name, value)
    return diptych.InferenceSession(model, chosen)


def same(left: list[Any], right: list[Any]) -> None:
    """Bit by bit."""
    for expected, actual in zip(left, right, strict=True):
        problem = compare(expected, actual).problem
        assert not problem, problem


@settings(max_examples=max(60, settings.default.max_examples))
@given(quantized_models())
def test_panels_agree(case: GraphCase) -> None:
    content = case.model.SerializeToString()
    for quantized in ("integer", "float"):
        left, right = diptych_reference.ReferenceSession(content, quantized=quantized), engine(content, quantized)
        assert [vars(entry) for entry in left.lowering] == [plain(entry) for entry in right.lowering()]
        expected = left.run(None, case.feeds)
        same(expected, right.run(None, case.feeds))
        unoptimised = engine(
            content, quantized, graph_optimization_level=diptych.GraphOptimizationLevel.ORT_DISABLE_ALL
        )
        same(expected, unoptimised.run(None, case.feeds))


def plain(entry: dict[str, Any]) -> dict[str, Any]:
    """Pairs as the reference has them."""
    return {key: tuple(map(tuple, value)) if key.startswith("nodes") else value for key, value in entry.items()}


@settings(max_examples=max(30, settings.default.max_examples // 2))
@given(quantized_models())
def test_the_lowered_model_says_the_same(case: GraphCase) -> None:
    """Its bits in either setting are those of the original with "integer"."""
    content = case.model.SerializeToString()
    session = engine(content, "integer")
    expected = session.run(None, case.feeds)
    lowered = diptych_reference.lowered_model(content).SerializeToString()
    for quantized in ("integer", "float"):
        again = engine(lowered, quantized)
        assert all(entry["meaning"] == "float" for entry in again.lowering())
        same(expected, again.run(None, case.feeds))
        same(expected, diptych_reference.ReferenceSession(lowered, quantized=quantized).run(None, case.feeds))
