"""One image's way to the batch: annotations, images, cache, samples, samplers, loaders."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.data.annotations import Annotations as Annotations, Category as Category
    from yolov9_lit.data.datamodule import DetectionDataModule as DetectionDataModule
    from yolov9_lit.data.sample import Sample as Sample
else:
    __getattr__, __dir__, __all__ = exports(__name__)
