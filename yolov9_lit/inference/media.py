"""Read the frames of images and videos, and write annotated copies."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from PIL import Image

from yolov9_lit.data.images import has_image_ending, read_image
from yolov9_lit.data.quiet import opencv_log_level
from yolov9_lit.errors import UserError, first_few

log = logging.getLogger(__name__)

DEFAULT_FPS = 25.0

MOST_LOST = 100_000
"""Frames in a row that cannot be read before a video counts as ended, whatever its header says."""

_NEITHER = "neither an image nor a video with a readable frame: convert it to a common format."


class Frame(NamedTuple):
    """An image, or one frame of a video.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        path: path of the file.
        frame_index: from 0, damaged frames counted; None for an image.
        fps: frames a second; None for an image.
    """

    image: np.ndarray
    path: Path
    frame_index: int | None = None
    fps: float | None = None


class Source:
    """Iterates over frames; what cannot be read is passed over with a warning.

    Attributes:
        paths: the files, in order.
        videos: those of them that are videos; the others are images.
        unreadable: the files passed over so far.
    """

    def __init__(self, paths: list[Path], videos: Collection[Path]) -> None:
        self.paths = paths
        self.videos = videos
        self.unreadable: list[Path] = []

    def __iter__(self) -> Iterator[Frame]:
        animated = []
        for path in self.paths:
            if path in self.videos:
                yield from self._video(path)
                continue
            try:
                yield Frame(read_image(path), path)
            except UserError as error:
                known = has_image_ending(path)
                self._pass_over(str(error) if known else f"{path} is {_NEITHER}", path)
            else:
                animated += [path.name] if _has_more_images(path) else []
        if animated:
            log.warning("of the images in one file the first is used: %s", first_few(animated))

    def _video(self, path: Path) -> Iterator[Frame]:
        read = 0
        with open_video(path) as video:
            for index, image in video.frames():
                read += 1
                yield Frame(image, path, index, video.fps)
        if not read:
            self._pass_over(f"{path} is {_NEITHER}", path)
        elif read < video.stated:
            log.warning(
                "%d of the %d frames of %s were read: the others are damaged or missing",
                *(read, video.stated, path),
            )

    def _pass_over(self, reason: str, path: Path) -> None:
        self.unreadable.append(path)
        log.warning("passed over: %s", reason)


class open_video:
    """A video that is open in a `with` block.

    Attributes:
        stated: number of frames that its header states, an estimate in some formats; 0: unknown.
        fps: frames a second.
    """

    def __init__(self, path: Path) -> None:
        # FFmpeg would write a line for each damaged block, OpenCV one for each file that is no
        # video; `Source` tells both.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        level = opencv_log_level(2)
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        opencv_log_level(level)
        self.stated = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or DEFAULT_FPS

    def __enter__(self) -> open_video:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def read(self) -> np.ndarray | None:
        """Return the next frame, (H, W, 3) uint8 RGB; None where it is damaged or the last was."""
        there, image = self._capture.read()
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)) if there else None

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """Give the frames that can be read with their numbers, also those behind damage."""
        lost = 0
        for index in count():
            image = self.read()
            if image is not None:
                lost = 0
                yield index, image
                continue
            lost += 1
            if index + 1 >= self.stated or lost > MOST_LOST:
                return


def is_video(path: Path) -> bool:
    """Tell whether a file is a video, by what opens it; its ending tells images alone."""
    if has_image_ending(path) or cv2.haveImageReader(str(path)) or is_text(path):
        return False
    with open_video(path) as video:
        return video.stated > 0 or video.read() is not None


def is_text(path: Path) -> bool:
    """Tell whether a file is text, such as labels, which FFmpeg takes for a film of letters."""
    try:
        with path.open("rb") as file:
            return b"\0" not in file.read(512)
    except OSError:
        return False  # Its reader says why.


def _has_more_images(path: Path) -> bool:
    """Tell whether a file is an animation or has pages; previews do not count."""
    try:
        with Image.open(path) as image:
            return image.format not in ("JPEG", "MPO") and getattr(image, "n_frames", 1) > 1
    except Exception:  # Its reader was OpenCV: Pillow may know less.
        return False


_Video: TypeAlias = tuple[cv2.VideoWriter, tuple[int, int]]
"""With the width and height of all its frames."""


class AnnotatedWriter(ExitStack):
    """Writes annotated copies into a folder: images under their names, frames as one video.

    Existing files are kept: a taken name gets a number. Used as a context manager it completes the
    videos at exit.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self._targets: dict[Path, Path] = {}
        self._videos: dict[Path, _Video] = {}

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
            self._videos[target] = self._start_video(frame, target, drawn.shape[1::-1])
        video, size = self._videos[target]
        if drawn.shape[1::-1] != size:  # The writer would drop it.
            drawn = cv2.resize(drawn, size)
        video.write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        return target

    def _start_video(self, frame: Frame, target: Path, size: tuple[int, int]) -> _Video:
        code = cv2.VideoWriter.fourcc(*"mp4v")
        for fps in (frame.fps or DEFAULT_FPS, DEFAULT_FPS):  # Some headers state impossible ones.
            video = cv2.VideoWriter(str(target), code, fps, size)
            if video.isOpened():
                self.callback(video.release)
                return video, size
        raise UserError(
            f"{target} cannot be written as a video of {size[0]}x{size[1]} pixels: convert "
            f"{frame.path} to a common format, or use save_pictures=false."
        )

    def _target(self, path: Path, ending: str) -> Path:
        if path not in self._targets:
            self.directory.mkdir(parents=True, exist_ok=True)
            target, number = self.directory / f"{path.stem}{ending}", 2
            while target.exists():
                target = self.directory / f"{path.stem}_{number}{ending}"
                number += 1
            self._targets[path] = target
        return self._targets[path]
