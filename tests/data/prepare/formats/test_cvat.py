"""Data sets as CVAT exports them for images: shapes by hand, from the format's documentation."""

import math
from xml.etree import ElementTree

import hotcoco.mask
import numpy as np
import pytest
from PIL import Image

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.data.__main__ import main
from yolov9_lit.data.prepare.formats.cvat import parse_shape
from yolov9_lit.errors import UserError

META = """<version>1.1</version><meta><project><labels>
<label><name>car</name><type>any</type></label>
<label><name>person</name><type>polygon</type></label>
<label><name>good</name><type>tag</type></label></labels></project></meta>"""
BOX = '<box label="person" xtl="4.5" ytl="6" xbr="20" ybr="16.5" occluded="0" z_order="0"/>'
POLYGON = '<polygon label="car" points="10,10;30,10;30,20;10,20"></polygon>'
MASK = '<mask label="car" rle="1, 2, 1, 2" left="40" top="8" width="3" height="2"/>'
OTHERS = '<points label="car" points="1,1"/><tag label="good"/>'


def image(name, shapes, subset=""):
    subset = f' subset="{subset}"' if subset else ""
    return f'<image id="0" name="{name}" width="64" height="48"{subset}>{shapes}</image>'


def export(root, *images, files=("a.png", "b.png", "c.png"), meta=META):
    root.mkdir(parents=True, exist_ok=True)
    (root / "annotations.xml").write_text(f"<annotations>{meta}{''.join(images)}</annotations>")
    for file in files:
        path = root / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(len(str(path))).integers(0, 256, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLOV9_LIT_DATA", str(tmp_path / "cache"))


def datamodule(root, *overrides):
    small = ["data.image_size=64", "data.batch_size=2", "data.num_workers=0"]
    module = build(compose("train", ["data=cvat", f"data.root={root}", *small, *overrides]).data)
    module.setup()
    return module


@pytest.mark.parametrize("apart", [False, True])
def test_subsets_are_splits(tmp_path, caplog, apart):
    """Their images lie in folders of their names, or together."""
    files = (
        ("Train/a.png", "Train/b.png", "Validation/c.png") if apart else ("a.png", "b.png", "c.png")
    )
    shapes = (image("a.png", BOX + POLYGON + OTHERS, "Train"), image("b.png", MASK, "Train"))
    root = export(tmp_path / "set", *shapes, image("c.png", BOX, "Validation"), files=files)
    with caplog.at_level("INFO"):
        module = datamodule(root)
    assert module.class_names == ("car", "person")
    train = module.annotations("train")
    expected = [[4.5, 6, 20, 16.5], [10, 10, 30, 20], [41, 8, 43, 10]]
    np.testing.assert_allclose(train.boxes, expected)
    assert train.labels.tolist() == [1, 0, 0]
    assert [len(outlines) for outlines in train.polygons] == [0, 1, 1]
    assert "2 shapes are lines, points, cuboids, skeletons or tags" in caplog.text
    assert len(module.annotations("val")) == len(module.annotations("test")) == 1


def test_an_export_for_each_split_is_converted(tmp_path, capsys):
    for split in ("train", "val"):
        export(tmp_path / "set" / split, image("a.png", BOX), files=["a.png"])
    arguments = ["format=cvat", f"src={tmp_path / 'set'}", f"out={tmp_path / 'coco'}"]
    assert main(["convert", *arguments]) == 0
    assert (tmp_path / "coco/annotations/instances_val.json").is_file()


def shape(text, size=(48, 64)):
    return parse_shape(ElementTree.fromstring(text), size)


@pytest.mark.parametrize("degrees", [0, 30, 90, 200])
def test_what_is_turned_gets_the_upright_box_around_it(degrees):
    """Compared with points of its rim, turned one by one about its middle."""
    turn = math.radians(degrees)
    matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    corners = np.array([[-10, -4], [10, -4], [10, 4], [-10, 4]])
    angles = np.linspace(0, 2 * np.pi, 3601)
    rim = np.stack([10 * np.cos(angles), 4 * np.sin(angles)], axis=1)
    texts = (
        f'<box label="a" xtl="20" ytl="16" xbr="40" ybr="24" rotation="{degrees}"/>',
        f'<ellipse label="a" cx="30" cy="20" rx="10" ry="4" rotation="{degrees}"/>',
    )
    for text, points in zip(texts, (corners, rim), strict=True):
        turned = points @ matrix.T + [30, 20]
        expected = [*turned.min(axis=0), *np.ptp(turned, axis=0)]
        np.testing.assert_allclose(shape(text)["bbox"], expected, atol=1e-4)


def test_masks_are_run_lengths_of_rows():
    found = shape(MASK)
    whole = np.zeros((48, 64), dtype=np.uint8)
    whole[8, 41:43] = whole[9, 41:43] = 1  # 0 1 1 / 0 1 1
    mask = found["segmentation"] | {"counts": found["segmentation"]["counts"].encode()}
    assert np.array_equal(hotcoco.mask.decode(mask), whole)
    assert found["bbox"] == [41, 8, 2, 2]


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ([image("a.png", BOX)], r"has images of no subset: set the subsets Train and Validation"),
        ([image("a.png", BOX, "default")], r"has images of the subset default: set the subsets"),
        (
            ['<track id="0" label="car"/>'],
            r'tracks of a video: export it as "CVAT for images 1\.1"',
        ),
        ([], r"annotations\.xml has no images as"),
        (["<"], r"annotations\.xml cannot be read \(.*\): export it anew"),
        ([image("a.png", BOX, "Train")], r"has no val split, .*or subset \(CVAT\)"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, images, told):
    root = export(tmp_path / "set", *images)
    with pytest.raises(UserError, match=told) as error:
        datamodule(root)
    assert "\n" not in str(error.value)


def test_broken_shapes_are_left_out_and_told(tmp_path, caplog):
    broken = '<box label="car" xtl="a"/><polygon label="car" points="1,2;3"/><box label=""/>'
    masks = MASK.replace("1, 2, 1, 2", "1, 9"), MASK.replace("1, 2, 1, 2", "6")
    train = image("a.png", broken + "".join(masks) + BOX, "train")
    module = datamodule(export(tmp_path / "set", train, image("b.png", BOX, "val")))
    assert len(module.annotations("train").boxes) == 1
    assert "5 objects lack a name or the four numbers of a box" in caplog.text
