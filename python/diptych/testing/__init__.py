"""Hypothesis strategies for ONNX: operators, graphs and tensors to test any engine with.

    from hypothesis import given
    from diptych.testing import operator_cases

    @given(operator_cases("Conv", 11, "float"))
    def test_conv(case):
        outputs = my_engine(case.model(), case.feeds())

Needs the extra `diptych[lab]`: the reference for the catalogue and the panels, Hypothesis, mpmath and onnx.
"""

from diptych.testing.case import Case
from diptych.testing.cases import operator_cases
from diptych.testing.catalogue import catalogue, entries
from diptych.testing.graphs import GraphCase, graphs
from diptych.testing.panels import Outcome, difference, engine_paths, on_engine, on_reference
from diptych.testing.schema import Row, row
from diptych.testing.sketch import Sketch, shape_rule

__all__ = [
    "Case",
    "GraphCase",
    "Outcome",
    "Row",
    "Sketch",
    "catalogue",
    "difference",
    "engine_paths",
    "entries",
    "graphs",
    "on_engine",
    "on_reference",
    "operator_cases",
    "row",
    "shape_rule",
]
