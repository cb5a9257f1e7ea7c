"""Find what to predict on: an image or a video, a folder of them, or a glob."""

from __future__ import annotations

import glob
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from yolov9_lit.data.images import has_image_ending, image_size
from yolov9_lit.errors import UserError, first_few
from yolov9_lit.inference.media import Source, is_text, is_video

log = logging.getLogger(__name__)


def open_source(source: str | Path) -> Source:
    """Find the files of a source; what is passed over is told.

    Args:
        source: an image, a video, a folder of either (not searched deeper), or a glob.

    Raises:
        UserError: nothing is there.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return Source([path], _videos([path]))
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        what, files = f"Folder {path}", [p for p in found if p.is_file()]
    else:
        what, files = f"Glob {source}", _matching(path)
        if not files:
            raise UserError(
                f"Nothing is at source={source}: give a file, a folder or a glob; a stream or a "
                "camera must be recorded to a file first."
            )
    videos = _videos(files)
    kept = [p for p in files if p in videos or _is_image(p)]
    folders = [p.name for p in found if p.is_dir()] if path.is_dir() else []
    deeper = f"; for its {len(folders)} folders give source='{path}/**/*'" if folders else ""
    if not kept:
        raise UserError(f"{what} has neither images nor videos: give another{deeper}.")
    if others := [p for p in files if p not in set(kept)]:
        log.warning("%s: neither images nor videos, passed over: %s", what, _some(others))
    if deeper:
        log.warning("%s is not searched deeper%s", what, deeper)
    return Source(kept, videos)


def _matching(pattern: Path) -> list[Path]:
    """Return the files that match, in order; folders that exist are taken as they are called."""
    parts = pattern.parts
    literal = Path(parts[0])
    depth = 1
    while depth < len(parts) and (literal / parts[depth]).is_dir():
        literal, depth = literal / parts[depth], depth + 1
    rest = Path(*parts[depth:]) if depth < len(parts) else Path("*")
    named = f"{glob.escape(str(literal))}/{rest}"
    found = sorted(Path(p) for p in glob.glob(named, recursive=True))
    # A link to a folder above makes `**` find everything many times over.
    once = {(p.parent.resolve(), p.name): p for p in reversed(found) if p.is_file()}
    return sorted(once.values())


def _videos(files: Iterable[Path]) -> set[Path]:
    return {path for path in files if is_video(path)}


def _is_image(path: Path) -> bool:
    """Tell whether a file that is no video is an image: by its ending, else by what opens it."""
    return has_image_ending(path) or (not is_text(path) and image_size(path) is not None)


def _some(paths: Iterable[Path]) -> str:
    """Count files by their endings and name the first."""
    names = [p.name for p in paths]
    endings = Counter(Path(name).suffix or "without ending" for name in names)
    counts = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(3))
    more = ", ..." if len(endings) > 3 else ""
    return f"{counts}{more} ({first_few(names)})"
