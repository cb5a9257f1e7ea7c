"""Annotated copies of test images."""

from types import SimpleNamespace

import numpy as np
import torch

from yolov9_lit.structures import Detections, ImageInfo
from yolov9_lit.training.callbacks.images import PredictionImages


def test_images_of_one_name_in_two_folders_keep_a_copy_each(tmp_path):
    infos = [ImageInfo(i, f"{folder}/1.jpg", 8, 8, 1.0, 0, 0) for i, folder in enumerate("abc")]
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    pixels = np.zeros((8, 8, 3), np.uint8)
    data = SimpleNamespace(test_image=lambda number: pixels + 80 * number, class_names=("a",))
    callback = PredictionImages(tmp_path, count=8)
    for _ in range(2):
        callback.on_test_start(None, None)
        callback.on_test_batch_end(
            SimpleNamespace(datamodule=data),
            None,
            {"detections": [nothing] * 3},
            SimpleNamespace(infos=infos),
            0,
        )
        assert sorted(p.name for p in tmp_path.iterdir()) == ["1.jpg", "1_1.jpg", "1_2.jpg"]
