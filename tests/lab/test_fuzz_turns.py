"""A short campaign reaches every operator: all in turn, known failures aside, no time lost on shrinking or start."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis.internal.conjecture import providers

from diptych.fuzzer import Campaign, Finding, Settings, Signature
from diptych.fuzzer.campaign import selected_rows
from diptych.fuzzer.turns import name_of, turns
from diptych.testing import Case, catalogue

ABORTS = "tests.lab.adapters:Misbehaving[does=abort,of=Relu]"
HANGS = "tests.lab.adapters:Misbehaving[does=hang,of=Relu]"
NAMES = {name_of(row) for row in catalogue()}


def unknown(operator: str) -> int:
    """No findings."""
    return 0


def test_every_operator_has_its_turn_before_any_has_its_second() -> None:
    rows = list(catalogue())
    order = [name_of(row) for _, row, _ in islice(turns(rows, 1, unknown), 2 * len(NAMES))]
    assert set(order[: len(NAMES)]) == NAMES
    assert order[: len(NAMES)] == order[len(NAMES) :]
    assert order[:20] != [name_of(row) for _, row, _ in islice(turns(rows, 2, unknown), 20)]


def test_the_turns_of_an_operator_go_through_all_its_versions_and_types() -> None:
    rows = selected_rows(["Softmax"])
    met = list(islice(turns(rows, 0, unknown), 2 * sum(len(row.dtypes) for row in rows)))
    half = len(met) // 2
    assert {(row.since, dtype) for _, row, dtype in met[:half]} == {(r.since, d) for r in rows for d in r.dtypes}
    assert {lap for lap, _, _ in met[:half]} == {0}
    assert {lap for lap, _, _ in met[half:]} == {1}


def test_an_operator_sits_out_a_turn_for_each_of_its_findings() -> None:
    known = Counter({"Abs": 2}).__getitem__
    order = [row.op_type for _, row, _ in islice(turns(selected_rows(["Abs", "Relu"]), 0, known), 8)]
    assert sorted(order[:4]) == ["Abs", "Relu", "Relu", "Relu"]
    assert order.count("Abs") == 2


def test_no_operators_have_no_turns() -> None:
    assert not list(turns([], 0, unknown))


def test_findings_count_for_each_engine() -> None:
    campaign = Campaign(["reference", "diptych"], Settings(ops=("Relu",)))
    subject = Case("Relu", "", 14, (np.zeros(1, np.float32),), {}, 1)
    for kind, known in (("bits", 0), ("bound", 1)):
        campaign.findings.append(
            Finding(Signature("diptych", "Relu", 14, kind, "", "float32"), subject, frozenset(), "")
        )
        assert campaign.known("Relu") == known


def test_shrinking_asks_the_engine_that_failed_alone() -> None:
    campaign = Campaign([ABORTS, "reference"], Settings(ops=("Relu",), seconds=None, cases=8, shrink_attempts=20))
    try:
        list(campaign.run())
    finally:
        campaign.close()
    assert campaign.findings
    assert campaign.shrinking > 0
    assert campaign.examiners["reference"].counts["cases"] <= campaign.generated
    assert campaign.examiners["reference"].answered == {".Relu"}


def test_one_hang_is_enough_for_a_batch() -> None:
    settings = Settings(ops=("Relu",), seconds=None, cases=4, timeout=0.05, shrink_attempts=2, shrink_seconds=0.5)
    campaign = Campaign([HANGS], settings)
    try:
        [finding] = campaign.run()
    finally:
        campaign.close()
    assert finding.signature.kind == "hang"
    assert campaign.examiners[HANGS].counts["sat out"] > 0


def test_no_time_is_lost_on_reading_the_sources_of_imported_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    monkeypatch.setattr(providers, "_seen_modules", set())
    monkeypatch.setattr(providers, "_sys_modules_len", None)
    monkeypatch.setattr(providers, "constants_from_module", lambda module: read.append(module) or providers.Constants())
    campaign = Campaign(["reference"], Settings(ops=("Add", "Conv"), seconds=None, cases=30))
    try:
        list(campaign.run())
    finally:
        campaign.close()
    assert not read
    assert providers._get_local_constants.__module__ == "hypothesis.internal.conjecture.providers"
