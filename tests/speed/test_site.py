"""The pages of asv's results and of the history: they hold what was measured and need nothing from elsewhere."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from asv.results import Results
from asv.runner import BenchmarkResult
from tools.speed.__main__ import main
from tools.speed.document import documents
from tools.speed.history import HISTORY, read_history
from tools.speed.landings import landings
from tools.speed.plot import Point, line_plot, number, standalone

CASES = ["'Relu: states'", "'com.microsoft.Gelu: a < b'"]
PANELS = ["'engine'", "'reference'", "'onnxruntime'"]


class Links(HTMLParser):
    """Everything that a page would load or lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def saved(folder: Path, commit: str, date: int, values: dict[str, Any]) -> None:
    """A file of asv's results."""
    found = Results({"machine": "box", "python": "3.11"}, {}, commit, date, "3.11", "env", {})
    for name, (params, numbers) in values.items():
        none = [None] * len(numbers)
        result = BenchmarkResult(result=numbers, samples=none, number=none, errcode=0, stderr="", profile=None)
        found.add_result({"name": name, "version": "1", "params": params}, result)
    found.save(str(folder))
    (folder / "box" / "machine.json").write_text('{"machine": "box", "version": 1}', encoding="utf-8")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two commits, of which the second is slower and one value is missing."""
    folder = tmp_path / "results"
    for i, commit in enumerate(("a" * 40, "b" * 40)):
        times = [1e-4 * (i + 1), 2e-4, 3e-2, None, 5e-4, 6e-4]
        saved(
            folder,
            commit,
            1000 * (1_800_000_000 + i),
            {
                "operators.Run.time_run": ([PANELS, CASES], times),
                "operators.Error.track_share": ([PANELS, CASES], [0.0, 0.25, 0.0, 0.25, 0.5, None]),
                "package.Package.track_size": ([["'diptych'"]], [31_000_000 + i]),
            },
        )
    return folder


def test_site_needs_no_network(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "site"
    assert main(["site", "--results", str(results), "--out", str(out)]) == 0
    assert "4 pages of 2 commits" in capsys.readouterr().out
    pages = sorted(path.name for path in out.iterdir())
    assert pages == ["index.html", "operator-Relu.html", "operator-com.microsoft.Gelu.html", "others.html"]
    for page in out.iterdir():
        text = page.read_text(encoding="utf-8")
        links = Links()
        links.feed(text)
        assert not {"script", "link", "iframe", "img", "object"} & set(links.tags)
        assert not re.search(r"(?:https?:)?//|@import|url\(", text.replace("<!DOCTYPE html>", ""))
        assert all((out / link).is_file() for link in links.found), links.found
        assert links.found


def test_operator_page_shows_every_engine(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    main(["site", "--results", str(results), "--out", str(out)])
    relu = (out / "operator-Relu.html").read_text(encoding="utf-8")
    assert re.search(r"<td>engine</td><td>0.0002</td><td></td><td></td><td>0</td>", relu)
    assert re.search(r"<td>onnxruntime</td><td>0.0005</td>", relu)
    assert "aaaaaaaaaa: 0.0001 s" in relu
    assert "bbbbbbbbbb: 0.0002 s" in relu
    gelu = (out / "operator-com.microsoft.Gelu.html").read_text(encoding="utf-8")
    assert "a &lt; b" in gelu
    assert "a < b" not in gelu
    assert "31 M" in (out / "others.html").read_text(encoding="utf-8")


def test_without_results_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["site", "--results", str(tmp_path), "--out", str(tmp_path / "site")]) == 2
    assert "make bench-check" in capsys.readouterr().err
    assert main(["plots", "--from", str(tmp_path / "none.json")]) == 2
    assert "tools.speed history" in capsys.readouterr().err


def test_plots_are_drawn_from_what_is_there() -> None:
    series = {"a": [Point(0, 10.0, "first"), Point(1, 1000.0, "second")], "b": [Point(1, 0.0)]}
    picture = ElementTree.fromstring(standalone(line_plot("t < u", series, ["one", "two"])))
    names = {"s": "http://www.w3.org/2000/svg"}
    first, second = picture.findall("s:circle", names)  # 0 has no logarithm
    assert float(first.attrib["cy"]) > float(second.attrib["cy"])
    assert float(first.attrib["cx"]) < float(second.attrib["cx"])
    assert [title.text for title in picture.findall("s:circle/s:title", names)] == ["first", "second"]
    assert "prefers-color-scheme: dark" in picture.findtext("s:style", "", names)
    assert line_plot("nothing", {"a": []}, ["one"]) == ""
    assert [number(value) for value in (0.5, 1234, 5e6, 7e9)] == ["0.5", "1.23 k", "5 M", "7 G"]


def test_the_page_of_the_history_is_what_its_counts_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plots", "--check"]) == 0, capsys.readouterr().err


def test_history_has_twenty_landings_and_says_what_it_lacks() -> None:
    history = read_history()
    assert len(history["landings"]) >= 20
    counted = [landing for landing in history["landings"] if history["kernels"].get(landing["kernels"])]
    assert counted
    assert all(
        min(counts.values()) > 0 for kind in ("kernels", "reference") for counts in history[kind].values() if counts
    )
    json.dumps(history, allow_nan=False)
    for path, content in documents(history).items():
        if path.suffix == ".svg":
            assert ElementTree.fromstring(content).tag.endswith("svg")
    assert HISTORY.is_file()


def test_a_landing_is_followed_by_ten_minutes_without_a_commit() -> None:
    try:
        found = landings()
    except Exception as error:  # no git, or a shallow clone
        pytest.skip(f"the repository's history is not here: {error}")
    assert all(later.time - commit.time >= 600 for commit, later in pairwise(found))
