"""docs/findings.md is what docs/findings and its rulings say, and each quotation stands in ONNX's text."""

from __future__ import annotations

from tools import findings


def test_the_page_is_up_to_date() -> None:
    assert findings.PAGE.read_text(encoding="utf-8") == findings.page(), "python -m tools.findings"


def test_every_finding_says_what_each_engine_gives() -> None:
    for path in findings.CORPUS.glob("*/meta.json"):
        assert {file.name for file in path.parent.iterdir()} >= {"model.onnx", "inputs.npz", "test_repro.py"}, path
