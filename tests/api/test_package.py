"""The package itself: what an import costs, what is public, that the stub tells the truth."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import diptych
from diptych import _core


def test_import_loads_nothing_beside_numpy() -> None:
    program = (
        "import sys, numpy; before = set(sys.modules); import diptych;"
        "print(*sorted({n.partition('.')[0] for n in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["diptych"]


def test_import_loads_no_heavy_part_of_the_standard_library() -> None:
    heavy = "print(*({'argparse', 'asyncio', 'importlib.metadata'} & set(sys.modules)))"
    loaded = [
        subprocess.run([sys.executable, "-c", text + heavy], capture_output=True, text=True, check=True).stdout.split()
        for text in ("import sys, numpy;", "import sys, numpy, diptych;")
    ]
    assert set(loaded[1]) <= set(loaded[0])


def test_all_names_exist() -> None:
    assert all(hasattr(diptych, name) for name in diptych.__all__)
    assert len(set(diptych.__all__)) == len(diptych.__all__)


def test_every_error_is_an_error() -> None:
    errors = [value for value in vars(diptych).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(errors) == 13
    assert all(issubclass(error, diptych.Error) for error in errors)


def test_the_stub_names_what_the_module_has() -> None:
    stub = ast.parse((Path(diptych.__file__).parent / "_core.pyi").read_text())
    stubbed: dict[str, set[str]] = {}
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            stubbed[node.name] = {f.name for f in node.body if isinstance(f, ast.FunctionDef) and f.name != "__init__"}
        elif isinstance(node, ast.FunctionDef):
            stubbed[node.name] = set()
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            stubbed[node.target.id] = set()
    public = {name for name in vars(_core) if not name.startswith("_")} | {"__version__"}
    assert set(stubbed) == public
    for name in ("Session", "CancelToken"):
        members = {member for member in vars(getattr(_core, name)) if not member.startswith("_")}
        assert members == stubbed[name]
