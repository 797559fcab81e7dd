"""The how-to "compare engines": its Python runs and finds what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from diptych.engines import ENGINES, find_engine

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "compare-engines.md"


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), scope)


def test_every_engine_stands_in_the_table_with_its_options() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in ENGINES:
        [row] = re.findall(rf"^\| .*`{re.escape(name)}`.*\|.*$", text.partition("## Engines")[2], re.MULTILINE)
        pytest.importorskip(ENGINES[name][1])
        for option in find_engine(name).takes:
            assert f"`{option}`" in row
