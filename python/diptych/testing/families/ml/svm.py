"""SVMRegressor and SVMClassifier."""

from __future__ import annotations

from typing import Any

from diptych.testing.families.ml.common import batch, floats, labels, ml_rule, transform
from diptych.testing.sketch import Sketch


def kernel(s: Sketch) -> None:
    """A kernel and its parameters: moderate ones, at times special ones."""
    s.attribute("kernel_type", "RBF", "LINEAR", "POLY", "SIGMOID")
    if s.integer(0, 3):
        s.set(
            "kernel_params", [s.choose(0.5, 1.0, 0.0, -0.25), s.choose(0.0, 0.25, -1.0), s.choose(3.0, 2.0, 0.5, 0.0)]
        )
    elif s.coin():
        s.set("kernel_params", floats(s, 3))


@ml_rule("SVMRegressor")
def svm_regressor(s: Sketch) -> list[Any]:
    """With support vectors or a linear model."""
    x = batch(s)
    moderate = bool(s.integer(0, 2))
    kernel(s)
    supports = s.choose(3, 0, 1, 16, 17, 70)
    if supports:
        s.set("n_supports", supports)
        s.set("support_vectors", floats(s, supports * x[-1], specials=not moderate))
    s.set("coefficients", floats(s, supports or x[-1], specials=not moderate))
    s.set("rho", floats(s, s.choose(1, 2)))
    s.attribute("one_class", 0, 1)
    transform(s)
    return [s.tensor(x, specials=not moderate)]


@ml_rule("SVMClassifier")
def svm_classifier(s: Sketch) -> list[Any]:
    """A linear model, or a score for each pair of classes, or probabilities from these."""
    x = batch(s)
    moderate = bool(s.integer(0, 2))
    s.n_outputs = 2
    kernel(s)
    linear = s.integer(0, 3) == 3
    classes = s.choose(1, 2, 3) if linear else s.choose(2, 3, 4, 7)
    labels(s, classes, "classlabels_ints", "classlabels_strings")
    transform(s)
    if linear:
        s.set("coefficients", floats(s, classes * x[-1], specials=not moderate))
        s.set("rho", floats(s, s.choose(1, classes)))
        return [s.tensor(x, specials=not moderate)]
    counts = [s.choose(1, 2, 3, 0, 9) for _ in range(classes - 1)]
    counts.append(s.choose(1, 2, 17))
    pairs, total = classes * (classes - 1) // 2, sum(counts)
    s.set("vectors_per_class", counts)
    s.set("support_vectors", floats(s, total * x[-1], specials=not moderate))
    s.set("coefficients", floats(s, (classes - 1) * total, specials=not moderate))
    s.set("rho", floats(s, pairs + s.choose(0, 1), specials=not moderate))
    if s.coin():
        s.set("prob_a", floats(s, pairs, specials=not moderate))
        s.set("prob_b", floats(s, pairs, specials=not moderate))
    return [s.tensor(x, specials=not moderate)]
