"""The how-to "use operators of your own": its code runs, from top to bottom, and its assertions hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import diptych_reference

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "your-own-operator.md"


def test_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    try:
        for block in blocks:
            exec(block, names)
    finally:
        for key in [key for key in diptych_reference.registry if key[0] == "com.example"]:
            del diptych_reference.registry[key]
