"""Every chapter of the book runs as the script it is; what it asserts about itself holds."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

DOCS = Path(__file__).parents[2] / "docs"
CHAPTERS = sorted((DOCS / "book").glob("*.py"))


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapter(chapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plt.switch_backend("agg")
    try:
        runpy.run_path(str(chapter), run_name="__main__")
    except SystemExit as error:  # a chapter says which machine it needs
        pytest.skip(str(error))
    finally:
        plt.close("all")
    assert capsys.readouterr().out


def test_the_index_lists_every_chapter() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\(book/([^)]+)\)", index) == [chapter.name for chapter in CHAPTERS]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/index.md", "docs/how-to/add-an-operator.md"])
def test_links_lead_somewhere(page: str) -> None:
    path = DOCS.parent / page
    for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), target
