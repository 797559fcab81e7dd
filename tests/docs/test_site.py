"""The site builds without a warning and can be read: on a phone and a desktop, dark and light, with the network off.

Pages are opened from the disk in Debian's Chromium (`apt-get install chromium`, or DIPTYCH_CHROMIUM), which is told
that there is no network. Screenshots of what was looked at are left in docs/_build/screenshots, for people.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.site]

DOCS = Path(__file__).parents[2] / "docs"
SITE = DOCS / "_build" / "html"
SCREENSHOTS = DOCS / "_build" / "screenshots"
CHROMIUM = os.environ.get("DIPTYCH_CHROMIUM") or shutil.which("chromium")
WIDTHS = {"phone": (390, 844), "desktop": (1366, 900)}
PAGES = [
    *("index", "book/01_a_model_is_a_list", "book/11_memory", "numerics", "operators", "speed", "findings"),
    *("_generated/operators/Softmax", "_generated/operators/com.microsoft.MatMulNBits"),
]

# What sticks out on the right of the window, and cannot be scrolled to within something that does not.
OVERFLOWING = """() => {
    const scrolls = e => e && e !== document.body && e !== document.documentElement
        && (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
    const wide = [...document.querySelectorAll("article *")].filter(
        e => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e));
    const page = document.documentElement;
    return wide.map(e => e.outerHTML.slice(0, 200)).concat(
        page.scrollWidth > page.clientWidth ? [`the page is ${page.scrollWidth} wide`] : []);
}"""
# Text whose contrast with its ground is less than 3 to 1 (WCAG's least, for large text), as [text, ratio].
FAINT = """() => {
    const number = text => text.match(/[\\d.]+/g).map(Number);
    const ground = e => { for (; e; e = e.parentElement) {
        const c = number(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0.5) return c; } return [255, 255, 255]; };
    const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => sum + w * (
        c[i] / 255 <= 0.03928 ? c[i] / 255 / 12.92 : ((c[i] / 255 + 0.055) / 1.055) ** 2.4), 0);
    const texts = [...document.querySelectorAll("article p, article li, article a, article td, article pre span")];
    return texts.filter(e => e.textContent.trim() && !e.matches(".headerlink, .sd-sr-only")).map(e => {
        const [a, b] = [light(number(getComputedStyle(e).color)), light(ground(e))];
        return [e.textContent.slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    }).filter(([, ratio]) => ratio < 3);
}"""
BROKEN_IMAGES = "() => [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"


@pytest.fixture(scope="module")
def site() -> Path:
    """Build the site as `make docs` does; chapters whose text and engine are unchanged are not run again."""
    pytest.importorskip("myst_nb", reason="the site needs the extra `docs`: make docs")
    sphinx = ["sphinx", "-W", "--keep-going", "--quiet", "-b", "html", str(DOCS), str(SITE)]
    for module in (["tools.pages"], sphinx):
        command = [sys.executable, "-m", *module]
        built = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, cwd=DOCS.parent)
        assert built.returncode == 0, built.stdout + built.stderr
    return SITE


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, which finds no other machine."""
    playwright = pytest.importorskip("playwright.sync_api", reason="opening the site needs the extra `site`")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium, or set DIPTYCH_CHROMIUM")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


class Visit:
    """A page of the site that was opened, and what went wrong with it."""

    def __init__(self, browser: Any, url: str, width: str, scheme: str) -> None:
        size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
        self.context = browser.new_context(viewport=size, color_scheme=scheme, is_mobile=width == "phone")
        self.context.set_offline(True)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.problems.append(f"failed: {request.url}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        self.page.on(
            "console",
            lambda said: (
                self.problems.append(f"{said.type}: {said.text}") if said.type in ("error", "warning") else None
            ),
        )
        self.page.goto(url, wait_until="load")

    @property
    def gone_abroad(self) -> list[str]:
        """Requests to anything but files of the site, and data that the page itself carries."""
        return [url for url in self.requests if not url.startswith((SITE.as_uri() + "/", "data:"))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", list(WIDTHS))
@pytest.mark.parametrize("name", PAGES)
def test_page(site: Path, browser: Any, name: str, width: str, scheme: str) -> None:
    visit = Visit(browser, (site / f"{name}.html").as_uri(), width, scheme)
    page = visit.page
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name.replace('/', '-')}-{width}-{scheme}.png")
    assert visit.requests
    assert not visit.gone_abroad
    assert not visit.problems
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(FAINT) == []
    assert page.evaluate(BROKEN_IMAGES) == []
    red, green, blue = page.evaluate("() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue > 384) == (scheme == "light")
    visit.context.close()


def test_every_page_keeps_to_the_width_of_a_phone(site: Path, browser: Any) -> None:
    wide = {}
    for path in sorted(site.rglob("*.html")):
        visit = Visit(browser, path.as_uri(), "phone", "light")
        found = [*visit.page.evaluate(OVERFLOWING), *visit.problems, *visit.gone_abroad]
        visit.context.close()
        if found:
            wide[str(path.relative_to(site))] = found
    assert wide == {}


def test_search_finds_a_chapter(site: Path, browser: Any) -> None:
    visit = Visit(browser, (site / "search.html").as_uri() + "?q=softmax", "desktop", "light")
    visit.page.wait_for_selector("#search-results li a", timeout=20_000)
    assert visit.page.locator("#search-results li a").count() > 1
    assert not visit.problems
    assert not visit.gone_abroad
    visit.context.close()
