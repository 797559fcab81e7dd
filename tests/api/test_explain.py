"""`diptych explain`: an operator, and a model at work, as data, on the terminal, as JSON and as one HTML page."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import diptych
from diptych.cli import main
from diptych.errors import InvalidInputError, UnsupportedOperatorError
from diptych.explain import explain_model, explain_operator
from diptych.explain.assembly import counts_of, hottest, of_calls
from diptych.explain.flow import recording
from diptych.explain.html import model_document, operator_document
from diptych.explain.picture import bytes_in_words
from diptych.explain.shown import digest, show
from diptych.explain.spec import resolve, spec_of
from diptych_reference import ReferenceSession, run_operator

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
MODEL = str(DIGITS / "digits.onnx")
IMAGE = DIGITS / "images" / "7.npy"
VOID = ("meta", "br", "input", "link", "img", "rect", "path")


class Balanced(HTMLParser):
    """Reads a page; fails where an element is not closed, or something is fetched from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.feed(text)
        self.close()
        assert not self.open, self.open
        assert self.targets <= self.ids, self.targets - self.ids

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert "src" not in given, tag
        assert tag not in ("script", "link"), tag
        self.ids.add(given.get("id") or "")
        if href := given.get("href"):
            assert href.startswith("#"), href
            self.targets.add(href[1:])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """Exp of x [n], then a Loop that doubles it three times."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Mul", ["s", "two"], ["next"], name="double")],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", TensorProto.INT64), ("go", TensorProto.BOOL))]
        + [helper.make_tensor_value_info("s", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("next", 1, None)],
        [helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])],
    )
    nodes = [
        helper.make_node("Exp", ["x"], ["y"], name="first"),
        helper.make_node("Loop", ["trips", "", "y"], ["z"], name="around", body=body),
    ]
    return saved(tmp_path, nodes, [helper.make_tensor("trips", TensorProto.INT64, [], [3])])


def saved(folder: Path, nodes: list[Any], constants: list[Any] = []) -> Path:  # noqa: B006
    """A model of x [n] whose output is z."""
    ports = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])] for name in "xz"]
    graph = helper.make_graph(nodes, "small", *ports, constants)
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_an_operator_page_has_all_its_parts() -> None:
    page = explain_operator("Softmax", examples=3)
    assert (page.spec.name, page.spec.versions, page.spec.family) == ("Softmax-13", (1, 11, 13), "softmax")
    assert any("lanesum" in program.text for program in page.programs)
    assert page.example.paths
    assert all(path.problem == "" for path in page.example.paths)
    assert page.example.left[0].name == "softmax"
    assert "softmax_over" in [stretch.name for stretch in page.example.left]
    assert page.kernels, page.no_kernels
    assert {reading.dtype for reading in page.meter} == {"float32", "float64", "float16", "bfloat16"}
    assert all(0 < reading.worst <= 1 and not reading.problem for reading in page.meter)
    assert page.conformance is not None
    assert page.conformance.cases > 100


def test_values_flow_through_the_reference() -> None:
    page = explain_operator("Conv", examples=0)
    notes = {note.name: note for line in page.example.left[0].lines for note in line.notes}
    (output,) = page.example.outputs
    assert notes["return"].kind == output.kind
    assert output.shown.startswith(notes["return"].shown.removesuffix(" …"))
    assert notes["acc"].kind.startswith("float32")
    assert page.no_meter


def test_recording_ends_with_its_block_and_its_errors() -> None:
    before = sys.gettrace()
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    with pytest.raises(diptych_error()), recording():
        run_operator("MatMul", [x, x])
    assert sys.gettrace() is before
    with recording() as recorder:
        (y,) = run_operator("Softmax", [x])
    seen = [note.shown for notes in recorder.notes.values() for note in notes.values() if note.kind == "float32[2, 3]"]
    assert show("y", y, 6).shown in seen


def diptych_error() -> type[Exception]:
    from diptych_reference import Error

    return Error


@pytest.mark.parametrize("name", ["Loop", "StringSplit", "ImageDecoder", "com.microsoft.Attention", "SequenceInsert"])
def test_operators_of_all_kinds_have_a_page(name: str) -> None:
    page = explain_operator(name, examples=2)
    assert page.example.outputs, page.example.problem
    assert all(path.problem == "" for path in page.example.paths)
    Balanced(operator_document(page))


def test_names_are_found_and_wrong_ones_answered() -> None:
    assert resolve("conv") == ("", "Conv")
    assert resolve("Attention") == ("", "Attention")
    assert resolve("com.microsoft.Attention") == resolve("Attention", "com.microsoft") == ("com.microsoft", "Attention")
    assert resolve("TreeEnsemble") == ("ai.onnx.ml", "TreeEnsemble")
    assert spec_of("Softmax", opset=12).name == "Softmax-11"
    with pytest.raises(UnsupportedOperatorError, match="did you mean Conv"):
        resolve("Cnov")
    with pytest.raises(UnsupportedOperatorError, match=r"of domain 'com\.example'"):
        resolve("Conv", "com.example")
    with pytest.raises(UnsupportedOperatorError, match="no version at opset 3; it has 7, 22"):
        spec_of("Acos", opset=3)


def test_the_command_explains_an_operator(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["explain", "Relu", "--examples", "2"]) == 0
    printed = capsys.readouterr().out
    for expected in ("Relu-14", "max(x, +0)", "the same bits", "def relu", "Relu: |x| x.relu();", "Error meter"):
        assert expected in printed
    page = tmp_path / "relu.html"
    assert main(["explain", "Relu", "--examples", "2", "--json", "--html", str(page)]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["spec"]["op_type"] == "Relu"
    assert document["example"]["left"][0]["lines"][0]["text"].startswith("@operator")
    assert str(page) in captured.err
    text = page.read_text(encoding="utf-8")
    Balanced(text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Relo"], "did you mean Relu"),
        (["Relu", "--node", "3"], "are of models"),
        (["Relu", "--opset", "0"], "--opset must be at least 1"),
        (["Relu", "--examples", "-1"], "--examples must be at least 0"),
        (["Relu", "--examples", "0", "--html", "/nowhere/at/all.html"], "--html '/nowhere/at/all.html'"),
        (["missing.onnx"], "missing.onnx"),
        ([MODEL, "--node", "conv9"], "did you mean conv"),
        ([MODEL, "--node", "10"], "the model has the nodes 0 to 9"),
        ([MODEL, "--runs", "0"], "--runs must be at least 1"),
        ([MODEL, "--opset", "13"], "are of operators"),
    ],
)
def test_bad_arguments_are_answered(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_model_is_explained_node_by_node() -> None:
    image = np.load(IMAGE)
    page = explain_model(MODEL, {"image": image})
    assert [node.op_type for node in page.nodes][:3] == ["Div", "Conv", "Relu"]
    values = {shown.name: shown for node in page.nodes for shown in node.outputs}
    for node, _, outputs in ReferenceSession(MODEL).run_nodes({"image": image}):
        assert values[node.outputs[0]].digest == digest(outputs[0])
    assert page.outputs[0].digest == values["probability"].digest
    assert sum(node.timing.share for node in page.nodes) == pytest.approx(1)
    assert page.nodes[2].timing.said.startswith("none of its own: it runs inside the kernel of Conv conv1")
    assert set(page.sources) == {node.source for node in page.nodes}
    Balanced(model_document(page))


def test_values_in_the_arena_do_not_overlap_while_both_live() -> None:
    page = explain_model(MODEL, {"image": np.load(IMAGE)})
    blocks = page.arena.blocks
    assert blocks
    assert all(0 <= block.offset <= block.offset + block.bytes <= page.arena.bytes for block in blocks)
    for i, a in enumerate(blocks):
        for b in blocks[:i]:
            together = a.first < b.last and b.first < a.last
            apart = a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
            assert apart or not together, (a, b)
    assert page.arena.place("probability").kind == "output"
    assert page.arena.place("conv1.weight").kind in ("constant", "elsewhere")
    placed = next(node for node in page.nodes if node.places[0].kind == "arena")
    assert f"{placed.places[0].bytes} bytes" in placed.places[0].said


def test_control_flow_shows_its_bodies(loop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = explain_model(loop, {"x": np.zeros(5, np.float32)}, diptych.SessionOptions(threads=1))
    (body,) = page.nodes[1].bodies
    assert (body.attribute, [node.op_type for node in body.nodes]) == ("body", ["Identity", "Mul"])
    assert body.nodes[1].timing.calls == pytest.approx(3)
    assert page.outputs[0].kind == "float32[5]"
    assert page.nodes[1].outputs[0].shown == "8 8 8 8 8"
    Balanced(model_document(page))
    assert main(["explain", str(loop), "--dim", "n=3", "--node", "around"]) == 0
    printed = capsys.readouterr().out
    assert "float32[3]" in printed
    assert "1 Mul double (s, two -> next): 3 calls" in printed


def test_chosen_nodes_show_values_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", MODEL, "--node", "softmax", "--node", "0:2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [node["name"] for node in document["nodes"]] == ["scale", "conv1", "softmax"]
    assert document["node_count"] == 10
    softmax = document["nodes"][2]
    notes = [note for line in softmax["left"][0]["lines"] for note in line["notes"]]
    assert notes[-1]["kind"] == "float32[1, 10]"
    assert main(["explain", MODEL, "--node", "softmax"]) == 0
    assert "#= float32[1, 10]" in capsys.readouterr().out


def test_a_long_model_is_run_no_further_than_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["x", *(f"v{i}" for i in range(2999)), "z"]
    path = saved(tmp_path, [helper.make_node("Neg", [a], [b]) for a, b in pairwise(names)])
    said: list[str] = []
    page = explain_model(path, {"x": np.ones(2, np.float32)}, nodes=["4"], runs=1, progress=said.append)
    assert [node.index for node in page.nodes] == [4]
    assert sum(text.startswith("reference") for text in said) == 5
    assert main(["explain", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "2960 more nodes" in printed
    assert len(printed.splitlines()) < 70
    with pytest.raises(InvalidInputError, match="0 to 2999"):
        explain_model(path, {"x": np.ones(2, np.float32)}, nodes=["3000:"])


def test_numbers_in_words() -> None:
    assert [bytes_in_words(n) for n in (0, 700, 2048, 3 << 20)] == ["0 bytes", "700 bytes", "2 KiB", "3 MiB"]
    assert show("v", None).kind == "absent"
    assert show("v", [np.zeros(2)]).kind == "sequence of 1"
    assert re.fullmatch("[0-9a-f]{8}", digest({"a": 1}))
    assert digest(np.float32([0.0])) != digest(np.float32([-0.0]))


ACCOUNT = """\
version: 1
positions: instr line
events: Ir

ob=(1) /usr/lib/libc.so
fn=(1) memcpy
0x100 0 7000

ob=(2) /somewhere/_core.abi3.so
fn=(2) outer
0x1000 0 61
+4 0 610
+4 0 610
cob=(1)
cfn=(1)
calls=61 0x100
* 0 7000
+8 0 600
+300 0 61
ob=(1)
0x200 0 9
ob=(2)
fn=(2)
-300 0 61
"""


def test_the_innermost_loop_is_what_runs_most() -> None:
    counts = counts_of(ACCOUNT, "_core.abi3.so")
    assert counts == {0x1000: 61, 0x1004: 610, 0x1008: 610, 0x1010: 600, 0x113C: 61, 0xD4: 61}
    assert of_calls(counts) == {0x1000: 61, 0x1004: 610, 0x1008: 610, 0x113C: 61, 0xD4: 61}
    assert hottest(of_calls(counts)) == (0x1004, 0x1008)


def test_assembly_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["explain", "Relu", "--examples", "0", "--assembly"]) == 1
    assert "--assembly needs valgrind and objdump" in capsys.readouterr().err
