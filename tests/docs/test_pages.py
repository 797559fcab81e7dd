"""The operator pages of the site: every operator has marked Rust, a rounding program, and a page that is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import pages

from diptych.errors import MissingSourceError
from diptych.explain import kernel, speed
from diptych.explain.kernel import kernels_of, marked_operators, operators_of, rust_lines
from diptych.explain.program import programs_of
from diptych.sources import rust_panels
from diptych_reference import registry

ROOT = Path(__file__).parents[2]
# Operators without a marker around their Rust: this number may only fall.
MOST_WITHOUT_KERNEL = 0
WITHOUT_PROGRAM = {("ai.onnx.preview.training", "Gradient")}  # its own section says what it evaluates


def test_every_operator_has_marked_rust() -> None:
    pages.check_markers(pages.operators())
    missing = sorted(set(pages.operators()) - marked_operators().keys())
    assert len(missing) <= MOST_WITHOUT_KERNEL, missing
    assert set(missing) == pages.WITHOUT_KERNEL


def test_every_operator_has_a_rounding_program() -> None:
    assert {key for key in pages.operators() if not programs_of(key[1], key[0])} == WITHOUT_PROGRAM


def test_markers_name_operators_that_exist() -> None:
    for panel in rust_panels().values():
        for key in operators_of(panel.name):
            assert key in registry, f"{panel.path}:{panel.first}: no operator {key}"


def test_lines_of_rust_have_their_own_numbers() -> None:
    for panel in rust_panels().values():
        lines = (ROOT / panel.path).read_text(encoding="utf-8").splitlines()
        numbered = rust_lines(panel)
        assert "\n".join(text for _, text in numbered) + "\n" == panel.text, panel.name
        assert all(lines[number - 1].strip() == text.strip() for number, text in numbered), panel.name


def test_what_is_an_operators_own_comes_first() -> None:
    panels, _ = kernels_of("Exp")
    assert panels[0].name == "Exp"
    assert len(operators_of(panels[-1].name)) > 5


def test_a_marker_that_vanishes_fails_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left = {key: panels for key, panels in marked_operators().items() if key != ("", "Conv")}
    monkeypatch.setattr(pages, "marked_operators", lambda: left)
    with pytest.raises(MissingSourceError, match=r"names Conv: put one around"):
        pages.write_pages(tmp_path, [("", "Conv"), ("", "Relu")])
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(pages, "WITHOUT_KERNEL", frozenset({("", "Conv"), ("", "Relu")}))
    with pytest.raises(MissingSourceError, match=r"still excuses Relu"):
        pages.check_markers([("", "Conv")])


def test_pages_are_whole_and_written_once(tmp_path: Path) -> None:
    keys = [("", "Relu"), ("com.microsoft", "Gelu")]
    assert pages.write_pages(tmp_path, keys, examples=1) == (2, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Relu.md", "com.microsoft.Gelu.md", "index.md"]
    text = (tmp_path / "Relu.md").read_text(encoding="utf-8")
    assert text.startswith("---\nhide-toc: true\n---\n")
    for expected in (
        "# Relu\n",
        "````{raw} html",
        "Left panel",
        "Right panel",
        "Error meter",
        "the same bits",
        "Speed",
    ):
        assert expected in text
    assert 'src="' not in text
    index = (tmp_path / "index.md").read_text(encoding="utf-8")
    assert "[com.microsoft.Gelu](com.microsoft.Gelu.md)" in index
    assert pages.write_pages(tmp_path, keys, examples=1) == (0, 2)
    assert pages.write_pages(tmp_path, keys[:1], examples=2) == (1, 0)


def test_recorded_speed_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "machine").mkdir()
    results = """{"commit_hash": "0123456789ab", "date": 5, "result_columns": ["result", "params", "version"],
        "results": {"conv.Conv.time_run": [[0.002, null, 3e-6], [["'engine'", "'reference'", "'x'"]], "1"],
                    "m.Models.peakmem": [[3145728], [["'Conv'"]], "1"]}}"""
    (tmp_path / "machine" / "0123-env.json").write_text(results, encoding="utf-8")
    monkeypatch.setattr(speed, "RESULTS", tmp_path)
    speed.recorded.cache_clear()
    try:
        measured, reason = speed.speed_of("Conv")
        assert reason == ""
        assert [(m.parameters, m.value) for m in measured] == [("engine", "2 ms"), ("x", "3 µs"), ("Conv", "3 MiB")]
        assert speed.speed_of("Relu") == ((), "No recorded benchmark runs this operator by itself.")
    finally:
        speed.recorded.cache_clear()


def test_markers_tell_operators_from_notes() -> None:
    assert operators_of("Add com.microsoft.Gelu rows") == [("", "Add"), ("com.microsoft", "Gelu")]
    assert kernel.kernels_of("Add")[0]
