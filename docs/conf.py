"""The site: `make docs` builds it into docs/_build/html, with the network off and every warning an error."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from tools import chapters  # noqa: E402  (found by the line above)

project = "Diptych"
author = "the Diptych authors"
project_copyright = "the Diptych authors"
version = release = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_nb"]
exclude_patterns = ["_build", "_kernels", "conf.py", "findings/*"]  # the last are repros, which must fail
master_doc = "index"
nitpicky = True

# Chapters are scripts; `tools.chapters` makes notebooks of them. They run once, until their text or the engine changes.
nb_custom_formats = {".py": "tools.chapters.read"}
os.environ["JUPYTER_PATH"] = os.pathsep.join([str(DOCS / "_kernels"), os.environ.get("JUPYTER_PATH", "")]).rstrip(
    os.pathsep
)
nb_execution_mode = "cache"
nb_execution_cache_path = str(DOCS / "_build" / "executed")
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_execution_in_temp = True  # a chapter that wrote a file would write it where nobody looks
nb_merge_streams = True
nb_execution_show_tb = True

myst_heading_anchors = 3

html_theme = "furo"
html_title = "Diptych"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_copy_source = False
html_use_index = False
html_show_search_summary = False  # which would fetch pages, as pages opened from a disk may not
html_show_sphinx = False
pygments_style = "tango"
pygments_dark_style = "github-dark"

OPERATOR_PAGES = "_generated/operators/index"  # which `make docs` has written where the checkout has tools/pages


def list_operator_pages(app: Sphinx, name: str, source: list[str]) -> None:
    """Put the generated pages of operators into the contents, if they are there."""
    if name == master_doc and app.config.operator_pages:
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: Operators\n\n{OPERATOR_PAGES}\n```\n"


def offer_repros(app: Sphinx, name: str, source: list[str]) -> None:
    """Let the repros of the findings be downloaded: to MyST a link to a `.py` is one to a chapter."""
    if name == "findings":
        source[0] = source[0].replace("](findings/", "](path:findings/")


def setup(app: Sphinx) -> None:
    """Read everything again when the engine is another one, since the chapters' outputs are its, or when pages come."""
    app.add_config_value("engine", chapters.engine(), "env", types=[str])
    app.add_config_value("operator_pages", (DOCS / f"{OPERATOR_PAGES}.md").exists(), "env", types=[bool])
    app.connect("source-read", list_operator_pages)
    app.connect("source-read", offer_repros)
