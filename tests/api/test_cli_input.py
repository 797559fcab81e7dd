"""The command line with input it cannot use: one line that names it, never a traceback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from diptych.cli import main

from . import models


@pytest.fixture
def relu(tmp_path: Path) -> str:
    path = tmp_path / "relu.onnx"
    path.write_bytes(models.unary("Relu", ["batch", 3]))
    return str(path)


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.npy", b"\x93NUMPY\x01\x00truncated"), ("x.npy", b"noise"), ("x.npz", b"noise"), ("x.pb", b"\xff\xffnoise")],
)
def test_damaged_files_are_named(
    relu: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    file = written(tmp_path / name, content)
    given = file if name.endswith(".npz") else f"x={file}"
    assert main(["run", relu, "--input", given]) == 1
    error = capsys.readouterr().err
    assert "--input" in error
    assert name in error


def test_missing_files_are_named(relu: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", relu, "--input", "x=nowhere.npy"]) == 1
    assert "nowhere.npy" in capsys.readouterr().err


def test_inputs_too_large_to_be_made_up_are_an_error(relu: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", relu, "--dim", "batch=1000000000000000", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "ResourceLimitError"


def test_json_has_no_bare_nan(relu: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.array([[np.nan, np.inf, 1.0]], np.float32))
    assert main(["run", relu, "--input", f"x={tmp_path / 'x.npy'}", "--values", "--json"]) == 0

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    report = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert report["outputs"][0]["values"] == [["NaN", "Infinity", 1.0]]


def test_interrupting_ends_an_endless_run(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["s", "one"], ["next"])],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", TensorProto.INT64), ("go", TensorProto.BOOL))]
        + [helper.make_tensor_value_info("s", TensorProto.FLOAT, [])],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("next", 1, [])],
        [helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
        [helper.make_tensor("yes", TensorProto.BOOL, [], [True])],
    )
    path = tmp_path / "endless.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    # The shell that runs tests in the background ignores the signal; the command line of a user does not.
    start = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from diptych.cli import main; print('ready', flush=True); sys.exit(main(['run', sys.argv[1]]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", start, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in error
