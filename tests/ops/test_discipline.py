"""The reference computes with IEEE 754 operations alone: no NumPy function whose bits depend on the machine."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import diptych_reference

# NumPy functions whose rounding depends on the CPU, on NumPy's version or on the memory layout.
FORBIDDEN = {
    *("sum", "nansum", "cumsum", "add.reduce", "add.accumulate", "mean", "average", "var", "std", "prod", "cumprod"),
    *("multiply.reduce", "multiply.accumulate", "trapezoid", "convolve", "correlate", "interp", "gradient"),
    *("dot", "vdot", "inner", "outer", "matmul", "tensordot", "einsum", "kron", "vecdot", "matvec", "vecmat", "linalg"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp", "power", "float_power", "cbrt", "hypot"),
    *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh", "arcsinh", "arccosh"),
    *("arctanh", "sinc", "i0", "fft", "round", "around", "reciprocal", "erf", "gamma", "norm", "maximum.accumulate"),
}
MODULES = {"math": {"exp", "log", "log2", "log10", "pow", "sin", "cos", "tan", "tanh", "erf", "fsum", "sumprod"}}
METHODS = {"sum", "mean", "std", "var", "prod", "dot", "cumsum", "cumprod", "round"}
FILES = sorted(Path(diptych_reference.__file__).parent.rglob("*.py"))


def dotted(node: ast.expr) -> str:
    """`np.add.reduce` of an attribute chain, "" where it does not start from a name."""
    if isinstance(node, ast.Attribute):
        prefix = dotted(node.value)
        return f"{prefix}.{node.attr}" if prefix else ""
    return node.id if isinstance(node, ast.Name) else ""


def is_reducing_method(node: ast.expr) -> bool:
    """Whether a call of `node` is `array.sum()` or the like, not a function of a module."""
    modules = ("math", "np", "numpy", "numerics")
    return isinstance(node, ast.Attribute) and node.attr in METHODS and dotted(node).partition(".")[0] not in modules


def violations(source: str) -> list[str]:
    """Line and name of each forbidden function and of each matrix product `@`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            module, _, name = dotted(node).partition(".")
            if module in ("np", "numpy") and (name in FORBIDDEN or name.split(".")[0] in ("linalg", "fft")):
                found.append(f"{node.lineno}: {module}.{name}")
            if name in MODULES.get(module, ()):
                found.append(f"{node.lineno}: {module}.{name}")
        if isinstance(node, ast.Call) and is_reducing_method(node.func):
            found.append(f"{node.lineno}: .{node.func.attr}()")  # type: ignore[attr-defined]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            found.append(f"{node.lineno}: @")
        if isinstance(node, ast.ImportFrom) and node.module in ("numpy", "math"):
            banned = FORBIDDEN if node.module == "numpy" else MODULES["math"]
            found += [f"{node.lineno}: from {node.module} import {a.name}" for a in node.names if a.name in banned]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_only_exact_operations(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    ["np.exp(x)", "np.add.reduce(x)", "x.sum()", "a @ b", "np.linalg.norm(x)", "math.exp(x)", "from numpy import dot"],
)
def test_the_check_finds(source: str) -> None:
    assert violations(source)


# Packages that one operator alone needs. They are imported where it runs, and are an extra of the reference.
OPTIONAL = {"image.py": {"PIL"}}


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Packages that some statements import."""
    names: set[str] = set()
    for node in nodes:
        names |= {a.name for a in node.names} if isinstance(node, ast.Import) else set()
        names |= {node.module or ""} if isinstance(node, ast.ImportFrom) and node.level == 0 else set()
    return {name.partition(".")[0] for name in names}


def test_the_reference_depends_on_numpy_and_onnx_alone() -> None:
    """No import of the engine, and nothing beyond the standard library, NumPy, ml_dtypes and onnx with its protobuf.

    What is optional is never imported with the module, so that the reference works without it.
    """
    allowed = {"numpy", "onnx", "ml_dtypes", "diptych_reference", "google", *sys.stdlib_module_names}
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        inside = {inner for function in functions for inner in ast.walk(function)}
        first = imported(node for node in ast.walk(tree) if node not in inside)
        assert first <= allowed, path.name
        assert imported(inside) <= allowed | OPTIONAL.get(path.name, set()), path.name


def test_without_pillow_only_the_decoder_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(diptych_reference.UnsupportedOperatorError, match=r"needs Pillow.*diptych-reference\[image\]"):
        diptych_reference.run_operator("ImageDecoder", [np.zeros(9, np.uint8)], opset=20)
