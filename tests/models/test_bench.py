"""`python -m tools.models bench`: what it prints, and that a peer's failure is an empty cell. No time is asserted."""

from __future__ import annotations

import argparse
import json
import multiprocessing.dummy
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tools.models import architectures, processes
from tools.models.__main__ import main
from tools.models.bench import USUAL
from tools.models.obtain import KNOWN
from tools.models.page import ENGINES, page, ticks
from tools.models.ratios import median_interval

import diptych
from diptych.cli import peers
from diptych.engines import Engine, Run, find_engine

PACKAGES = ["diptych", "numpy", "onnxruntime"]
SHORT = ["--small", "--rounds", "3", "--seconds", "0.0001", "--threads", "1"]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, so that the models are built."""
    monkeypatch.setattr(architectures, "STORE", tmp_path)
    return tmp_path


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines in threads instead of processes, which is quicker and where they can be replaced."""
    monkeypatch.setattr(processes, "CONTEXT", multiprocessing.dummy)


class UnableToLoad(Engine):
    def prepare(self, model: bytes | Path) -> Run:
        raise RuntimeError("no such operator")


class UnableToRun(Engine):
    def prepare(self, model: bytes | Path) -> Run:
        def run(feeds: Mapping[str, Any]) -> list[Any]:
            raise RuntimeError("no such shape")

        return run


