"""The command line: what it prints, its exit statuses, its JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper, parser

import diptych
from diptych.cli import COMMANDS, main, peers
from diptych.cli.peers import thread_count
from diptych.diff.judging import Call, judge_call
from diptych.engines import Engine, Run, find_engine

from . import models

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
MODEL = str(DIGITS / "digits.onnx")
IMAGE = f"image={DIGITS / 'images' / '7.npy'}"


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    assert main([*arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_run_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", MODEL, "--input", IMAGE, "--values"]) == 0
    printed = capsys.readouterr().out
    assert "probability" in printed
    assert "[1, 10]" in printed


def test_run_json_and_save(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    document = run_json(capsys, "run", MODEL, "--input", IMAGE, "--values", "--save", str(tmp_path))
    (output,) = document["outputs"]
    assert (output["name"], output["type"], output["shape"]) == ("probability", "float32", [1, 10])
    assert int(np.argmax(output["values"])) == 7
    saved = np.load(output["file"])
    assert saved.dtype == np.float32
    np.testing.assert_array_equal(saved, np.array(output["values"], np.float32))


def test_run_reads_npz_and_pb(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    image = np.load(DIGITS / "images" / "7.npy")
    np.savez(tmp_path / "all.npz", image=image)
    (tmp_path / "image.pb").write_bytes(numpy_helper.from_array(image).SerializeToString())
    for given in (str(tmp_path / "all.npz"), f"image={tmp_path / 'image.pb'}"):
        document = run_json(capsys, "run", MODEL, "--input", given, "--values")
        assert int(np.argmax(document["outputs"][0]["values"])) == 7


def test_made_up_inputs_follow_dim_and_seed(capsys: pytest.CaptureFixture[str]) -> None:
    def run(*more: str) -> Any:
        return run_json(capsys, "run", MODEL, "--values", *more)["outputs"][0]

    assert run("--dim", "n=3")["shape"] == [3, 10]
    assert run("--seed", "1")["values"] == run("--seed", "1")["values"]
    assert run("--seed", "1")["values"] != run("--seed", "2")["values"]


def test_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", MODEL, "--plan"]) == 0
    printed = capsys.readouterr().out
    assert "held_out_accuracy" in printed
    assert "MaxPool" in printed
    document = run_json(capsys, "inspect", MODEL)
    assert document["inputs"] == [{"name": "image", "type": "tensor(float)", "shape": ["n", 1, 8, 8]}]
    assert document["operators"]["Conv"] == 2
    assert document["metadata"]["opsets"] in ({"": 17}, {"ai.onnx": 17})


@pytest.mark.parametrize("more", [[], ["--all"], ["--no-passes", "--isa", diptych.available_isas()[0]]])
def test_diff_of_agreeing_panels(capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    assert main(["diff", MODEL, "--input", IMAGE, *more]) == 0
    assert "10 nodes compared" in capsys.readouterr().out
    document = run_json(capsys, "diff", MODEL, "--input", IMAGE, *more)
    [spec] = document["engines"]
    assert [node["engines"][spec]["status"] for node in document["nodes"]] == ["right"] * 10
    assert [output["differing"] for n in document["nodes"] for output in n["engines"][spec]["outputs"]] == [0] * 10
    assert document["outputs"][spec]["outputs"]["probability"]["problem"] == ""


def test_bench(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--rounds", "2", "--seconds", "0.001", "--threads", "1"]
    (result,) = run_json(capsys, "bench", MODEL, "--against", "reference", *short)
    assert [row["engine"] for row in result["engines"]] == ["diptych", "reference"]
    assert result["engines"][0]["ratio"] == 1
    assert result["engines"][1]["greatest_difference"] == 0
    assert (result["threads"], result["rounds"]) == (1, 2)
    assert main(["bench", MODEL, *short]) == 0
    assert "median_ms" in capsys.readouterr().out


def test_bench_gives_peers_the_threads_of_the_engine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIPTYCH_THREADS", "3")
    assert thread_count(diptych.SessionOptions()) == 3
    assert thread_count(diptych.SessionOptions(threads=2)) == 2
    (result,) = run_json(capsys, "bench", MODEL, "--rounds", "1", "--seconds", "0.001")
    assert result["threads"] == 3


def test_bench_ends_at_a_peer_that_cannot_run_the_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class UnableToRun(Engine):
        def prepare(self, model: bytes | Path) -> Run:
            return lambda feeds: [].pop()

    monkeypatch.setattr(peers, "find_engine", lambda name: find_engine(name) if name == "diptych" else UnableToRun)
    document = run_json(capsys, "bench", MODEL, "--against", "reference", status=1)
    assert "reference does not run the model: pop from empty list" in document["error"]["message"]


def test_bench_feeds_openvino_by_the_names_of_the_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """OpenVINO drops a Cast that changes nothing, and then calls the input by the name of the Cast's output."""
    pytest.importorskip("openvino")
    x, y = (helper.make_tensor_value_info(name, models.FLOAT, [2]) for name in "xy")
    cast = helper.make_node("Cast", ["x"], ["c"], to=models.FLOAT)
    path = tmp_path / "model.onnx"
    path.write_bytes(models.build([cast, helper.make_node("Relu", ["c"], ["y"])], [x], [y]))
    short = ["--rounds", "1", "--seconds", "0.001", "--threads", "1"]
    (result,) = run_json(capsys, "bench", str(path), "--against", "openvino", *short)
    assert result["engines"][1]["greatest_difference"] == 0


