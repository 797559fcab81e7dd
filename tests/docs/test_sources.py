"""`diptych.sources`: what pages show of both panels stands where they say it does."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from diptych import sources
from diptych.errors import MissingSourceError, UnsupportedOperatorError
from diptych.sources import panels_of, reference_source, rust_panels, rust_source
from diptych_reference import lookup

ROOT = Path(__file__).parents[2]


def test_every_panel_stands_where_it_says() -> None:
    assert "relu" in rust_panels()
    for panel in rust_panels().values():
        lines = (ROOT / panel.path).read_text(encoding="utf-8").splitlines()[panel.first - 1 : panel.last]
        shown = [line.strip() for line in panel.text.splitlines()]
        assert shown
        kept = [line.strip() for line in lines if "panel" not in line or line.strip() in shown]
        assert "\n".join(shown).strip() == "\n".join(kept).strip(), panel.name
        assert rust_source(panel.name) == panel.text


def test_nested_panels_are_shown_without_their_markers() -> None:
    text = "  // [panel: outer]\n  a\n\n  // [panel: inner piece]\n    b\n  // [/panel]\n  c\n  // [/panel: outer]\n"
    inner, outer = panels_of("x.rs", text)
    assert (inner.name, inner.first, inner.last, inner.text) == ("inner piece", 5, 5, "b\n")
    assert (outer.name, outer.first, outer.last, outer.text) == ("outer", 2, 7, "a\n\n  b\nc\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("// [panel: a]\n", r"x\.rs:1: .*has no end"),
        ("// [/panel]\n", r"x\.rs:1: .*expected no panel to end"),
        ("// [panel: a]\n// [/panel: b]\n", r"x\.rs:2: .*expected the end of 'a'"),
        ("// [panel]\n// [/panel]\n", r"x\.rs:1: a panel needs a name"),
    ],
)
def test_markers_that_do_not_pair_are_errors(text: str, message: str) -> None:
    with pytest.raises(MissingSourceError, match=message):
        list(panels_of("x.rs", text))


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(MissingSourceError, match=r"no '// \[panel: nonsense\]' in .*'relu'"):
        rust_source("nonsense")
    with pytest.raises(UnsupportedOperatorError, match=r"'Nonsense' of domain 'ai\.onnx' is not"):
        reference_source("Nonsense")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    rust_panels.cache_clear()
    with pytest.raises(MissingSourceError, match="from a checkout of Diptych's repository only"):
        rust_source("relu")
    for name in ("one.rs", "two.rs"):
        (tmp_path / "rust_core").mkdir(exist_ok=True)
        (tmp_path / "rust_core" / name).write_text("// [panel: relu]\nx\n// [/panel]\n")
    with pytest.raises(MissingSourceError, match=r"stands twice: rust_core/one\.rs:1 and rust_core/two\.rs:1"):
        rust_source("relu")
    rust_panels.cache_clear()


def test_the_left_panel_is_shown_with_its_decorator() -> None:
    assert reference_source("Relu") == inspect.getsource(lookup("", "Relu", 14).function)
    assert reference_source("Relu", "ai.onnx").startswith('@operator("Relu", since=(6, 13, 14))\ndef relu(')
    assert reference_source("FusedMatMul", "com.microsoft").startswith('@operator("FusedMatMul"')
