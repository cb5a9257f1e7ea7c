"""Read what to predict on (images, folders, globs, videos) and write annotated copies."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from yolov9_lit.data.images import IMAGE_ENDINGS, read_image
from yolov9_lit.errors import UserError

log = logging.getLogger(__name__)

VIDEO_ENDINGS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"}
DEFAULT_FPS = 25.0


class Frame(NamedTuple):
    """An image, or one frame of a video.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        path: path of the file.
        frame_index: from 0; None for an image.
        fps: frames a second; None for an image.
    """

    image: np.ndarray
    path: Path
    frame_index: int | None = None
    fps: float | None = None


class Source:
    """Iterates over frames; each file that cannot be read is skipped with a warning.

    Attributes:
        paths: the files, in order.
        unreadable: the files skipped so far.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.unreadable: list[Path] = []

    def __iter__(self) -> Iterator[Frame]:
        for path in self.paths:
            if path.suffix.lower() in VIDEO_ENDINGS:
                yield from self._video(path)
                continue
            try:
                image = read_image(path)
            except UserError as error:
                self._skip(path, str(error))
                continue
            yield Frame(image, path)

    def _video(self, path: Path) -> Iterator[Frame]:
        capture = cv2.VideoCapture(str(path))
        fps = capture.get(cv2.CAP_PROP_FPS) or DEFAULT_FPS
        count = 0
        try:
            while True:
                there, image = capture.read()
                if not there:
                    break
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), path, count, fps)
                count += 1
        finally:
            capture.release()
        if not count:
            self._skip(path, f"{path} has no readable frame: convert it to a common format.")

    def _skip(self, path: Path, reason: str) -> None:
        self.unreadable.append(path)
        log.warning("skipped: %s", reason)


def open_source(source: str | Path) -> Source:
    """Find the files of a source.

    Args:
        source: an image, a video, a folder of either (not searched deeper), or a glob.

    Raises:
        UserError: nothing is there.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        endings = {*IMAGE_ENDINGS, *VIDEO_ENDINGS}
        paths = sorted(p for p in path.iterdir() if p.is_file() and p.suffix.lower() in endings)
        if not paths:
            raise UserError(f"{path} has neither images nor videos: give another folder.")
    elif path.is_file():
        paths = [path]
    else:
        paths = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())
        if not paths:
            raise UserError(f"Nothing is at source={source}: give a file, a folder or a glob.")
    return Source(paths)


class AnnotatedWriter(ExitStack):
    """Writes annotated copies into a folder: images under their names, frames as one video.

    Existing files are kept: a taken name gets a number. Used as a context manager it completes the
    videos at exit.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self._targets: dict[Path, Path] = {}
        self._videos: dict[Path, cv2.VideoWriter] = {}

    def write(self, frame: Frame, drawn: np.ndarray) -> Path:
        """Write a frame's annotated copy (H, W, 3) uint8 RGB and return the file's path.

        Raises:
            UserError: a video of this size and rate cannot be written.
        """
        if frame.frame_index is None:
            ending = ".png" if frame.path.suffix.lower() == ".png" else ".jpg"
            target = self._target(frame.path, ending)
            Image.fromarray(drawn).save(target)
            return target
        target = self._target(frame.path, ".mp4")
        if target not in self._videos:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            size = (drawn.shape[1], drawn.shape[0])
            video = cv2.VideoWriter(str(target), code, frame.fps or DEFAULT_FPS, size)
            if not video.isOpened():
                raise UserError(
                    f"{target} cannot be written as a video of {frame.fps} frames a second and "
                    f"{size[0]}x{size[1]} pixels: convert {frame.path} to a common format."
                )
            self._videos[target] = video
            self.callback(video.release)
        self._videos[target].write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        return target

    def _target(self, path: Path, ending: str) -> Path:
        if path not in self._targets:
            self.directory.mkdir(parents=True, exist_ok=True)
            target, number = self.directory / f"{path.stem}{ending}", 2
            while target.exists():
                target = self.directory / f"{path.stem}_{number}{ending}"
                number += 1
            self._targets[path] = target
        return self._targets[path]
