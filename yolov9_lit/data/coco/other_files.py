"""What a file is that was taken for a COCO annotation file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_PACKED = {b"\x1f\x8b": "gzip", b"PK": "ZIP", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}

_LISTED = {
    frozenset({"image_id", "score"}): "detections, as predictions are written",
    frozenset({"image", "annotations"}): "annotations in CreateML's form",
    frozenset({"data", "annotations"}): "annotations in Label Studio's own form",
}
_ALONE = {
    frozenset({"shapes", "imagePath"}): "LabelMe's annotations of one image",
    frozenset({"_via_img_metadata"}): "a project of the VGG Image Annotator",
}


def packed_or_text(path: Path, encoded: bytes) -> str:
    """Say what bytes are that are no JSON; "" if that is not known."""
    for magic, name in _PACKED.items():
        if encoded.startswith(magic):
            return f"packed ({name})"
    if path.suffix.lower() in (".csv", ".tsv"):
        return "a table of text"
    if encoded.lstrip().startswith(b"<"):
        return "XML or HTML"
    try:
        json.loads(encoded.lstrip().partition(b"\n")[0])
    except (ValueError, RecursionError):
        return ""
    return "JSON lines, an object each"


def other_json(content: Any) -> str:
    """Say what JSON is that holds other annotations than COCO's; "" if that is not known."""
    known = _ALONE
    if isinstance(content, list) and content:
        content, known = content[0], _LISTED
    keys = set(content) if isinstance(content, dict) else set()
    return next((name for needed, name in known.items() if needed <= keys), "")
