"""Judged annotation files kept as arrays: COCO's is read again in a second, by each process."""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.data.arrays import (
    ARRAYS,
    array_path,
    arrays_of,
    from_arrays,
    map_array,
    save_arrays,
)
from yolov9_lit.data.coco.faults import Faults
from yolov9_lit.data.coco.file import CocoContent
from yolov9_lit.data.coco.image_entries import Listing, folder_of, list_files
from yolov9_lit.data.coco.judge import Judged, judge
from yolov9_lit.data.coco.keypoint_layout import layout_from_json
from yolov9_lit.data.coco.reader import pack
from yolov9_lit.data.coco.records import load_records
from yolov9_lit.data.coco.truth import Truth, truth_of
from yolov9_lit.data.images import ImageFiles
from yolov9_lit.files import atomic_folder, write_json

log = logging.getLogger(__name__)

_LEAST_BYTES = 4_000_000  # Of an annotation file; a smaller one is read in a tenth of a second.
_FACTS = "facts.json"
_MORE = ("names", "written", "areas")
"""Names of the arrays beside those of the annotations: of the files, and what `truth_of` takes."""


class Read(NamedTuple):
    """An annotation file as it is used.

    Attributes:
        annotations: the images and objects.
        truth: gives what they are measured by.
        faults: what is wrong with the rest; not told yet.
    """

    annotations: Annotations
    truth: Callable[[], Truth]
    faults: Faults


class AnnotationCache:
    """Keeps what large annotation files were read and judged to.

    An entry belongs to the content of its file, to the code that judged it, and to the names,
    sizes and times of the files in the images' folders. Where one of them has changed, or the entry
    is broken, the file is read anew. What cannot be written is not kept.
    """

    def __init__(self, folder: Path) -> None:
        """Set the folder; it is made when there is something to keep."""
        self.folder = folder

    def read(self, file: Path, images: Path) -> Read:
        """Return the annotations of a file whose names start from a folder.

        Raises:
            UserError: as `load_coco` and `judge` do.
        """
        digest = _digest_of(file)
        if digest is None:
            return _read(judge(load_records(file), images))
        paths = (os.fsencode(f"{path.absolute()}/") for path in (file, images))
        series = f"{file.stem}-{_digest(*paths)}"
        place = self.folder / f"{series}-{_digest(_code(), digest)}"
        listing = cache(list_files)  # The folders as they are now: what changes is read anew.
        if kept := _open(place, file, images, listing):
            return kept
        content = load_records(file)
        folders = _folders(content, images)
        judged = judge(content, images, listing)
        read = _read(judged)
        facts = {
            "folders": folders,
            "state": _state(folders, listing),
            "faults": judged.faults.to_json(),
        }
        self._keep(series, place, judged, read.annotations, facts)
        return read

    def _keep(
        self,
        series: str,
        place: Path,
        judged: Judged,
        annotations: Annotations,
        facts: dict[str, Any],
    ) -> None:
        """Write an entry in place of earlier ones of the same file."""
        for old in self.folder.glob(f"{glob.escape(series)}-*"):
            shutil.rmtree(old, ignore_errors=True)
        assert isinstance(annotations.images, ImageFiles)
        more = (annotations.images.names, judged.sound.given, judged.sound.area)
        named = {"categories": annotations.categories, "keypoints": annotations.layout}
        try:
            with atomic_folder(place) as draft:
                save_arrays(draft, arrays_of(annotations) | dict(zip(_MORE, more, strict=True)))
                write_json(draft / _FACTS, facts | named)
        except OSError as error:
            if not place.is_dir():  # Otherwise another process was first.
                log.info("%s is not kept in %s (%s)", annotations.path, self.folder, error)


def _read(judged: Judged) -> Read:
    annotations, sound = pack(judged), judged.sound
    return Read(annotations, partial(truth_of, annotations, sound.given, sound.area), judged.faults)


def _open(place: Path, file: Path, images: Path, listing: Listing) -> Read | None:
    """Return an entry; None where there is none, it is broken, or the images have changed."""
    try:
        facts = json.loads((place / _FACTS).read_bytes())
        if _state(facts["folders"], listing) != facts["state"]:
            return None
        arrays = {name: map_array(array_path(place, name)) for name in (*ARRAYS, *_MORE)}
        faults = Faults.from_json(file, facts["faults"])
        annotations = from_arrays(
            arrays,
            path=file,
            images=ImageFiles(images, arrays["names"]),
            categories=tuple(Category(*row) for row in facts["categories"]),
            layout=layout_from_json(facts["keypoints"]),
            faults=faults.counts(),
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    return Read(
        annotations, partial(truth_of, annotations, arrays["written"], arrays["areas"]), faults
    )


def _folders(content: CocoContent, images: Path) -> list[str]:
    """Return the folders that the images of a file lie in."""
    names = (entry.get("file_name") for entry in content.images)
    return sorted({folder_of(images, name) for name in names if isinstance(name, str)})


def _state(folders: Sequence[str], listing: Listing) -> str:
    """Tell one state of folders from another by their files' names, sizes and times."""
    state = hashlib.sha256()
    for folder in folders:
        files = sorted(listing(folder).items())
        lines = [f"\n{name} {size} {time}" for name, (size, time) in files]
        state.update(os.fsencode("".join([f"\n{folder}", *lines])))
    return state.hexdigest()


def _digest_of(file: Path) -> bytes | None:
    """Return the digest of a large file's content; None of a small one, or of none."""
    try:
        if file.stat().st_size < _LEAST_BYTES:
            return None
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError:  # The reader tells it.
        return None


@cache
def _code() -> bytes:
    """Return what the files of this room contain: other rules give other entries."""
    return b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]
