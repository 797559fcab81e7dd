"""The left panel's step of "how to add an operator", followed to the letter; the other steps name places that exist."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import diptych_reference
from diptych.compare import compare
from diptych_reference.ops import activation

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "add-an-operator.md").read_text(encoding="utf-8")
KEY = ("", "Softsign")


def test_the_left_panel_function_is_all_it_takes() -> None:
    if KEY in diptych_reference.registry:
        pytest.fail("Softsign has been added: write the page about an operator that is still missing")
    (source,) = re.findall(r"```python\n(@operator.*?)```", PAGE, re.DOTALL)
    try:
        exec(source, dict(vars(activation)))
        assert sorted(diptych_reference.registry[KEY]) == [1, 22]
        x = np.array([-3.0, -0.0, 0.0, 0.1, np.inf, np.nan], np.float32)
        (y,) = diptych_reference.run_operator("Softsign", [x])
        with np.errstate(invalid="ignore"):
            assert compare(x / (np.float32(1) + np.abs(x)), y).equal
    finally:
        diptych_reference.registry.pop(KEY, None)


def test_files_it_names_exist() -> None:
    for path in re.findall(r"`((?:docs|reference|rust_core|python|tests)/[\w/.]+)`", PAGE):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    ("path", "neighbour"),
    [
        ("rust_core/kernels/src/functions/unary.rs", "Unary::Softplus => map!(Softplus),"),
        ("rust_core/engine/src/ops/activation.rs", "UnaryFloat::build(Unary::Softplus)"),
        ("python/diptych/testing/families/elementwise.py", '"Softplus"'),
        ("docs/numerics.md", "| HardSwish |"),
    ],
)
def test_neighbours_of_its_lines_look_as_it_says(path: str, neighbour: str) -> None:
    assert neighbour in (ROOT / path).read_text(encoding="utf-8")
