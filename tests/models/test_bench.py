"""`python -m tools.models bench`: what it prints, and that a peer's failure is an empty cell. No time is asserted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tools.models import architectures
from tools.models.__main__ import main
from tools.models.bench import USUAL
from tools.models.obtain import KNOWN

import diptych
from diptych.cli import peers

SHORT = ["--small", "--rounds", "3", "--seconds", "0.0001", "--threads", "1"]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, so that the models are built."""
    monkeypatch.setattr(architectures, "STORE", tmp_path)
    return tmp_path


def unable_to_load(path: str, options: diptych.SessionOptions) -> Any:
    raise RuntimeError("no such operator")


def unable_to_run(path: str, options: diptych.SessionOptions) -> Any:
    def run(feeds: Mapping[str, Any]) -> list[Any]:
        raise RuntimeError("no such shape")

    return "1.0", run


def test_json_holds_every_engine(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    names = ["lstm_stream", "minilm"]
    assert main(["bench", *names, "--against", "onnxruntime,reference", *SHORT, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["model"] for result in results] == names
    for result in results:
        assert (result["threads"], result["rounds"], result["failures"]) == (1, 3, {})
        assert [row["engine"] for row in result["engines"]] == ["diptych", "onnxruntime", "reference"]
        ours, _, reference = result["engines"]
        assert (ours["ratio"], reference["greatest_difference"]) == (1, 0)
        assert result["better_ratio"] >= max(row["ratio"] for row in result["engines"][1:])
        assert 0 <= result["greatest_difference"] < 1e-4
    assert sorted(path.name for path in store.rglob("*.onnx")) == ["lstm_stream.onnx", "minilm.onnx"]


def test_table_has_a_line_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "lstm_stream", "bilstm_tagger", "--against", "onnxruntime", *SHORT]) == 0
    header, _, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == [
        *("model", "threads", "diptych_ms", "onnxruntime_ms"),
        *("onnxruntime_ratio", "better_ratio", "greatest_difference"),
    ]
    assert [(line[0], len(line)) for line in lines] == [("lstm_stream", 7), ("bilstm_tagger", 7)]


@pytest.mark.parametrize("loader", [unable_to_load, unable_to_run])
def test_a_peer_that_fails_leaves_its_cells_empty(
    loader: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(peers._LOADERS, "onnxruntime", loader)
    assert main(["bench", "lstm_stream", "--against", "onnxruntime,reference", *SHORT]) == 0
    printed = capsys.readouterr()
    header, _, line = printed.out.splitlines()
    for column, empty in (("onnxruntime_ms", True), ("onnxruntime_ratio", True), ("reference_ms", False)):
        end = header.index(column) + len(column)  # numbers stand to the right of their columns
        assert (not line[end - len(column) : end].strip()) == empty
    assert "lstm_stream: onnxruntime does not" in printed.err
    assert "no such" in printed.err
    assert main(["bench", "lstm_stream", "--against", "onnxruntime", *SHORT, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["better_ratio"], result["greatest_difference"]) == (None, None)
    assert list(result["failures"]) == ["onnxruntime"]


def test_a_model_that_cannot_be_timed_does_not_end_the_run(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    broken = architectures.path_of_built("bilstm_tagger", small=True)
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no model")
    assert main(["bench", "bilstm_tagger", "lstm_stream", "--against", "", *SHORT, "--json"]) == 1
    printed = capsys.readouterr()
    assert "bilstm_tagger: " in printed.err
    assert [result["model"] for result in json.loads(printed.out)] == ["lstm_stream"]


def test_usual_models_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(USUAL) <= set(KNOWN)
    for arguments in (["no_such_model"], ["lstm_stream", "--against", "nobody"]):
        with pytest.raises(SystemExit) as stopped:
            main(["bench", *arguments])
        assert stopped.value.code == 2
        assert arguments[-1] in capsys.readouterr().err
