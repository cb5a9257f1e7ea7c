"""Pages as a reader gets them: opened in headless Chromium, which tells what it sees of them."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from typing import NamedTuple

import pytest

WIDTH = 1300
"""Pixels of the window."""

PROBE = """<script>addEventListener("load", () => {
  const images = [...document.images];
  const links = [...document.querySelectorAll("[href], [src]")].map(
    e => e.getAttribute("href") ?? e.getAttribute("src"));
  const bodies = [...document.querySelectorAll("tbody")];
  const before = bodies.map(body => body.textContent);
  document.querySelectorAll("thead").forEach(head => head.querySelector("th button").click());
  document.title = JSON.stringify({
    images: images.length,
    broken: images.filter(image => !image.naturalWidth).length,
    outside: links.filter(l => !l.startsWith("data:") && !(l.startsWith("#")
      && document.getElementById(l.slice(1)))),
    tables: bodies.length,
    sorted: bodies.filter((body, i) => body.textContent !== before[i]).length,
    width: document.documentElement.scrollWidth,
  });
});</script></body>"""
"""Once loaded, the page counts its images, follows its links and sorts its tables by a click."""


class Opened(NamedTuple):
    """What the browser sees of a page.

    Attributes:
        images: pictures that are shown.
        tables: those that can be sorted.
        sorted: tables whose order a click on the first column's name changes.
    """

    images: int
    tables: int
    sorted: int


def browser():
    """Return the program; the test is skipped where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome-headless-shell")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium on this machine: install it, or name it in CHROMIUM")
    return found


def open_page(path, scratch):
    """Open a page and return what is seen of it.

    It fails where a script fails, a picture is missing, a link leads out of the page or nowhere,
    or the page is wider than the window.
    """
    text = path.read_text(encoding="utf-8")
    assert text.count("</body>") == 1
    probed = scratch / f"probed-{path.name}"
    probed.write_text(text.replace("</body>", PROBE), encoding="utf-8")
    done = subprocess.run(
        [
            *(
                browser(),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--enable-logging=stderr",
            ),
            *(f"--user-data-dir={scratch / 'profile'}", f"--window-size={WIDTH},1000"),
            *("--dump-dom", probed.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    told = json.loads(unescape(re.search(r"<title>(.*?)</title>", done.stdout, re.S)[1]))
    assert not told.pop("broken"), f"pictures of {path.name} are missing"
    assert not (outside := told.pop("outside")), f"{path.name} needs {outside}"
    assert told.pop("width") <= WIDTH, f"{path.name} scrolls sideways"
    return Opened(**told)
