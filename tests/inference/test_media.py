"""What prediction reads and writes."""

import cv2
import numpy as np
import pytest
from PIL import Image

from yolov9_lit.errors import UserError
from yolov9_lit.inference.media import AnnotatedWriter, Frame, open_source


def image(path, value=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), (value, 10, 200)).save(path)
    return path


def video(path, frames=5):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for i in range(frames):
        writer.write(np.full((48, 64, 3), 40 * i, np.uint8))
    writer.release()
    return path


def test_folder_in_order_with_unreadable_files_counted(tmp_path, caplog):
    image(tmp_path / "b.png")
    image(tmp_path / "ä.jpg")
    (tmp_path / "a.jpg").write_bytes(b"not an image")
    (tmp_path / "notes.txt").write_text("passed over")
    source = open_source(str(tmp_path))
    frames = list(source)
    assert [f.path.name for f in frames] == ["b.png", "ä.jpg"]
    assert frames[0].image[0, 0].tolist() == [90, 10, 200], "RGB"
    assert [p.name for p in source.unreadable] == ["a.jpg"]
    assert "a.jpg" in caplog.text


def test_file_glob_and_nothing(tmp_path):
    image(tmp_path / "x" / "1.jpg")
    image(tmp_path / "y" / "2.jpg")
    assert len(open_source(tmp_path / "x" / "1.jpg").paths) == 1
    assert len(open_source(str(tmp_path / "*" / "*.jpg")).paths) == 2
    with pytest.raises(UserError, match="Nothing is at source="):
        open_source(str(tmp_path / "none.jpg"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has neither images nor videos"):
        open_source(str(tmp_path / "empty"))


def test_video_in_and_out(tmp_path):
    source = open_source(video(tmp_path / "clip.mp4"))
    with AnnotatedWriter(tmp_path / "out") as writer:
        targets = {writer.write(frame, frame.image) for frame in source}
    (target,) = targets
    copies = list(open_source(target))
    assert [f.frame_index for f in copies] == [0, 1, 2, 3, 4]
    assert copies[0].fps == 10
    assert abs(int(copies[4].image.mean()) - 160) < 8


def test_video_without_frames_is_counted(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    source = open_source(tmp_path / "broken.mp4")
    assert list(source) == []
    assert len(source.unreadable) == 1


def test_same_names_get_numbers(tmp_path):
    paths = [image(tmp_path / d / "1.jpg", value) for d, value in (("x", 10), ("y", 200))]
    with AnnotatedWriter(tmp_path / "out") as writer:
        for path in paths:
            for frame in open_source(path):
                writer.write(frame, frame.image)
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["1.jpg", "1_2.jpg"]


def test_originals_are_not_overwritten(tmp_path):
    original = image(tmp_path / "1.jpg")
    before = original.read_bytes()
    with AnnotatedWriter(tmp_path) as writer:
        targets = [writer.write(frame, 255 - frame.image) for frame in open_source(original)]
    assert original.read_bytes() == before
    assert [target.name for target in targets] == ["1_2.jpg"]


def test_video_that_cannot_be_written_is_told(tmp_path):
    frame = Frame(np.zeros((48, 64, 3), np.uint8), tmp_path / "clip.mp4", 0, 1e9)
    with (
        AnnotatedWriter(tmp_path / "out") as writer,
        pytest.raises(UserError, match="cannot be written"),
    ):
        writer.write(frame, frame.image)
