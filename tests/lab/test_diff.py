"""`diptych.diff`: faults planted in an engine are found at their nodes, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.lab.models import CHAIN, CONTROL, DYNAMIC, FEEDS, FUNCTION, SEQUENCE, STRINGS, built

import diptych.diff
from diptych.diff import Report, diff, document
from diptych.errors import InvalidInputError

MISBEHAVING = "tests.lab.adapters:Misbehaving"


def planted(op: str, fault: str = "value", node: str = "") -> str:
    return f"tests.lab.adapters:Planted[op={op},fault={fault}{f',node={node}' if node else ''}]"


def compared(text: str, spec: str, **options: Any) -> Report:
    return diff(built(text), FEEDS[text], against=[spec], isolate=False, **options)


def wrong(report: Report) -> list[str]:
    json.dumps(document(report))
    return [node.label for node in report.violations]


@pytest.mark.parametrize(
    ("text", "op", "label"),
    [
        (CHAIN, "Tanh", "second"),
        (CHAIN, "MatMul", "first"),
        (DYNAMIC, "Reshape", "flat"),
        (DYNAMIC, "NonZero", "where"),
        (CONTROL, "Add", "loop[0]/branch[0]/more"),
        (CONTROL, "ReduceSum", "loop[0]/total"),
        (SEQUENCE, "SplitToSequence", "split"),
        (SEQUENCE, "Exp", "exp[0]/inner"),
        (STRINGS, "StringConcat", "twice"),
        (FUNCTION, "Abs", "call/outer"),
    ],
)
@pytest.mark.parametrize("oracle", ["reference", "float64"])
def test_a_planted_fault_is_named_and_the_walk_stops(text: str, op: str, label: str, oracle: str) -> None:
    report = compared(text, planted(op), oracle=oracle)
    assert wrong(report) == [label]
    assert (report.nodes[-1].label, report.failed, report.complete) == (label, True, False)


@pytest.mark.parametrize("text", FEEDS)
@pytest.mark.parametrize("oracle", ["reference", "float64"])
def test_the_reference_agrees_with_itself(text: str, oracle: str) -> None:
    report = compared(text, "reference", oracle=oracle, stop=False)
    assert wrong(report) == []
    assert report.complete
    assert not report.failed
    for node in report.nodes:
        [engine] = node.engines.values()
        assert engine.status in ("right", "unjudged"), (node.label, engine.detail)
        if oracle == "reference":
            assert [judged.differing for judged in engine.outputs] == [0] * len(engine.outputs)


def test_inherited_error_is_not_blamed_on_later_nodes() -> None:
    report = compared(CHAIN, planted("Tanh"), stop=False)
    assert wrong(report) == ["second"]
    engines = {node.label: next(iter(node.engines.values())) for node in report.nodes}
    shares = {name: (engine.share, next(iter(engine.total.values()))) for name, engine in engines.items()}
    assert shares["first"][1].error == 0
    assert shares["second"][0] is not None
    assert shares["second"][0] > 1e5
    for name in ("third", "fourth"):
        local, total = shares[name]
        assert local == 0
        assert total.share is not None
        assert total.share > 1e4
    [outputs] = report.outputs.values()
    assert outputs.outputs["y"].relative > 0.01
    assert not outputs.violates  # of another engine: what it inherits has no bound


def test_the_window_shows_the_worst_element() -> None:
    report = compared(CHAIN, planted("Tanh"))
    [node] = report.violations
    [judged] = next(iter(node.engines.values())).outputs
    assert judged.index == (1, 2)
    assert judged.window is not None
    assert (judged.window.slice, judged.window.worst) == ("[0:2, 0:3]", (1, 2))
    assert float(judged.window.actual[1][2]) == pytest.approx(float(judged.window.expected[1][2]) + 1)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [("dtype", "type", "dtype float64"), ("shape", "type", "shape [1, 3]"), ("nan", "class", "NaN")],
)
def test_types_shapes_and_classes(fault: str, kind: str, words: str) -> None:
    feeds = {"x": np.full((2, 4), np.nan, np.float32)}
    report = diff(built(CHAIN), feeds, against=[planted("Tanh", fault)], isolate=False)
    [node] = report.violations
    [judged] = next(iter(node.engines.values())).outputs
    assert (node.label, judged.kind) == ("second", kind)
    assert words in judged.problem


def test_nodes_that_hold_the_wrong_one_are_left_to_it() -> None:
    report = compared(CONTROL, planted("Add", node="more"), stop=False)
    assert wrong(report) == ["loop[0]/branch[0]/more"]
    status = {node.label: next(iter(node.engines.values())).status for node in report.nodes}
    assert (status["loop[0]/branch"], status["loop"]) == ("unjudged", "unjudged")


def test_more_iterations() -> None:
    labels = [node.label for node in compared(CONTROL, "reference", iterations=3).nodes]
    assert [label for label in labels if label.endswith("total")] == [f"loop[{i}]/total" for i in range(3)]


def test_a_crash_a_hang_a_refusal_and_an_exception_are_told_apart() -> None:
    specs = {does: f"{MISBEHAVING}[of=Tanh,does={does}]" for does in ("abort", "hang", "refuse", "raise")}
    report = diff(built(CHAIN), FEEDS[CHAIN], against=list(specs.values()), stop=False, timeout=5)
    found = {node.label: {does: node.engines[spec].status for does, spec in specs.items()} for node in report.nodes}
    assert found["second"] == {"abort": "crashed", "hang": "hung", "refuse": "refused", "raise": "failed"}
    assert {status for label in ("first", "third", "fourth") for status in found[label].values()} == {"right"}
    assert {does: report.outputs[spec].status for does, spec in specs.items()} == found["second"]
    assert [report.outputs[spec].violates for spec in specs.values()] == [True, True, False, True]
    assert len(report.notes) == 4  # none of them runs the whole model
    assert all("no inherited error" in note for note in report.notes)


def test_values_that_wait_for_a_run_of_the_whole_model_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = compared(CHAIN, planted("Tanh"), stop=False)
    monkeypatch.setattr(diptych.diff, "BUDGET", 1)
    one_by_one = compared(CHAIN, planted("Tanh"), stop=False)
    assert document(at_once)["outputs"] == document(one_by_one)["outputs"]
    for left, right in zip(at_once.nodes, one_by_one.nodes, strict=True):
        assert [e.total for e in left.engines.values()] == [e.total for e in right.engines.values()]


def test_binary64_says_how_far_a_whole_model_is_from_the_truth() -> None:
    report = compared(CHAIN, "reference", oracle="float64", stop=False)
    totals = [next(iter(next(iter(node.engines.values())).total.values())) for node in report.nodes]
    assert all(0 < total.relative < 1e-6 for total in totals[:2])
    assert all(node.note == "" for node in report.nodes)


def test_binary64_says_which_nodes_it_cannot_widen() -> None:
    text = """<ir_version: 10, opset_import: ["" : 22]>
    quantized (float[n] x) => (float[n] y)
    <float s = {0.1}, int8 z = {3}>
    { q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)  y = Exp(d) }"""
    feeds = {"x": np.array([0.3, -1], np.float32)}
    report = diff(built(text), feeds, against=["reference"], oracle="float64", isolate=False, stop=False)
    assert {node.op_type: "types" in node.note for node in report.nodes}["DequantizeLinear"]
    assert not report.nodes[-1].note
    assert not report.failed


@pytest.mark.parametrize("options", [{"oracle": "magic"}, {"iterations": 0}, {"against": ["nobody"]}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        diff(built(CHAIN), FEEDS[CHAIN], **{"against": ["reference"], "isolate": False, **options})


def test_an_engine_that_cannot_give_one_value_gives_the_others() -> None:
    spec = "tests.lab.adapters:Shy[of=b]"
    report = compared(CHAIN, spec, stop=False)
    totals = {node.name: len(node.engines[spec].total) for node in report.nodes}
    assert totals == {"first": 1, "second": 0, "third": 1, "fourth": 1}
    assert any("some nodes" in note for note in report.notes)