def test_ops(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops", "gemm"]) == 0
    assert "Gemm" in capsys.readouterr().out
    rows = run_json(capsys, "ops")
    (relu,) = [row for row in rows if (row["domain"], row["op_type"]) == ("", "Relu")]
    assert relu["onnx"] == relu["engine"] == relu["reference"] == [1, 6, 13, 14]
    assert main(["ops", "no such operator"]) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "missing.onnx"], "missing.onnx"),
        (["run", MODEL, "--input", "nope"], "NAME=FILE"),
        (["run", MODEL, "--input", "image=nope.npy"], "nope.npy"),
        (["run", MODEL, "--input", f"picture={DIGITS / 'images' / '7.npy'}"], "picture"),
        (["run", MODEL, "--dim", "m=3"], "'m'"),
        (["run", MODEL, "--dim", "n=x"], "NAME=N"),
        (["run", MODEL, "--output", "nope"], "nope"),
        (["run", MODEL, "--disable-pass", "nope"], "nope"),
        (["bench", MODEL, "--against", "nobody"], "nobody"),
        (["bench", MODEL, "--rounds", "0"], "--rounds"),
    ],
)
def test_errors_are_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert said in run_json(capsys, *arguments, status=1)["error"]["message"]


def test_models_the_engine_lacks_are_errors(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.unary("NoSuchOperator", [1]))
    document = run_json(capsys, "inspect", str(path), status=1)
    assert document["error"]["type"] == "UnsupportedOperatorError"


@pytest.mark.parametrize(("text", "limit"), [("4096", 4096), ("2K", 2048), ("1G", 1 << 30), ("1GiB", 1 << 30)])
def test_byte_counts(text: str, limit: int) -> None:
    from diptych.cli import build_parser

    assert build_parser().parse_args(["run", "m", "--memory-limit", text]).memory_limit == limit


