"""Profiles of sessions: events, traces, and the command that sums them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import diptych
from diptych.cli import main


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Exp, and a Loop whose body has Mul."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Mul", ["s", "two"], ["next"], name="double")],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", TensorProto.INT64), ("go", TensorProto.BOOL))]
        + [helper.make_tensor_value_info("s", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("next", 1, None)],
        [helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Exp", ["x"], ["y"], name="first"),
            helper.make_node("Loop", ["trips", "", "y"], ["z"], name="around", body=body),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [helper.make_tensor("trips", TensorProto.INT64, [], [3])],
    )
    file = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def profiled(path: Path) -> diptych.InferenceSession:
    options = diptych.SessionOptions(threads=1)
    options.enable_profiling = True
    return diptych.InferenceSession(path, options)


def test_every_node_that_ran_has_an_event(path: Path) -> None:
    session = profiled(path)
    session.run(None, {"x": np.zeros(5, np.float32)})
    events = session.take_events()
    assert sorted(event["name"] for event in events) == ["around", "double", "double", "double", "first"]
    exp, loop = (next(event for event in events if event["name"] == name) for name in ("first", "around"))
    assert (exp["op_type"], exp["graph"], exp["bytes"]) == ("Exp", "g", 40)
    inside = [event for event in events if event["name"] == "double"]
    assert {event["graph"] for event in inside} == {"body"}
    assert all(event["start_us"] >= loop["start_us"] for event in inside)
    assert sum(event["duration_us"] for event in inside) <= loop["duration_us"]
    assert session.take_events() == []


FLOAT = TensorProto.FLOAT
WORK = {
    # Shapes of the inputs, attributes, operations.
    "MatMul": ([[2, 5, 7], [7, 3]], {}, 2 * 2 * 5 * 3 * 7),
    "Gemm": ([[7, 5], [7, 3], [3]], {"transA": 1}, 2 * 5 * 3 * 7),
    "Conv": ([[2, 4, 8, 9], [6, 2, 3, 3]], {"group": 2}, 2 * (2 * 6 * 6 * 7) * (2 * 3 * 3)),
    "ConvTranspose": ([[1, 4, 5, 6], [4, 3, 2, 2]], {"strides": [2, 2]}, 2 * (4 * 5 * 6) * (3 * 2 * 2)),
    "LSTM": ([[3, 2, 5], [1, 16, 5], [1, 16, 4]], {"hidden_size": 4}, 2 * 3 * 2 * (16 * 5 + 16 * 4)),
    "Add": ([[4, 5], [5]], {}, 0),
}


@pytest.mark.parametrize("op_type", WORK)
@pytest.mark.parametrize("constant", [False, True])
def test_work_is_counted_from_shapes(op_type: str, constant: bool, tmp_path: Path) -> None:
    shapes, attributes, flops = WORK[op_type]
    values = {f"x{i}": np.ones(shape, np.float32) for i, shape in enumerate(shapes)}
    constants = list(values)[1:] if constant else []  # whose packed form is what the kernel reads
    node = helper.make_node(op_type, list(values), ["y"], name="it", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, FLOAT, x.shape) for name, x in values.items() if name not in constants],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [onnx.numpy_helper.from_array(values[name], name) for name in constants],
    )
    file = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    session = profiled(file)
    [y] = session.run(None, {name: x for name, x in values.items() if name not in constants})
    [event] = session.take_events()
    assert event["flops"] == flops
    assert event["bytes"] == sum(x.nbytes for x in values.values()) + y.nbytes


def test_a_session_without_a_profile_records_nothing(path: Path) -> None:
    session = diptych.InferenceSession(path)
    session.run(None, {"x": np.zeros(5, np.float32)})
    assert session.take_events() == []
    with pytest.raises(diptych.InvalidInputError, match="enable_profiling"):
        session.end_profiling()


def test_end_profiling_writes_a_trace(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = profiled(path)
    session.run(None, {"x": np.zeros(5, np.float32)})
    trace = json.loads(Path(session.end_profiling()).read_text())
    assert {event["name"] for event in trace["traceEvents"]} == {"first", "around", "double"}
    assert all(event["ph"] == "X" and event["dur"] >= 0 for event in trace["traceEvents"])


def test_the_command_sums_runs(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "trace.json"
    assert main(["profile", str(path), "--dim", "n=7", "--runs", "2", "--trace", str(trace), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    calls = {row["op_type"]: row["calls"] for row in report["operators"]}
    assert calls["Exp"] == 1
    assert calls["Mul"] == 3
    shares = {row["op_type"]: row["share"] for row in report["operators"]}
    assert shares.pop("Loop") > 0  # its body's time again
    assert sum(shares.values()) == pytest.approx(1)
    assert trace.exists()
    assert report["peaks"]["gflop_per_s"] > 0
    assert report["peaks"]["gb_per_s"] > 0
    exp = next(node for node in report["nodes"] if node["op_type"] == "Exp")
    assert exp["roofline"] == pytest.approx(exp["bytes"] / (1e6 * report["peaks"]["gb_per_s"]) / exp["ms"])
    assert {node["name"]: node["arena_bytes"] is None for node in report["nodes"]}["double"]
    assert main(["profile", str(path), "--top", "1"]) == 0
    assert "Loop" in capsys.readouterr().out
    assert main(["profile", str(path), "--runs", "0"]) == 1
    assert "--runs" in capsys.readouterr().err
