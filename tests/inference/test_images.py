"""Images given from Python are what their files would be, or refused."""

import numpy as np
import pytest
from PIL import Image

from yolov9_lit.errors import UserError
from yolov9_lit.inference.images import _as_array
from yolov9_lit.inference.source import open_source


def test_pillow_images_become_what_their_files_become(tmp_path):
    upright = np.zeros((24, 32, 3), np.uint8)
    upright[:12, :16] = (200, 100, 50)
    rgba = Image.fromarray(upright).convert("RGBA")
    rgba.putalpha(128)
    deep = Image.fromarray((upright[..., 0].astype(np.uint16) << 8) + 77)
    turned = Image.fromarray(upright)
    turned.getexif()[0x0112] = 6
    for given in (rgba, deep, turned, rgba.convert("LA"), turned.convert("P"), deep.convert("1")):
        path = tmp_path / "x.png"
        given.save(path, exif=given.getexif())
        (frame,) = open_source(path)
        np.testing.assert_array_equal(_as_array(given), frame.image, err_msg=given.mode)


@pytest.mark.parametrize(
    "given",
    [
        np.full((8, 8, 3), 0.5),
        np.full((8, 8, 3), np.nan, np.float32),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((8, 8, 5), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        Image.new("I", (8, 8), 70000),
        Image.new("F", (8, 8), 0.5),
        None,
    ],
    ids=lambda given: f"{getattr(given, 'mode', getattr(given, 'dtype', None))}",
)
def test_what_cannot_be_shown_in_8_bits_is_refused(given):
    with pytest.raises(UserError, match="mage"):
        _as_array(given)
