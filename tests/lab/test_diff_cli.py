"""`diptych diff` as a user calls it: exit status, tables within 100 columns, JSON, the HTML file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.lab.models import CHAIN, CONTROL, FEEDS, SEQUENCE, STRINGS, built
from tests.lab.test_diff import planted

import diptych
from diptych.cli import main
from diptych.diff import diff
from diptych.diff.html import html_report
from diptych.diff.layout import HEIGHT, WIDTH, draw


@pytest.fixture
def chain(tmp_path: Path) -> list[str]:
    (tmp_path / "chain.onnx").write_bytes(built(CHAIN))
    np.save(tmp_path / "x.npy", FEEDS[CHAIN]["x"])
    return ["diff", str(tmp_path / "chain.onnx"), "--input", f"x={tmp_path / 'x.npy'}"]


def test_a_violation_is_shown_and_is_status_1(chain: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*chain, "--against", f"diptych,{planted('Tanh')}"]) == 1
    printed = capsys.readouterr().out
    assert "WRONG at node 1 'second': Tanh-22" in printed
    assert "[0:2, 0:3]" in printed
    assert "stopped at the first violation" in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_json_says_the_same(chain: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    spec = planted("Tanh")
    assert main([*chain, "--against", f"diptych,{spec}", "--all", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["violations"] == ["second"]
    assert [node["engines"]["diptych"]["status"] for node in document["nodes"]] == ["right"] * 4
    assert document["nodes"][1]["engines"][spec]["share"] > 1
    assert document["nodes"][3]["engines"][spec]["total"]["y"]["share"] > 1
    assert document["failed"]


def test_variants_of_diptych_agree_and_the_memory_limit_is_taken(
    chain: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    variants = f"diptych[passes=off],diptych[threads=2,schedule=3],diptych[isa={diptych.available_isas()[0]}]"
    assert main([*chain, "--against", variants, "--memory-limit", "4G", "--json"]) == 0
    engines = json.loads(capsys.readouterr().out)["engines"]
    assert all("memory=4294967296" in spec for spec in engines)
    assert len(engines) == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--against", "nobody"], "no engine 'nobody'"),
        (["--against", "diptych[speed=9]"], "no options ['speed']"),
        (["--against", "reference[threads"], "expected NAME"),
        (["--iterations", "0"], "iterations is 0"),
        (["--dim", "zz=1"], "no symbolic dimensions"),
    ],
)
def test_wrong_usage_is_status_2(
    chain: list[str], capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert main([*chain, *more]) == 2
    assert words in capsys.readouterr().err


def test_a_missing_or_broken_model_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(tmp_path / "none.onnx")]) == 2
    (tmp_path / "broken.onnx").write_bytes(b"\xff" * 40)
    assert main(["diff", str(tmp_path / "broken.onnx"), "--json"]) == 2
    assert "error" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("text", [SEQUENCE, STRINGS, CONTROL])
def test_inputs_are_made_up(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.onnx").write_bytes(built(text))
    assert main(["diff", str(tmp_path / "model.onnx"), "--dim", "n=3"]) == 0
    assert "0 with violations" in capsys.readouterr().out


class Links(HTMLParser):
    """Collects what a page refers to, and checks that tags close."""

    VOID = ("meta", "input", "br", "link", "img")

    def __init__(self) -> None:
        super().__init__()
        self.refers: list[str] = []
        self.anchors: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        found = dict(attributes)
        self.refers += [found[name] for name in ("href", "src", "action", "xlink:href") if name in found]
        self.anchors |= {found["id"]} if "id" in found else set()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        if tag in ("path", "rect"):
            return
        super().handle_startendtag(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(text: str, spec: str, **options: Any) -> str:
    return html_report(diff(built(text), FEEDS[text], against=["reference", spec], isolate=False, **options))


@pytest.mark.parametrize("text", FEEDS)
def test_the_page_refers_to_nothing_outside_of_it(text: str) -> None:
    html = page(text, planted("Add"), stop=False)
    links = Links()
    links.feed(html)
    assert links.open == []
    assert links.refers
    assert {reference.lstrip("#") for reference in links.refers} <= links.anchors
    assert all(reference.startswith("#") for reference in links.refers)
    assert not re.search(r"https?://|url\((?!#)|@import", html)


def test_the_page_escapes_what_a_model_is_called() -> None:
    proto = onnx.load_from_string(built(STRINGS))
    proto.graph.node[0].name = "<img src=x>"
    proto.graph.name = "</title><script>"
    html = html_report(diff(proto, FEEDS[STRINGS], against=["reference"], isolate=False))
    assert "&lt;img src=x&gt;" in html
    assert "<img" not in html
    assert html.count("<script>") == 1


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
@pytest.mark.slow
def test_the_page_runs_in_a_browser(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(CHAIN, planted("Tanh"), stop=False), encoding="utf-8")
    url = f"file://{tmp_path / 'page.html'}#n1"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", url]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    opened = re.findall(r'<details id="(n\d+)"[^>]* open', dom)
    assert opened == ["n1"]  # the script follows the link
    assert 'class="choice" hidden' not in dom


def test_layout_puts_every_node_below_what_it_reads_and_none_on_another() -> None:
    keys = list("abcdefgh")
    edges = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d"), ("d", "e"), ("f", "e"), ("a", "g"), ("g", "h")]
    drawing = draw(keys, edges)
    places = {placed.key: placed for placed in drawing.nodes}
    assert all(places[a].y + HEIGHT < places[b].y for a, b in edges)
    boxes = list(places.values())
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            assert abs(one.y - other.y) >= HEIGHT or abs(one.x - other.x) >= WIDTH
    assert all(0 <= p.x <= drawing.width - WIDTH and 0 <= p.y <= drawing.height - HEIGHT for p in boxes)
    assert len(drawing.edges) == len(edges)
