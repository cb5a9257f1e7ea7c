"""Which files are images: by ending, in hidden and linked folders, and what is in them."""

import os

import numpy as np
import pytest
from PIL import Image

from yolov9_lit.data.images import IMAGE_ENDINGS, has_image_ending, image_size, read_image
from yolov9_lit.files import visible_files


@pytest.mark.parametrize("ending", IMAGE_ENDINGS)
def test_every_ending_is_one_that_the_decoder_reads(tmp_path, ending):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    mode = {".pbm": "1", ".pgm": "L"}.get(ending, "RGB")
    path = tmp_path / f"x{ending}"
    Image.fromarray(pixels).convert(mode).save(path)
    assert read_image(path).shape == (20, 30, 3)
    assert image_size(path) == (20, 30)
    assert has_image_ending(path)
    assert has_image_ending(path.with_suffix(ending.upper()))


def test_hidden_files_are_passed_over_and_links_followed_once(tmp_path):
    root, store = tmp_path / "root", tmp_path / "store"
    for name in ("root/b.jpg", "root/.hidden/x.jpg", "root/._b.jpg", "root/a/c.jpg", "store/d.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (root / "part").symlink_to(store)
    (root / "same").symlink_to(store)
    (store / "back").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    found = [path.relative_to(root).as_posix() for path in visible_files(root)]
    assert found == ["b.jpg", "a/c.jpg", "part/d.jpg"]
    assert [path.name for path in visible_files(root / ".hidden")] == ["x.jpg"]


def test_pipes_are_passed_over_and_links_to_nowhere_are_not(tmp_path):
    """To read the former would never end; the latter are told as missing by who reads them."""
    (tmp_path / "a.jpg").touch()
    os.mkfifo(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d.jpg").symlink_to("/dev/null")
    assert [path.name for path in visible_files(tmp_path)] == ["a.jpg", "c.jpg"]
