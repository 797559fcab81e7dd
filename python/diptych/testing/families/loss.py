"""Losses: predictions, labels, weights of the classes."""

from __future__ import annotations

from typing import Any

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule


@shape_rule("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def loss(s: Sketch) -> list[Any]:
    """Predictions [N, C, d...], classes [N, d...], of which some may be ignored, and perhaps weights [C]."""
    classes = shapes.side(s.draw, 37)
    batch, *inner = s.shape((1, 4), limit=200)
    score_name, target_name, *_ = s.row.inputs
    s.attribute("reduction", "mean", "sum", "none")
    targets = s.tensor((batch, *inner), s.input_dtype(target_name))
    ignored = s.attribute("ignore_index", 0, 1, -1, -100, 1000)
    if classes == 0:  # then no label is valid but an ignored one
        ignored = s.set("ignore_index", -1 if ignored is None else ignored)
        targets[...] = ignored
    else:
        targets = targets % classes
        if ignored is not None and targets.size:
            targets.reshape(-1)[:: s.integer(1, 3)] = ignored
    if s.row.op_type == "SoftmaxCrossEntropyLoss":
        s.n_outputs = s.integer(1, 2)
    scores = s.tensor((batch, classes, *inner), s.input_dtype(score_name))
    return [scores, targets, s.tensor((classes,)) if s.coin() else None]
