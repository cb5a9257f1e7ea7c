"""What prediction reads and writes."""

import cv2
import numpy as np
import pytest
from PIL import Image

from yolov9_lit.errors import UserError
from yolov9_lit.inference.media import AnnotatedWriter, Frame
from yolov9_lit.inference.source import open_source


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


def test_a_video_of_an_impossible_rate_is_written_at_a_usual_one(tmp_path):
    frame = Frame(np.zeros((48, 64, 3), np.uint8), tmp_path / "clip.mp4", 0, 1e9)
    with AnnotatedWriter(tmp_path / "out") as writer:
        target = writer.write(frame, frame.image)
        writer.write(frame, np.zeros((24, 64, 3), np.uint8))  # The size changes within the stream.
    assert [f.fps for f in open_source(target)] == [25, 25]


def grey_levels(path, frames=40):
    """A video whose frames are JPEG images, each of a brightness of its own."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for i in range(frames):
        writer.write(np.random.default_rng(i).integers(0, 6 * i + 6, (64, 64, 3), dtype=np.uint8))
    writer.release()
    return path.read_bytes()


@pytest.mark.parametrize("damage", ["hole", "cut"])
def test_frames_behind_damage_are_read_and_the_lost_ones_told(tmp_path, caplog, damage):
    whole = grey_levels(tmp_path / "whole.avi")
    middle = len(whole) // 2
    hole = whole[:middle] + bytes(6000) + whole[middle + 6000 :]
    (tmp_path / "x.avi").write_bytes(hole if damage == "hole" else whole[:middle])
    indices = [f.frame_index for f in open_source(tmp_path / "x.avi")]
    assert len(indices) < 40
    assert (max(indices) > 30) == (damage == "hole")
    assert f"{len(indices)} of the 40 frames of {tmp_path / 'x.avi'} were read" in caplog.text
    caplog.clear()
    assert len(list(open_source(tmp_path / "whole.avi"))) == 40
    assert not caplog.text


@pytest.mark.parametrize("folder", [True, False])
def test_a_video_is_opened_to_know_it_and_to_read_it(tmp_path, monkeypatch, folder):
    video(tmp_path / "v.mp4")
    image(tmp_path / "1.jpg")
    opened, capture = [], cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: opened.append(given) or capture(*given))
    assert len(list(open_source(tmp_path if folder else tmp_path / "v.mp4"))) == 5 + folder
    assert len(opened) == 2


@pytest.mark.parametrize("name", ["v.wmv", "v.ts", "v.M4V", "v", "v.3gp"])
def test_a_video_is_what_the_decoder_opens(tmp_path, name):
    video(tmp_path / "v.mp4").rename(tmp_path / name)
    assert len(list(open_source(tmp_path))) == 5
    assert len(list(open_source(tmp_path / name))) == 5


def test_images_of_any_ending_are_found_and_what_is_passed_over_is_told(tmp_path, caplog):
    for name in ("1.JPG", "2.jfif", "3.jpe", "4.PNG", "5.ppm", "6.tga"):
        ending = {".jfif": "JPEG", ".jpe": "JPEG"}.get(name[1:])
        Image.new("RGB", (32, 24)).save(tmp_path / name, format=ending)
    (tmp_path / "1.txt").write_text("0 0.5 0.5 1 1")
    np.save(tmp_path / "features.npy", np.arange(1000))
    hidden = image(tmp_path / ".ipynb_checkpoints" / "1.jpg")
    (tmp_path / "._1.jpg").write_bytes(hidden.read_bytes())
    (tmp_path / "more").mkdir()
    names = [p.name for p in open_source(tmp_path).paths]
    assert names == ["1.JPG", "2.jfif", "3.jpe", "4.PNG", "5.ppm", "6.tga"]
    assert "passed over: 1 .txt, 1 .npy" in caplog.text
    assert f"{tmp_path}/**/*" in caplog.text, "its folder is told"
    assert len(list(open_source(tmp_path))) == 6


def test_links_are_followed_once_and_brackets_are_no_pattern(tmp_path):
    folder = tmp_path / "set [1]"
    image(folder / "a" / "1.jpg")
    image(tmp_path / "elsewhere" / "2.jpg")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "a" / "loop").symlink_to(folder)
    assert sorted(p.name for p in open_source(f"{folder}/**/*.jpg").paths) == ["1.jpg", "2.jpg"]


def test_an_animation_is_told(tmp_path, caplog):
    frames = [Image.new("L", (32, 24), value) for value in (0, 90, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    image(tmp_path / "b.jpg")
    assert len(list(open_source(tmp_path))) == 2
    assert "the first is used: a.gif" in caplog.text


@pytest.mark.parametrize("content", [b"", b"a.jpg\nb.jpg\n", bytes(range(256)) * 9])
def test_a_file_that_is_no_image_is_one_sentence(tmp_path, caplog, content):
    (tmp_path / "list.txt").write_bytes(content)
    source = open_source(tmp_path / "list.txt")
    assert len(list(source)) + len(source.unreadable) == 1
    if source.unreadable:
        assert "list.txt is neither an image nor a video" in caplog.text
