"""What a detector looked at: a class-activation map of each of its best detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.checks import check_fields
from yolov9_lit.data.letterbox import evaluation_letterbox, prediction_shape, restore
from yolov9_lit.errors import UserError, first_few
from yolov9_lit.evaluation.nms import NMSSettings, with_anchors
from yolov9_lit.inference.cams import Cam
from yolov9_lit.inference.images import unit_range
from yolov9_lit.inference.levels import Levels, Place, read_levels
from yolov9_lit.inference.predictor import Predictor
from yolov9_lit.kinds import PositiveInt
from yolov9_lit.structures import Detections, ImageInfo


class Seen(NamedTuple):
    """One image as a detector sees it.

    Attributes:
        detections: all of them by falling score, boxes and keypoints in the image's pixels.
        anchors: of each detection the anchor that gave it.
        levels: the forward pass.
        info: how the image was put into the network's input.
        shape: (height, width) of the input in pixels.
    """

    detections: Detections
    anchors: list[int]
    levels: Levels
    info: ImageInfo
    shape: tuple[int, int]


class Explanation(NamedTuple):
    """Some detections of one image, and where each comes from.

    Attributes:
        detections: by falling score, boxes and keypoints in the image's pixels.
        heats: (H, W) float32 of each in the image's pixels, 0..1; its largest value is 1, or all
            are 0 where nothing speaks for the detection.
    """

    detections: Detections
    heats: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Explainer:
    """Explains detections by their class score: the logit of their class at their anchor.

    Attributes:
        cam: how maps and gradients become heat; the heats of the levels are added.
        maps: those that the head reads reach a few cells around the anchor, the backbone's the
            whole image.
        best: detections of an image that are explained.
        classes: names of those that are explained; None for all.
    """

    cam: Cam
    maps: Place = "neck"
    best: PositiveInt = 3
    classes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_fields(self)

    def __call__(
        self,
        predictor: Predictor,
        image: np.ndarray,
        settings: NMSSettings,
        image_size: int | None = None,
    ) -> Explanation:
        """Explain the best detections of one image; see `see`."""
        seen = self.see(predictor, image, settings, image_size)
        rows = self.choose(seen.detections, predictor.class_names)
        heats = tuple(self.heat(seen, row) for row in rows)
        return Explanation(seen.detections.select(torch.tensor(rows, dtype=torch.long)), heats)

    def see(
        self,
        predictor: Predictor,
        image: np.ndarray,
        settings: NMSSettings,
        image_size: int | None = None,
    ) -> Seen:
        """Detect in one image, and keep what detections come from.

        Args:
            predictor: with the branch that is asked as its main one, see `Predictor.deploy`.
            image: (H, W, 3) uint8 RGB.
            settings: those of the detections, see `ImagePredictor.predict`.
            image_size: longest side of the input in pixels; the checkpoint's by default.
        """
        height, width = image.shape[:2]
        size = predictor.input_size(image_size)
        shape = prediction_shape((height, width), size)
        boxed, placement = evaluation_letterbox(image, shape, size)
        device = next(predictor.parameters()).device
        inputs = torch.from_numpy(boxed).permute(2, 0, 1)[None].to(device)
        with torch.enable_grad():
            # The graph starts at the image: the weights of a deployed detector need no gradients.
            pixels = unit_range(inputs.contiguous()).requires_grad_(self.cam.uses_gradients)
            levels = read_levels(predictor.detector, pixels, self.maps)
        with torch.no_grad():
            candidates = predictor.detector.candidates(levels.output)
        ((found, anchors),) = with_anchors(candidates, settings)
        info = ImageInfo(0, "", height, width, *placement)
        # Masks would hide the heat.
        restored = restore(found._replace(parts=None), info)
        return Seen(restored, anchors.tolist(), levels, info, shape)

    def choose(self, detections: Detections, class_names: Sequence[str]) -> list[int]:
        """Return the indices of the detections that are to be explained, by falling score.

        Raises:
            UserError: one of `classes` is none of the names.
        """
        wanted = class_names if self.classes is None else self.classes
        if unknown := [name for name in wanted if name not in class_names]:
            known = first_few(class_names)
            raise UserError(
                f"classes={first_few(unknown)} to explain: the checkpoint knows {known}."
            )
        labels = detections.labels.tolist()
        return [i for i, label in enumerate(labels) if class_names[label] in wanted][: self.best]

    def heat(self, seen: Seen, index: int) -> np.ndarray:
        """Return the heat of one detection in the image's pixels, see `Explanation.heats`."""
        label = int(seen.detections.labels[index])
        heat = self._heat(seen.levels, seen.anchors[index], label, seen.shape)
        return in_image(heat, seen.info)

    def _heat(self, levels: Levels, anchor: int, label: int, shape: tuple[int, int]) -> Tensor:
        """Return the heat (H, W) of one class score in the input's pixels."""
        gradients = [torch.zeros_like(one) for one in levels.maps]
        if self.cam.uses_gradients:
            gradients = score_gradients(levels, anchor, label)
        heats = [
            self.cam(one[0].detach().float(), gradient[0].float())
            for one, gradient in zip(levels.maps, gradients, strict=True)
        ]
        enlarged = [
            F.interpolate(heat[None, None], size=shape, mode="bilinear", align_corners=False)
            for heat in heats
        ]
        return torch.stack(enlarged).sum(dim=0)[0, 0]


def score_gradients(levels: Levels, anchor: int, label: int) -> list[Tensor]:
    """Return the gradient of the first image's class logit at an anchor by each of the maps.

    Zeros stand for a map that the score does not depend on.
    """
    score = levels.output.class_logits[0, anchor, label]
    gradients = torch.autograd.grad(
        score, levels.maps, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return list(gradients)


def in_image(heat: Tensor, info: ImageInfo) -> np.ndarray:
    """Cut the padding off a heat (H, W) of the input and scale it to the image and to 0..1."""
    top, left = round(info.top), round(info.left)
    height, width = round(info.height * info.scale_y), round(info.width * info.scale_x)
    cut = heat[top : top + height, left : left + width].cpu().numpy()
    scaled = np.asarray(cv2.resize(cut, (info.width, info.height), interpolation=cv2.INTER_LINEAR))
    top_heat = float(scaled.max())
    return scaled / top_heat if top_heat > 0 else scaled
