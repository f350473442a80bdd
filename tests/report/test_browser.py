"""Pages in a real browser: they render, nothing is cut off, and a phone never scrolls sideways."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
GROUND = (0xF6, 0xF7, 0xF9)  # the page's background, which shows that the style sheet is applied
# The page, unchanged and under its own policy, in a frame as wide as a phone: no window can be that narrow.
HARNESS = """<!DOCTYPE html><iframe id="page" style="width:%dpx;height:900px;border:0" srcdoc="%s"></iframe>
<pre id="sizes"></pre>
<script>
window.onload = () => {
  const page = document.getElementById("page").contentDocument, root = page.documentElement;
  const all = (selector) => [...page.querySelectorAll(selector)];
  const box = (element) => element.getBoundingClientRect();
  const inside = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1
    && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
  const escaping = all("body *").filter((each) => box(each).width > 0 && box(each).right > root.clientWidth + 1
    && !each.closest(".scroll")).map((each) => each.outerHTML.slice(0, 80));
  const cut = all("svg text").filter((each) => !inside(box(each), box(each.closest("svg"))));
  const narrow = all(".scroll").filter((each) => each.scrollWidth > each.clientWidth + 1);
  document.getElementById("sizes").textContent = JSON.stringify({
    width: root.clientWidth, scrolled: root.scrollWidth, escaping, cut: cut.map((each) => each.textContent),
    figures: all("figure svg").map((each) => [box(each).width, box(each).height]),
    texts: all("svg text").map((each) => box(each).height),
    pictures: all("img").map((each) => each.naturalWidth * box(each).width),
    scrolling: narrow.length, heading: box(page.querySelector("h1")).height,
    ground: getComputedStyle(page.body).backgroundColor,
  });
};
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    """Return the browser's path; without a browser skip the tests, or fail where the environment requires one."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        if os.environ.get("ASSAY_BROWSER") == "required":
            pytest.fail("ASSAY_BROWSER=required, and there is no chromium, chromium-browser or google-chrome here.")
        pytest.skip("No Chromium is installed here; ASSAY_BROWSER=required makes this a failure.")
    return path


def browse(chromium: str, folder: Path, *options: str) -> str:
    """Return the output of a headless browser with an empty profile."""
    command = [chromium, *QUIET, f"--user-data-dir={folder / 'profile'}", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def measure(chromium: str, folder: Path, page: str, width: int) -> dict[str, Any]:
    """Return the sizes of the page's elements in the browser."""
    harness = folder / "harness.html"
    harness.write_text(HARNESS % (width, html.escape(page)), encoding="utf-8")
    dom = browse(chromium, folder, "--window-size=1400,1000", "--dump-dom", harness.as_uri())
    sizes = re.search(r'<pre id="sizes">(.+?)</pre>', dom)
    assert sizes, dom[-2000:]
    return json.loads(html.unescape(sizes[1]))


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_never_scrolls_sideways_and_nothing_is_cut(
    chromium: str, page: str, tmp_path: Path, width: int
) -> None:
    sizes = measure(chromium, tmp_path, page, width)
    assert sizes["width"] == width
    assert sizes["scrolled"] == width
    assert sizes["escaping"] == []
    assert sizes["cut"] == []
    assert len(sizes["figures"]) == 10
    assert all(150 < figure_width <= width and height > 80 for figure_width, height in sizes["figures"])
    assert min(sizes["texts"]) >= 9  # pixels, below which text is illegible
    assert len(sizes["pictures"]) == 4 * (2 + 4) + 4 * (2 + 3)
    assert min(sizes["pictures"]) > 0
    assert sizes["heading"] > 20
    assert sizes["ground"] == "rgb({}, {}, {})".format(*GROUND)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_a_search_never_scrolls_sideways_and_nothing_is_cut(
    chromium: str, search_page: str, tmp_path: Path, width: int
) -> None:
    sizes = measure(chromium, tmp_path, search_page, width)
    assert sizes["width"] == sizes["scrolled"] == width
    assert sizes["escaping"] == []
    assert sizes["cut"] == []
    assert len(sizes["figures"]) == 9
    assert min(sizes["texts"]) >= 9


def test_a_wide_table_scrolls_in_its_own_frame_on_a_phone(chromium: str, page: str, tmp_path: Path) -> None:
    assert measure(chromium, tmp_path, page, 390)["scrolling"] >= 2


@pytest.mark.parametrize("width", [1280, 600])
def test_the_page_is_painted(chromium: str, written: Path, tmp_path: Path, width: int) -> None:
    target = tmp_path / "page.png"
    page = written / "report.html"
    browse(chromium, tmp_path, f"--window-size={width},1600", f"--screenshot={target}", page.as_uri())
    pixels = np.asarray(Image.open(target).convert("RGB"))
    assert pixels.shape == (1600, width, 3)
    assert tuple(pixels[2, 2]) == GROUND
    assert (pixels.astype(int).sum(axis=2) < 200).mean() > 0.005  # there is ink
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200


def test_the_page_prints_on_paper(chromium: str, written: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.pdf"
    page = written / "report.html"
    browse(chromium, tmp_path, f"--print-to-pdf={target}", "--no-pdf-header-footer", page.as_uri())
    assert target.read_bytes().startswith(b"%PDF")
    assert target.stat().st_size > 50_000
