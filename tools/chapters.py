"""Chapters of the book as notebooks, for Sphinx: `docs/conf.py` names `read`.

A chapter is a script in py:percent format. Before its cells comes a hidden one that gives it what a script has and a
notebook does not, and figures that a page can show on a dark ground and a light one. The cell also names the engine,
so that outputs kept from another engine are not taken for this one's.
"""

from __future__ import annotations

import functools
import hashlib
from importlib.util import find_spec
from pathlib import Path

import jupytext
import nbformat

BOOK = Path(__file__).resolve().parents[1] / "docs" / "book"
KERNEL = "chapter"  # of docs/_kernels, which docs/conf.py adds to Jupyter's

# Figures are transparent: docs/_static/book.css turns black into white, and keeps the hues, where the page is dark.
SETUP = """\
# the engine is {engine}
__file__ = {file!r}
import matplotlib_inline.backend_inline
matplotlib_inline.backend_inline.set_matplotlib_formats("svg", facecolor="none", metadata={{"Date": None}})
import matplotlib.pyplot
matplotlib.pyplot.rcParams.update({style!r})
"""
STYLE = {
    "axes.facecolor": "none",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 96,
    "figure.figsize": (6.8, 3.6),
    "font.size": 10.5,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "svg.hashsalt": "diptych",
}


def read(text: str) -> nbformat.NotebookNode:
    """Return the notebook of a chapter, given as text."""
    notebook = jupytext.reads(text, fmt="py:percent")
    source = SETUP.format(engine=engine(), file=str(BOOK / "chapter.py"), style=STYLE)
    setup = nbformat.v4.new_code_cell(source, id="setup", metadata={"tags": ["remove-cell"]})
    notebook.cells.insert(0, setup)
    notebook.metadata.setdefault("kernelspec", {"name": KERNEL, "display_name": "Python 3", "language": "python"})
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # jupytext draws ids at random, and a build is to be the same twice
    return notebook


@functools.cache
def engine() -> str:
    """Return a hash of all that both panels are made of, the compiled engine included."""
    digest = hashlib.sha256()
    for package in ("diptych", "diptych_reference"):
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{package} is not installed: the chapters import it (make docs builds it)")
        folder = Path(spec.origin).parent
        for path in sorted(path for pattern in ("*.py", "*.so") for path in folder.rglob(pattern)):
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
