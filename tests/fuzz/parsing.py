"""Files written in the letters of their format, but not in its grammar; and files of images."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from data_properties import in_folder
from hostile_coco import ANNOTATIONS, KEYS, sound_coco
from hostile_files import Files, image, of_bytes, write_text
from hostile_values import mutation, some, texts, values
from hostile_voc import CORNERS, XMLS, sound_voc
from hostile_yolo import LABELS, NUMBERS, sound_yolo
from hypothesis import strategies as st

from yolov9_lit.data.coco.faults import Faults
from yolov9_lit.data.images import UnreadableImage, image_size, read_image
from yolov9_lit.data.prepare.formats.coco import CocoFolder
from yolov9_lit.data.prepare.formats.source import SourceFolder, read_splits
from yolov9_lit.data.prepare.formats.voc import VocFolder
from yolov9_lit.data.prepare.formats.yolo import YoloFolder


def read(source: type[SourceFolder], root: Path) -> None:
    """Read and judge a set; hold that every box lies inside its image and is of a class."""
    faults = Faults(root)
    for judged in read_splits(source(root, faults)).values():
        for item in judged.objects:
            entry = judged.images[item.entry["image_id"]]
            x1, y1, x2, y2 = item.box
            assert 0 <= x1 < x2 <= entry["width"], item
            assert 0 <= y1 < y2 <= entry["height"], item
            assert item.entry["category_id"] in judged.names
            assert np.isfinite(np.concatenate([np.zeros(1), *item.outlines])).all()


def write_bytes(files: Files, file, content):
    files[file] = content


def _texts_of(files: list[str], words: list[str]) -> st.SearchStrategy:
    text = st.lists(st.sampled_from(words) | texts, max_size=30).map("".join)
    file = st.sampled_from(files)
    return some(
        [
            mutation(write_text, file=file, text=text),
            mutation(write_bytes, file=file, content=st.binary(max_size=200)),
            *of_bytes(files),
        ]
    )


def label_lines() -> tuple[st.SearchStrategy, Any]:
    """Label files of YOLO."""
    words = [*NUMBERS, *(" " * 6), *("\n" * 4), "\t", "0 0.5 0.5 0.2 0.2\n", "#", "\r\n", "\x85"]
    return _texts_of(LABELS, words), _reads(sound_yolo, YoloFolder)


def xml_files() -> tuple[st.SearchStrategy, Any]:
    """XML files of VOC."""
    tags = [*CORNERS, "annotation", "object", "name", "bndbox", "filename", "size", "width"]
    words = [*(f"<{tag}>" for tag in tags), *(f"</{tag}>" for tag in tags), *NUMBERS[:12]]
    words += ["<![CDATA[", "]]>", "<!--", "-->", "&amp;", "&#0;", "&x;", "<?xml version='1.0'?>"]
    words.append("<object><name>dog</name><bndbox><xmin>1</xmin></bndbox></object>")
    return _texts_of(XMLS, words), _reads(sound_voc, VocFolder)


def json_files() -> tuple[st.SearchStrategy, Any]:
    """Annotation files of COCO: any JSON with the format's keys."""
    keys = st.sampled_from([*KEYS, *(key for names in KEYS.values() for key in names)])
    entries = {
        part: st.lists(st.dictionaries(st.sampled_from(names), values, max_size=7), max_size=5)
        for part, names in KEYS.items()
    }
    nested = st.recursive(values, lambda v: st.lists(v) | st.dictionaries(keys, v), max_leaves=20)
    content = st.fixed_dictionaries(entries) | st.fixed_dictionaries(dict.fromkeys(KEYS, nested))
    drawn = mutation(write_json, file=st.sampled_from([*ANNOTATIONS.values()]), content=content)
    return some([drawn], most=2), _reads(sound_coco, CocoFolder)


def write_json(files: Files, file, content):
    files[file] = json.dumps(content).encode()


def _reads(sound: Callable[[], Files], source: type) -> Any:
    return partial(in_folder, sound, run=partial(read, source))


IMAGES: Files = {
    **{
        f"{kind}.{kind}": image(kind=kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
    },
    **{
        f"{mode}.png": image(mode=mode, kind="PNG")
        for mode in ("L", "LA", "P", "RGBA", "I;16", "1")
    },
    "cmyk.jpg": image(mode="CMYK"),
    "lzw.tif": image(kind="TIFF", compression="tiff_lzw"),
    "interlaced.gif": image(kind="GIF", interlace=1),
    "progressive.jpg": image(progressive=True),
}


def image_files() -> tuple[st.SearchStrategy, Any]:
    """Image files of all kinds: read whole, with the size that their header says, or not at all."""

    return some(of_bytes([*IMAGES])), partial(in_folder, lambda: IMAGES, run=_read_images)


def _read_images(root: Path) -> None:
    for path in root.iterdir():
        try:
            pixels = read_image(path)
        except UnreadableImage:
            continue
        assert pixels.dtype == np.uint8
        assert pixels.shape[2:] == (3,)
        assert min(pixels.shape) > 0
        assert image_size(path) in (None, pixels.shape[:2])
