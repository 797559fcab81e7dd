"""The operator matrix of the docs is what the registries, the schemas and the suite say."""

from __future__ import annotations

import onnx
import pytest
from tools import operators


def test_the_page_is_up_to_date() -> None:
    text = operators.PAGE.read_text(encoding="utf-8")
    if f"onnx {onnx.__version__})" not in text:
        pytest.skip(f"the page was written with another onnx than {onnx.__version__}")
    assert text == operators.render(), "run python -m tools.operators --write"
