"""The sheet of training images."""

import shutil

import numpy as np
import pytest
from PIL import Image

from yolov9_lit.data.__main__ import main
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.keypoints import Keypoints
from yolov9_lit.data.prepare.preview import Entry, _entries, draw_sheet, write_preview
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.sample import Sample
from yolov9_lit.reporting.draw import class_colour
from yolov9_lit.reporting.skeleton import LEFT, RIGHT
from yolov9_lit.structures import KeypointLayout


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(root, train=5, val=2, image_size=64)
    return root


def options(root, *more):
    return [f"data.root={root}", "data.image_size=64", "~data.prepare", *more]


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.array(image)


@pytest.mark.slow
def test_the_command_takes_the_trainings_config(shapes, tmp_path, capsys):
    out = tmp_path / "new" / "sheet.png"

    def sheet(*overrides):
        assert main(["preview", f"out={out}", *options(shapes, *overrides)]) == 0
        return pixels(out)

    paper = sheet("augment=paper", "count=3")
    assert capsys.readouterr().out == f"{out}: 3 training images of {shapes}\n"
    assert np.array_equal(sheet("augment=paper", "count=3"), paper)
    assert not np.array_equal(sheet("augment=none", "count=3"), paper)
    assert not np.array_equal(sheet("augment=paper", "seed=1", "count=3"), paper)
    whole = sheet()
    assert len(whole) > len(paper), "all five, in two rows"
    assert "5 training images" in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["sheet.png"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["out=a.jpg"], "give out=FILE.png instead of a.jpg"),
        (["out=a.png", "count=0"], "count=0 is not valid: give a whole number, 1 or more"),
        (["count=3"], "preview takes out, optionally count once each"),
        (["out=a.png", "out"], "takes out"),
        (["out=a.png", "augment=nothing"], "There is no augment=nothing: give one of none, "),
        (["out=a.png", "data.rot=x"], "no setting data.rot: give one that it has, such as"),
        (["out=a.png", "data.root=nowhere"], "There is no data folder nowhere"),
        (["out=a.png", "augment.transforms=["], "correct the override"),
    ],
)
def test_mistakes_are_told(shapes, capsys, arguments, sentence):
    assert main(["preview", *options(shapes), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_no_root_is_told(capsys):
    assert main(["preview", "out=a.png", "data=coco"]) == 2
    assert "data.root is not given: add data.root=VALUE" in capsys.readouterr().err


def test_objects_are_drawn_where_they_are():
    """A box of one class fills the middle of each image; only there its colour shows."""
    image = np.zeros((100, 100, 3), dtype=np.uint8)
    box = np.array([[20, 20, 80, 80]], dtype=np.float32)
    sample = Sample(image, box, np.array([1]), ((),))
    bare = Sample(image, box[:0], np.array([], dtype=int), ())
    sheet = np.array(draw_sheet([Entry("é.jpg", sample, bare, sample)], ["a", "b"], "title"))
    coloured = (sheet == class_colour(1)).all(axis=2)
    rows, columns = np.flatnonzero(coloured.any(axis=1)), np.flatnonzero(coloured.any(axis=0))
    large = (24 + 0.2 * 480, 24 + 0.8 * 480)
    assert columns[0] == pytest.approx(large[0], abs=3)
    assert np.abs(columns - large[1]).min() <= 3
    assert rows[-1] == pytest.approx(2 * 24 + 24 + 24 + 480 - 0.2 * 236, abs=3)
    small = sheet[96 : 96 + 236, 24 + 488 : 24 + 488 + 236]
    assert not small.any(), "the image without objects is left as it is"


def test_the_sheet_shows_what_the_training_gets(shapes, tmp_path):
    module = DetectionDataModule(
        shapes,
        *("train2017", "annotations/instances_train2017.json"),
        *("val2017", "annotations/instances_val2017.json"),
        image_size=64,
        num_workers=0,
        batch_size=1,
    )
    module.setup("fit")
    assert write_preview(module, tmp_path / "a.png", 1) == 1
    (image, *_) = next(iter(module.train_dataloader())).images
    sheet = pixels(tmp_path / "a.png")
    shown = sheet[96 : 96 + 480, 24 : 24 + 480]
    expected = np.array(Image.fromarray(image.permute(1, 2, 0).numpy()).resize((480, 480)))
    alike = (np.abs(shown.astype(int) - expected) < 40).all(axis=2)
    assert alike.mean() > 0.5, "but for what is drawn on it"


def test_another_image_is_not_shown_under_the_name_of_one_that_is_skipped(shapes, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(shapes, root)
    broken = next((root / "train2017").iterdir())
    broken.write_bytes(b"junk")
    module = DetectionDataModule(
        root,
        *("train2017", "annotations/instances_train2017.json"),
        *("val2017", "annotations/instances_val2017.json"),
        image_size=64,
        num_workers=0,
    )
    module.setup("fit")
    names = [entry.name for entry in _entries(module)]
    assert names.count(f"another in place of {broken.name}, which is no image of a known kind") == 1
    assert broken.name not in names


def test_keypoints_are_drawn_where_they_are():
    """Each sample's own, enlarged with it; none without a layout."""
    grey = np.full((40, 40, 3), 120, dtype=np.uint8)
    layout = KeypointLayout(("left", "right"), (), (1, 0), (0.05, 0.05))
    values = np.array([[[10, 30, 2], [30, 30, 2]]], dtype=np.float32)
    mirrored = np.array([1, 0])

    def sample(points):
        box = np.array([[4, 4, 36, 36]], dtype=np.float32)
        return Sample(grey, box, np.array([0]), ((),), Keypoints(points, mirrored))

    entry = Entry("a", sample(values), sample(values[:, ::-1]), sample(values * 0))
    plain = np.asarray(draw_sheet([entry], ["cat"], "t"))
    sheet = np.asarray(draw_sheet([entry], ["cat"], "t", layout))
    changed = np.argwhere((sheet != plain).any(axis=2))
    left, right = (np.argwhere((sheet == colour).all(axis=2)) for colour in (LEFT, RIGHT))
    assert len(changed)
    first = [np.median(points[points[:, 1] < 500], axis=0) for points in (left, right)]
    second = [np.median(points[points[:, 1] > 500], axis=0) for points in (left, right)]
    assert first[1] - first[0] == pytest.approx([0, 20 / 40 * 480], abs=1)
    assert second[1] - second[0] == pytest.approx([0, -20 / 40 * 236], abs=1)
