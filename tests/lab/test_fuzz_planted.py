"""Twelve bugs planted into the adapter of another engine are found, and nothing that is right is flagged.

ONNX Runtime's bits need not be the reference's, so that bounds, classes and exact probes must tell them apart. Where
it has bugs of its own, `RIGHT` leaves the operator out: docs/findings.md says which those are.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.lab.planted import BUGS

from diptych.fuzzer import Campaign, Settings

CASES = 400
ROUNDED = ("bound", "class")  # a bug in arithmetic shows in numbers, or in what becomes 0 or infinite
KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("wrong_rounding", "dropped_tail", "swapped_axis", "fast_exp", "f16_accumulation"), ROUNDED),
    "off_by_one_pad": ROUNDED,
    "wrong_broadcast": (*ROUNDED, "bits"),
    "lost_nan": ("bits",),
    "lost_negative_zero": ("class",),
    "stale_buffer": ("history",),
    "wrong_tie": ("bound",),
    "wrong_dtype": ("type",),
}
# Operators, common types, on which ONNX Runtime has no bug that these cases meet.
RIGHT = ("Conv", "MatMul", "Gemm", "Add", "Mul", "Exp", "Softmax", "LayerNormalization", "Concat", "Transpose", "Neg")
ALL = ("body", "float64", "batch", "history")


def campaign(spec: str, ops: tuple[str, ...], **settings: object) -> Campaign:
    """A campaign that has run."""
    made = Campaign([spec], Settings(ops=ops, seconds=None, shrink_attempts=30, **settings))  # type: ignore[arg-type]
    try:
        list(made.run())
    finally:
        made.close()
    return made


@pytest.mark.parametrize("bug", sorted(BUGS))
def test_planted_bug_is_found(bug: str) -> None:
    made = Campaign(
        [f"tests.lab.planted:Planted[bug={bug}]"],
        Settings(ops=(BUGS[bug],), seconds=120.0, cases=CASES, shrink_attempts=30),
    )
    try:
        finding = next(made.run(), None)
    finally:
        made.close()
    assert finding is not None, f"{bug} is not found in {made.generated} cases"
    assert finding.signature.operator == BUGS[bug]
    assert finding.signature.kind in KINDS[bug], str(finding)


def test_every_planted_bug_has_a_kind() -> None:
    assert KINDS.keys() == BUGS.keys()
    assert len(BUGS) == 12


@pytest.mark.parametrize("engine", ["reference", "diptych"])
def test_panels_are_not_flagged_by_bounds(engine: str) -> None:
    made = campaign(engine, (), cases=150, seed=3, bits=False, relations=ALL, batch=1)
    assert not made.findings, [str(finding) for finding in made.findings]
    assert made.examiners[engine].counts["right"] > 50


def test_another_engine_is_not_flagged_where_it_is_right() -> None:
    made = campaign("onnxruntime", RIGHT, cases=150, seed=3, relations=ALL)
    answered = [finding for finding in made.findings if finding.signature.kind != "error"]  # it refuses empty tensors
    assert not answered, [str(finding) for finding in answered]
    assert made.examiners["onnxruntime"].counts["right"] > 25


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["reference", "diptych"])
def test_panels_are_not_flagged_by_bounds_in_many_cases(engine: str) -> None:
    made = campaign(engine, (), cases=8000, seed=4, bits=False, relations=ALL, batch=2)
    assert not made.findings, [str(finding) for finding in made.findings]


def test_equal_seeds_do_equal_things() -> None:
    first, second = (
        campaign("tests.lab.planted:Planted[bug=lost_nan]", ("Max",), cases=40, seed=7, relations=()) for _ in range(2)
    )
    assert [repr(f) for f in first.findings] == [repr(f) for f in second.findings]
    assert first.findings
    assert "nan" in first.findings[0].specials
    assert np.isnan(first.findings[0].subject.inputs[0]).any() or len(first.findings[0].subject.inputs) > 1  # type: ignore[union-attr]