def test_json_holds_every_engine(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    names = ["lstm_stream", "minilm"]
    assert main(["bench", *names, "--against", "onnxruntime,reference", *SHORT, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    results, settings, machine = document["results"], document["settings"], document["machine"]
    assert (settings["threads"], settings["rounds"], list(machine["packages"])) == (1, 3, PACKAGES)
    assert machine["cpu"]
    assert machine["packages"]["onnxruntime"]
    assert [result["model"] for result in results] == names
    for result in results:
        assert result["failures"] == {}
        assert result["interval"] is None  # three rounds are too few
        assert [row["engine"] for row in result["engines"]] == ["diptych", "onnxruntime", "reference"]
        ours, _, reference = result["engines"]
        assert (ours["ratio"], reference["greatest_difference"]) == (1, 0)
        assert result["better_ratio"] >= max(row["ratio"] for row in result["engines"][1:])
        assert 0 <= result["greatest_difference"] < 1e-4
        assert 0.1 < result["greatest_output"] < 10
        assert result["roofline"] == result["least_ms"] / result["engines"][0]["median_ms"] > 0
        for row in result["engines"]:
            assert len(row["milliseconds"]) == 3
            assert 0 < row["least_ms"] <= row["median_ms"]
            assert min(row["load_ms"], row["first_ms"], row["import_mb"]) > 0
            assert row["peak_mb"] >= row["import_mb"]
    assert sorted(path.name for path in store.rglob("*.onnx")) == ["lstm_stream.onnx", "minilm.onnx"]


@pytest.mark.usefixtures("threads")
def test_table_has_a_line_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    short = [*SHORT, "--rounds", "6"]
    assert main(["bench", "lstm_stream", "bilstm_tagger", "--against", "onnxruntime", *short]) == 0
    header, _, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == [
        *("model", "diptych_ms", "onnxruntime_ms"),
        *("onnxruntime_ratio", "better_ratio", "interval", "roofline", "greatest_difference", "greatest_output"),
    ]
    assert [(line[0], len(line)) for line in lines] == [("lstm_stream", 9), ("bilstm_tagger", 9)]


@pytest.mark.usefixtures("threads")
def test_page_needs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pages" / "page.html"
    assert main(["bench", "lstm_stream", "--against", "onnxruntime", *SHORT, "--html", str(path)]) == 0
    source = path.read_text()
    assert "http" not in source
    for needed in ("prefers-color-scheme: dark", "lstm_stream", "onnxruntime", "1 threads"):
        assert needed in source
    # Plots are XML by themselves; each engine has a dot of its own in all but the first, which compares.
    plots = [ElementTree.fromstring(f"<svg{part.split('</svg>')[0]}</svg>") for part in source.split("<svg")[1:]]
    assert [len(plot.findall(".//circle")) for plot in plots] == [1, 2, 2, 2, 2]


def test_page_escapes_what_engines_say() -> None:
    row = {"engine": "diptych", "version": "<1>", "ratio": 1.0, "greatest_difference": 0.0, "peak_mb": 80.0}
    row |= {"median_ms": 2.0, "least_ms": 1.0, "load_ms": 3.0, "first_ms": 4.0}
    result = {"model": "a&b", "engines": [row], "greatest_output": 1.0, "failures": {"x": "<no>"}}
    result |= {"better_ratio": None, "interval": None}
    settings = {"rounds": 5, "threads": 1, "isa": "avx2", "time": "now"}
    machine = {"cpu": "C", "usable_cpus": 2, "packages": {"numpy": "2"}, "python": "3.11", "system": "L"}
    source = page({"machine": machine, "settings": settings, "results": [result]})
    for shown in ("&lt;1&gt;", "a&amp;b", "&lt;no&gt;", "Nothing was compared."):
        assert shown in source
    assert set(ENGINES) == {"diptych", *peers.PEERS}


def test_ticks_enclose_the_values() -> None:
    assert ticks(0.7, 1.3) == [0.5, 1, 2]
    assert ticks(1, 1) == [1, 2]
    assert ticks(0.03, 900) == [0.01, 0.1, 1, 10, 100, 1000]


def test_intervals_of_medians() -> None:
    """Order statistics as in tables of the sign test, for instance Conover's."""
    found = {n: median_interval(list(range(1, n + 1))) for n in (1, 5, 6, 8, 9, 15, 20, 50)}
    few, some, many = {1: None, 5: None}, {6: (1, 6), 8: (1, 8), 9: (2, 8)}, {15: (4, 12), 20: (6, 15), 50: (18, 33)}
    assert found == few | some | many


def test_a_process_that_ends_is_an_error(tmp_path: Path) -> None:
    with processes.engine("onnxruntime", tmp_path, {}, argparse.Namespace()) as engine:
        engine._process.kill()
        with pytest.raises(diptych.Error, match="onnxruntime: its process has ended with exit code -9"):
            engine.time(1)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("unable", [UnableToLoad, UnableToRun])
def test_a_peer_that_fails_leaves_its_cells_empty(
    unable: type[Engine], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "find_engine", lambda name: unable if name == "onnxruntime" else find_engine(name))
    assert main(["bench", "lstm_stream", "--against", "onnxruntime,reference", *SHORT]) == 0
    printed = capsys.readouterr()
    header, _, line = printed.out.splitlines()
    for column, empty in (("onnxruntime_ms", True), ("onnxruntime_ratio", True), ("reference_ms", False)):
        end = header.index(column) + len(column)  # numbers stand to the right of their columns
        assert (not line[end - len(column) : end].strip()) == empty
    assert "lstm_stream: onnxruntime does not" in printed.err
    assert "no such" in printed.err
    assert main(["bench", "lstm_stream", "--against", "onnxruntime", *SHORT, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["better_ratio"], result["greatest_difference"]) == (None, None)
    assert list(result["failures"]) == ["onnxruntime"]


@pytest.mark.usefixtures("threads")
def test_a_model_that_cannot_be_timed_does_not_end_the_run(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    broken = architectures.path_of_built("bilstm_tagger", small=True)
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no model")
    assert main(["bench", "bilstm_tagger", "lstm_stream", "--against", "", *SHORT, "--json"]) == 1
    printed = capsys.readouterr()
    assert "bilstm_tagger: " in printed.err
    assert [result["model"] for result in json.loads(printed.out)["results"]] == ["lstm_stream"]


def test_usual_models_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(USUAL) <= set(KNOWN)
    for arguments in (["no_such_model"], ["lstm_stream", "--against", "nobody"]):
        with pytest.raises(SystemExit) as stopped:
            main(["bench", *arguments])
        assert stopped.value.code == 2
        assert arguments[-1] in capsys.readouterr().err
