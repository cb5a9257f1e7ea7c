"""Names in any script as letters: the fonts of this machine that have them, and lines of ink."""

from __future__ import annotations

import logging
import math
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.font_manager import findSystemFonts
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

log = logging.getLogger(__name__)

PLAIN = str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"))
"""Latin, Greek, Cyrillic, Arabic and more; it comes with matplotlib."""

NO_LETTERS = ("emoji", "lastresort")
"""Parts of names of fonts whose glyphs are colour images, or boxes."""


def on_one_line(text: str) -> str:
    """Return a text whose line breaks are spaces; what cannot be printed is shown as "�"."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)


def fonts_for(text: str) -> tuple[str, ...]:
    """Return the font files that together have a text's letters, the plain one first.

    Letters that no font here has are told once, and shown as boxes.
    """
    missing = frozenset(ord(c) for c in text if c.isprintable()) - _letters(PLAIN)
    return (PLAIN, *_fallbacks(missing)) if missing else (PLAIN,)


@lru_cache(maxsize=4096)
def line_of_ink(text: str, size: int) -> np.ndarray:
    """Draw one line of text: (H, W) uint8, 0 where there is no ink; H depends on the size only.

    Args:
        text: in any script.
        size: of the font in pixels.
    """
    text = on_one_line(text)
    fonts = fonts_for(text)
    runs = [
        ("".join(letters), ImageFont.truetype(font, size))
        for font, letters in groupby(text, lambda letter: _font_of(letter, fonts))
    ]
    widths = [math.ceil(font.getlength(run)) for run, font in runs]
    line = Image.new("L", (sum(widths) + size // 2, math.ceil(1.3 * size)))
    pen, x = ImageDraw.Draw(line), size // 4
    for (run, font), width in zip(runs, widths, strict=True):
        pen.text((x, size), run, 255, font, anchor="ls")
        x += width
    return np.asarray(line)


def _font_of(letter: str, fonts: tuple[str, ...]) -> str:
    return next((font for font in fonts if ord(letter) in _letters(font)), fonts[0])


@cache
def _fallbacks(missing: frozenset[int]) -> tuple[str, ...]:
    found = []
    for font in _fonts_here():
        if not missing:
            break
        if missing & _letters(font):
            found.append(font)
            missing -= _letters(font)
    if missing:
        _tell(", ".join(map(chr, sorted(missing)[:5])))
    return tuple(found)


_TOLD: list[str] = []


def _tell(letters: str) -> None:
    if not _TOLD:
        log.warning(
            "no font on this machine has %s: such letters are boxes in plots and on images; "
            "install one that has them, such as Noto Sans CJK",
            letters,
        )
    _TOLD.append(letters)


@cache
def _fonts_here() -> tuple[str, ...]:
    paths = sorted(findSystemFonts(), key=lambda path: ("sans" not in path.lower(), path))
    return tuple(p for p in paths if not any(part in Path(p).name.lower() for part in NO_LETTERS))


@cache
def _letters(font: str) -> frozenset[int]:
    """Return the code points that a font file has; none where it cannot be read."""
    try:
        return frozenset(FT2Font(font).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
