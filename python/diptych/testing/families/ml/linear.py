"""LinearRegressor and LinearClassifier."""

from __future__ import annotations

from typing import Any

from diptych.testing.families.ml.common import batch, floats, labels, ml_rule, transform
from diptych.testing.sketch import Sketch


@ml_rule("LinearRegressor")
def linear_regressor(s: Sketch) -> list[Any]:
    """Coefficients [targets, F]."""
    x = batch(s, 37)
    targets = s.attribute("targets", 1, 2, 3, 17)
    s.set("coefficients", floats(s, targets * x[-1]))
    if s.coin():
        s.set("intercepts", floats(s, targets))
    transform(s)
    return [s.tensor(x)]


@ml_rule("LinearClassifier")
def linear_classifier(s: Sketch) -> list[Any]:
    """A row of coefficients a class, or one for two classes."""
    x = batch(s, 37)
    s.n_outputs = 2
    classes = s.choose(2, 1, 3, 5, 17)
    rows = 1 if classes == 2 and x[-1] and s.coin() else classes
    labels(s, classes, "classlabels_ints", "classlabels_strings")
    s.set("coefficients", floats(s, rows * x[-1]))
    if s.coin():
        s.set("intercepts", floats(s, rows))
    s.attribute("multi_class", 0, 1)
    transform(s)
    return [s.tensor(x)]
