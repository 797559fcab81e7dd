"""asv_bench: its table holds every operator of every family, and its cases run on both panels. No time is asserted."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import asv_bench.benchmarks as benchmarks
import pytest
from asv_bench.benchmarks.cases import CASES, OperatorCase, family_of

import diptych_reference
from diptych.compare import compare
from diptych.engines import find_engine
from diptych.testing.oracles import judge_outputs

MODULES = ("instructions", "models", "operators", "package")


def module(name: str) -> Any:
    return __import__(f"{benchmarks.__name__}.{name}", fromlist=["*"])


def families() -> dict[str, list[OperatorCase]]:
    """The families of the registry, with their cases."""
    found: dict[str, list[OperatorCase]] = {}
    for versions in diptych_reference.registry.values():
        defined = next(iter(versions.values())).function.__module__
        if defined.startswith("diptych_reference.ops."):  # others are registered by tests
            found[defined.partition(".ops.")[2]] = []
    for case in CASES.values():
        found[family_of(case)].append(case)
    return found


FAMILIES = families()
# Those whose first case takes the reference a second.
QUICK = {name: min(cases, key=lambda case: (case.heavy, case.name)) for name, cases in FAMILIES.items() if cases}


def test_every_family_has_a_benchmark() -> None:
    assert not [name for name, cases in FAMILIES.items() if not cases]


def test_every_operator_has_a_benchmark() -> None:
    known = {
        f"{domain}.{op_type}" if domain else op_type
        for (domain, op_type), versions in diptych_reference.registry.items()
        if next(iter(versions.values())).function.__module__.startswith("diptych_reference.ops.")
    }
    assert known == {case.operator for case in CASES.values()}


@pytest.mark.parametrize("family", sorted(QUICK))
def test_a_case_of_every_family_is_right_on_both_panels(family: str) -> None:
    case = QUICK[family]
    model, feeds = case.model(), case.feeds()
    assert {value.name for value in model.graph.input} == set(feeds)
    assert {value.name for value in model.graph.initializer} == case.constants
    reference, engine = (
        find_engine(name)(1).prepare(model.SerializeToString())(feeds) for name in ("reference", "diptych")
    )
    assert all(compare(a, b).equal for a, b in zip(reference, engine, strict=True))
    verdicts = judge_outputs(case.case(), engine, reference, own_program=True)
    assert not [verdict.problem for verdict in verdicts if verdict.kind]


def classes() -> list[type]:
    """Every class of benchmarks."""
    return [
        found
        for name in MODULES
        for _, found in inspect.getmembers(module(name), inspect.isclass)
        if found.__module__.endswith(f".benchmarks.{name}")
    ]


@pytest.mark.parametrize(
    "found", classes(), ids=lambda found: f"{found.__module__.rpartition('.')[2]}.{found.__name__}"
)
def test_benchmarks_are_versioned_and_count_their_parameters(found: Any) -> None:
    measures = [name for name in vars(found) if re.match("(time|timeraw|peakmem|track)_", name)]
    assert measures
    assert found.version
    assert len(found.params) == len(found.param_names)
    if "panel" in found.param_names:
        assert found.param_names[0] == "panel"
    for name in measures:
        taken = list(inspect.signature(getattr(found, name)).parameters)[1:]
        assert taken[-len(found.param_names) :] == found.param_names
        assert not name.startswith("track_") or found.unit


def test_the_reference_is_spared_what_is_heavy() -> None:
    heavy = next(name for name, case in CASES.items() if case.heavy)
    with pytest.raises(NotImplementedError):
        module("operators").Run().setup("reference", heavy)


def test_memory_is_what_a_call_needs() -> None:
    peak = module("memory").peak_of(lambda: bytearray(b"x" * 50_000_000))
    assert 45_000_000 < peak < 200_000_000


def test_the_check_leaves_out_what_is_big() -> None:
    """`make bench-check` has a few minutes: it takes no callgrind, no model of full size, no peers."""
    makefile = Path(__file__).parents[2].joinpath("Makefile").read_text(encoding="utf-8")
    found = re.search(r"^BENCH_CHECK \?= (.*)$", makefile, re.MULTILINE)
    assert found is not None
    chosen = found.group(1).replace("$$", "$")
    for name in (
        "models.Run.time_run('engine', 'bert', 'full')",
        "operators.Instructions.track_instructions('engine', 'Relu: states')",
        "operators.Peers.time_run('onnxruntime', 'Relu: states')",
    ):
        assert not re.search(chosen, name)
    assert re.search(chosen, "operators.Run.time_run('engine', 'Relu: states')")
    assert re.search(chosen, "models.Run.time_run('reference', 'bert', 'small')")
