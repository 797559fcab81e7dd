"""The repro of `diptych reduce`: a test that stands alone, fails while the bug is there, and passes without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.lab.models_reduce import chain, model_of, rng
from tests.lab.planted_reduce import ABSENT

from diptych.cli import main
from diptych.errors import InvalidInputError
from diptych.reducer import Limits, read_bundle, reduce_failure, write_bundle, write_repro
from diptych.reducer.literals import literal
from diptych.reducer.standalone import same, within

PLANTED = Path(__file__).with_name("planted_reduce.py")
# A Python whose path lacks Diptych, to show that the test stands alone.
BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("diptych", "diptych_reference", "tests"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def run_alone(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder without Diptych."""
    blocked = folder / "blocked"
    blocked.mkdir(exist_ok=True)
    (blocked / "sitecustomize.py").write_text(BLOCKER)
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", ABSENT)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**variables, "PYTHONPATH": str(blocked), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("bug", ["dropped_tail", "crash", "fail"])
def test_the_test_stands_alone(bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(PLANTED, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    engine = f"planted_reduce:WrongRelu[bug={bug}]"
    reduction = reduce_failure(*chain(6, 4), engine, limits=Limits(None, 8))  # crashes are slow
    repro = write_repro(reduction, tmp_path)
    assert repro.fails
    assert repro.files == ("model.onnx", "inputs.npz", "test_repro.py")
    assert "No module named" in run_alone(tmp_path, "-c", "import diptych").stderr
    pytest_alone = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_repro.py")
    there = run_alone(tmp_path, *pytest_alone)
    assert there.returncode == 1, there.stdout + there.stderr
    assert "1 failed" in there.stdout
    gone = run_alone(tmp_path, *pytest_alone, **{ABSENT: "1"})
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert run_alone(tmp_path, "test_repro.py").returncode == 1
    assert run_alone(tmp_path, "test_repro.py", **{ABSENT: "1"}).returncode == 0


def test_nodes_that_fail_together_have_a_bound_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(PLANTED, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    reduction = reduce_failure(*chain(12, 20), "planted_reduce:WrongFusion", limits=Limits(None))
    assert len(reduction.model.graph.node) == 2
    assert write_repro(reduction, tmp_path).fails
    assert run_alone(tmp_path, "test_repro.py", **{ABSENT: "1"}).returncode == 0


def test_long_values_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(PLANTED, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    reduction = reduce_failure(
        *chain(6, 4, width=50), "planted_reduce:WrongRelu[bug=dropped_tail]", limits=Limits(None, 6)
    )
    repro = write_repro(reduction, tmp_path)
    assert "expected.npz" in repro.files
    assert repro.fails
    assert run_alone(tmp_path, "test_repro.py", **{ABSENT: "1"}).returncode == 0


def test_onnxruntime_dies_on_the_least_integer_divided_by_minus_one(tmp_path: Path) -> None:
    """A bug of ONNX Runtime 1.31 and 1.32, in a model that does other things as well."""
    pytest.importorskip("onnxruntime")
    nodes = [
        helper.make_node("Abs", ["d"], ["a"]),
        helper.make_node("Neg", ["a"], ["b"]),
        helper.make_node("Div", ["n", "b"], ["q"]),
        helper.make_node("Add", ["q", "n"], ["y"]),
    ]
    integers = [helper.make_tensor_value_info(name, TensorProto.INT32, [3, 3]) for name in "nd"]
    graph = helper.make_graph(nodes, "g", integers, [helper.make_tensor_value_info("y", TensorProto.INT32, [3, 3])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    n, d = np.full((3, 3), 7, np.int32), np.full((3, 3), 2, np.int32)
    n[2, 2], d[2, 2] = -(2**31), 1  # the last of nine elements is behind the vectors
    reduction = reduce_failure(model, {"n": n, "d": d}, "onnxruntime", limits=Limits(None, 30))
    assert [node.op_type for node in reduction.model.graph.node] == ["Div"]
    assert reduction.failure.detail == "SIGFPE"
    repro = write_repro(reduction, tmp_path)
    assert repro.fails
    alone = run_alone(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_repro.py")
    assert "the engine's process died: exit status -8" in alone.stdout


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, feeds = chain(5, 4)
    onnx.save(model, tmp_path / "model.onnx")
    np.savez(tmp_path / "inputs.npz", **feeds)
    given = [
        "reduce",
        str(tmp_path / "model.onnx"),
        "--input",
        str(tmp_path / "inputs.npz"),
        "--out",
        str(tmp_path / "repro"),
    ]
    engine = ["--against", "tests.lab.planted_reduce:WrongRelu[bug=dropped_tail]", "--time", "0"]
    assert main([*given, *engine, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["operators"] == ["Relu"]
    assert said["failure"]["kind"] == "bound"
    assert said["nodes"] == {"before": 5, "after": 1}
    assert said["test_fails"]
    assert main([*given, *engine, "--attempts", "7"]) == 0
    text = capsys.readouterr().out
    assert "the search ended early: 7 attempts are used up" in text
    assert "test_repro.py was run and fails, as it must" in text
    assert main([*given, "--check", "false"]) == 1
    assert "nothing to keep" in capsys.readouterr().err
    (tmp_path / "broken.onnx").write_bytes(b"\xff\xff")
    assert main(["reduce", str(tmp_path / "broken.onnx"), "--against", "onnx.reference"]) == 1
    assert "not an ONNX model" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["reduce", "model.onnx"])


def test_a_check_makes_a_test_too(tmp_path: Path) -> None:
    check = tmp_path / "my_check.py"
    check.write_text("import onnx\ndef bad(model, inputs):\n    return b'Relu' in open(model, 'rb').read()\n")
    reduction = reduce_failure(*chain(5, 4), check=f"{check}:bad", limits=Limits(None))
    repro = write_repro(reduction, tmp_path / "repro")
    assert repro.fails
    check.write_text("def bad(model, inputs):\n    return False\n")
    assert run_alone(repro.folder, "test_repro.py").returncode == 0


VALUES: dict[str, Any] = {
    "plain": np.arange(6, dtype=np.int16).reshape(2, 3),
    "file": np.asarray(1.5),
    "narrow": np.asarray([[1.5], [-0.0]], ml_dtypes.bfloat16),
    "int4": np.asarray([-8, 7], ml_dtypes.int4),
    "words": np.asarray([["ä", ""], ["b" * 9, "c"]], object),
    "sequence": [np.zeros((0, 2), np.float32), np.asarray([1.0], ml_dtypes.float8_e4m3fn)],
    "nothing": None,
    "map": {"a": np.float32(1.5), "b": np.float32(2.0)},
    "empty": [],
}


def test_values_of_all_kinds_go_through_a_file(tmp_path: Path) -> None:
    write_bundle(tmp_path / "v.npz", VALUES)
    found = read_bundle(tmp_path / "v.npz")
    assert found.keys() == VALUES.keys()
    for name, value in VALUES.items():
        assert same(value, found[name]), name
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(InvalidInputError, match="not a file of values"):
        read_bundle(tmp_path / "bad.npz")


def test_values_of_all_kinds_are_written_as_source() -> None:
    draw = rng()
    floats = draw.integers(0, 2**32, 50, dtype=np.uint32).view(np.float32)
    more = {
        "floats": floats,
        "halves": draw.integers(0, 2**16, 50, dtype=np.uint16).view(np.float16),
        "doubles": draw.standard_normal(20),
        "complex": np.asarray([1 + 2j, complex(np.nan, -0.0)], np.complex64),
        "bools": np.asarray([True, False]),
        "scalar": np.asarray(-np.inf),
    }
    for name, value in {**VALUES, **more}.items():
        if name != "map":
            assert same(value, eval(literal(value), {"np": np, "ml_dtypes": ml_dtypes})), name


def test_the_test_of_a_repro_judges_as_the_oracles_do() -> None:
    exact, bound = np.asarray([0.0, 1.0, np.nan, np.inf]), np.full(4, 0.5)
    fine = np.asarray([0.5, 0.6, np.nan, np.inf], np.float32)
    assert within(exact, bound, 3e38, False, fine).all()
    for place, wrong in ((0, 0.6), (1, np.nan), (2, 1.0), (3, -np.inf)):
        got = fine.copy()
        got[place] = wrong
        assert not within(exact, bound, 3e38, False, got)[place]
    assert within(np.zeros(1), np.zeros(1), 3e38, False, np.asarray([-0.0])).all()
    assert not within(np.zeros(1), np.zeros(1), 3e38, True, np.asarray([-0.0])).any()
    assert not same(np.zeros(2, np.float32), np.zeros(2)), "dtypes differ"
    assert not same(np.asarray(0.0), np.asarray(-0.0))


def test_inputs_with_graphs_are_left_as_they_are(tmp_path: Path) -> None:
    """A model of which no part fails alone is written as it is."""
    x = rng().standard_normal((2, 3)).astype(np.float32)
    model = model_of([helper.make_node("Identity", ["x"], ["y"])], {"x": [2, 3]}, ["y"])
    reduction = reduce_failure(model, {"x": x}, check="true", limits=Limits(None, 60))
    assert len(reduction.model.graph.node) == 1
    assert write_repro(reduction, tmp_path).fails