def test_python_m_diptych() -> None:
    done = subprocess.run([sys.executable, "-m", "diptych", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"diptych {diptych.__version__} (numerics {diptych.numerics_version}; ")


def quantized_model(path: Path) -> str:
    """A product between Q and DQ, and one whose weights alone are quantized."""
    text = """<ir_version: 10, opset_import: ["": 21]>
    quantized (float[4, 5] x) => (float[4, 2] y)
    <float xs = {0.02}, uint8 xz = {128}, int8[5, 2] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, float ws = {0.01}> {
      xq = QuantizeLinear(x, xs, xz)
      xd = DequantizeLinear(xq, xs, xz)
      wd = DequantizeLinear(w, ws)
      [product] a = MatMul(xd, wd)
      [weights_only] b = MatMul(x, wd)
      y = Add(a, b)
    }"""
    path.write_bytes(parser.parse_model(text).SerializeToString())
    return str(path)


def test_inspect_lists_what_was_lowered(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = quantized_model(tmp_path / "model.onnx")
    entries = {entry["node"]: entry for entry in run_json(capsys, "inspect", model)["lowering"]}
    assert entries["product"]["meaning"] == "integer"
    assert [op_type for _, op_type in entries["product"]["nodes_out"]] == ["MatMulInteger", "Cast", "Mul"]
    assert entries["weights_only"]["reason"] == "A is not quantized"
    assert main(["inspect", model]) == 0
    assert "A is not quantized" in capsys.readouterr().out
    assert run_json(capsys, "inspect", model, "--quantized", "float")["lowering"] == []


def test_lower_writes_the_lowered_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, output = quantized_model(tmp_path / "model.onnx"), str(tmp_path / "lowered.onnx")
    assert main(["lower", model, "-o", output]) == 0
    assert "1 of 2 products" in capsys.readouterr().out
    assert "MatMulInteger" in run_json(capsys, "inspect", output, "--quantized", "float")["operators"]
    document = run_json(capsys, "lower", model, "-o", output, "--quantized", "float")
    assert document == {"output": output, "lowering": []}
    assert "MatMulInteger" not in run_json(capsys, "inspect", output, "--quantized", "float")["operators"]


def test_lower_refuses(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = quantized_model(tmp_path / "model.onnx")
    assert main(["lower", model, "-o", model]) == 1
    assert "is the model itself" in capsys.readouterr().err
    assert main(["lower", str(tmp_path / "none.onnx"), "-o", str(tmp_path / "out.onnx")]) == 1
    assert main(["lower", model, "-o", str(tmp_path / "none" / "out.onnx")]) == 1
    assert main(["lower", model, "-o", str(tmp_path / "out.onnx"), "--json"]) == 0


def convolution_model(path: Path) -> str:
    """A convolution that fast mode computes by another program, and one behind it that it does not."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape).astype(np.float32) for shape in ((64, 32, 3, 3), (8, 64, 1, 1))]
    names = ["w", "v"]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="wide", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "v"], ["y"], name="pointwise"),
    ]
    constants = [numpy_helper.from_array(array, name) for array, name in zip(weights, names, strict=True)]
    x = helper.make_tensor_value_info("x", 1, [1, 32, 20, 20])
    y = helper.make_tensor_value_info("y", 1, [1, 8, 20, 20])
    path.write_bytes(models.build(nodes, [x], [y], constants))
    return str(path)


def test_fast_mode_is_told_everywhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = convolution_model(tmp_path / "model.onnx")
    assert run_json(capsys, "inspect", model)["math"] == "exact"
    assert run_json(capsys, "inspect", model, "--math", "fast")["math"] == "fast"
    assert run_json(capsys, "run", model, "--math", "fast")["math"] == "fast"
    profile = run_json(capsys, "profile", model, "--math", "fast", "--runs", "1")
    algorithms = {node["name"]: node["algorithm"] for node in profile["nodes"]}
    assert (profile["math"], algorithms["wide"], algorithms["pointwise"]) == ("fast", "winograd", "")
    assert main(["profile", model, "--math", "fast", "--runs", "1"]) == 0
    assert "winograd" in capsys.readouterr().out
    assert main(["profile", model, "--runs", "1"]) == 0
    assert "algorithm" not in capsys.readouterr().out


def test_diff_holds_fast_mode_to_its_bound(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = convolution_model(tmp_path / "model.onnx")
    document = run_json(capsys, "diff", model, "--math", "fast")
    judged = {node["name"]: node["engines"]["diptych[math=fast]"] for node in document["nodes"]}
    (wide,), (pointwise,) = (judged[name]["outputs"] for name in ("wide", "pointwise"))
    assert wide["how"] == "fast mode's bound"
    assert wide["differing"] > 0
    assert 0 < wide["share"] < 1
    assert (pointwise["how"], pointwise["differing"]) == ("bits", 0)
    exact = run_json(capsys, "diff", model)
    assert not any(o["differing"] for node in exact["nodes"] for o in node["engines"]["diptych"]["outputs"])


def test_fast_mode_has_a_bound_that_judges(tmp_path: Path) -> None:
    """A result outside is a difference like any other."""
    session = diptych.InferenceSession(convolution_model(tmp_path / "model.onnx"))
    assert session.math == "exact"
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((1, 32, 20, 20), (64, 32, 3, 3)))
    (expected,) = diptych.run_operator("Conv", [x, w], {"pads": [1] * 4})
    (fast,) = diptych.run_operator("Conv", [x, w], {"pads": [1] * 4}, math="fast")
    call = Call("Conv", "", 22, {"pads": [1] * 4}, (x, w), (expected,), ("y",))
    assert (fast != expected).any()
    assert not judge_call(call, [fast], exact=True, fast=True)[0].wrong
    assert judge_call(call, [fast], exact=True)[0].kind == "bits"
    assert judge_call(call, [fast * np.float32(1.001)], exact=True, fast=True)[0].kind == "bound"


def test_bench_compares_fast_mode_with_exact(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = convolution_model(tmp_path / "model.onnx")
    short = ["--rounds", "1", "--seconds", "0.001", "--math", "fast", "--against", "diptych.exact"]
    (result,) = run_json(capsys, "bench", model, *short)
    fast, exact = result["engines"]
    assert (fast["version"].split()[-1], exact["version"].split()[-1]) == ("fast", "exact")
    assert 0 < exact["greatest_difference"] < 1e-3


@pytest.mark.parametrize("quantized", ["integer", "float"])
def test_diff_gives_both_panels_the_same_setting(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, quantized: str
) -> None:
    document = run_json(capsys, "diff", quantized_model(tmp_path / "model.onnx"), "--all", "--quantized", quantized)
    operators = [node["op_type"] for node in document["nodes"]]
    assert ("MatMulInteger" in operators) == (quantized == "integer")
    [outputs] = document["outputs"].values()
    assert outputs["outputs"]["y"]["problem"] == ""
    assert not document["failed"]
