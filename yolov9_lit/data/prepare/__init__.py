"""Done before a training: other formats, download, check, preview, the embedded data set."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.data.prepare.preview import write_preview as write_preview
    from yolov9_lit.data.prepare.shapes import make_shapes as make_shapes
else:
    __getattr__, __dir__, __all__ = exports(__name__)
