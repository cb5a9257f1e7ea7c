"""Augmentations of training samples, one a file, and the pipeline that runs them."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.data.transforms.affine import RandomAffine as RandomAffine
    from yolov9_lit.data.transforms.albumentations import Albumentations as Albumentations
    from yolov9_lit.data.transforms.color import RandomHSV as RandomHSV
    from yolov9_lit.data.transforms.copy_paste import CopyPaste as CopyPaste
    from yolov9_lit.data.transforms.flip import RandomFlip as RandomFlip
    from yolov9_lit.data.transforms.mixup import MixUp as MixUp
    from yolov9_lit.data.transforms.mosaic import Mosaic as Mosaic
    from yolov9_lit.data.transforms.pipeline import Augmentation as Augmentation
    from yolov9_lit.data.transforms.pipeline import Transform as Transform
else:
    __getattr__, __dir__, __all__ = exports(__name__)
