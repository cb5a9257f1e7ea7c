"""What VOC data sets of users look like: endings, sizes, name spaces, lists."""

from functools import partial

import pytest
from PIL import Image
from training_split import read_train

from yolov9_lit.data.coco.faults import Faults, Note
from yolov9_lit.data.prepare.formats.voc import VocFolder
from yolov9_lit.errors import UserError

OBJECT = (
    "<object><name>x</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax>"
    "</bndbox></object>"
)


def write(root, name, line, *, size="", filename="", objects=OBJECT, attributes=""):
    """An image of 20 x 10 pixels, its XML file and its line in train.txt."""
    image = root / "JPEGImages" / name
    xml = (root / "Annotations" / name).with_suffix(".xml")
    listed = root / "ImageSets/Main/train.txt"
    for path in (image, xml, listed):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10)).save(image, "PNG")
    body = f"<filename>{filename}</filename>{size}{objects}"
    xml.write_text(f"<annotation{attributes}>{body}</annotation>")
    with listed.open("a") as file:
        file.write(f"{line}\n")


def size(width, height):
    return f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"


read = partial(read_train, VocFolder)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.JPG", "a"),
        ("a.Jfif", "a"),
        ("a.jpg", "a.jpg"),
        ("a.JPG", "a.JPG"),
        ("a.jpg", "a.xml"),
        ("a.jpg", "a  1"),
        ("a.jpg", "a.jpg -1\r"),
        ("a.v2.jpg", "a.v2"),
        ("a b.jpg", "a b"),
        ("train/a.JPG", "train/a"),
    ],
)
def test_images_are_found_by_their_lines(tmp_path, name, line):
    write(tmp_path, name, line)
    assert read(tmp_path) == ([name], 1, [])


@pytest.mark.parametrize("filename", ["b.JPG", "b", "sub/c.png"])
def test_images_are_found_by_the_name_in_the_file(tmp_path, filename):
    write(tmp_path, "a.jpg", "a", filename=filename)
    (tmp_path / "JPEGImages/sub").mkdir()
    (tmp_path / "JPEGImages/a.jpg").rename(
        tmp_path / "JPEGImages" / (filename if "." in filename else "b.jpg")
    )
    assert read(tmp_path)[1:] == (1, [])


def test_names_do_not_lead_out_of_the_folder(tmp_path):
    write(tmp_path, "a.jpg", "a", filename="../../a.jpg")
    write(tmp_path, "b.jpg", "b")
    (tmp_path / "JPEGImages/a.jpg").rename(tmp_path / "a.jpg")
    names, _, ((where, sentence),) = read(tmp_path)
    assert names == ["b.jpg"]
    assert (where, "no image" in sentence) == ("a.xml", True)


@pytest.mark.parametrize("no_size", ["", size(0, 0), size("", ""), size("?", 10), "<size/>"])
def test_no_size_is_no_fault(tmp_path, no_size):
    write(tmp_path, "a.jpg", "a", size=no_size)
    write(tmp_path, "b.jpg", "b", size=size(20, 10))
    assert read(tmp_path) == (["a.jpg", "b.jpg"], 2, [])


@pytest.mark.parametrize(("width", "height"), [(10, 5), (40, 20), (10, 20), (20, 11)])
def test_an_image_of_another_size_is_told_and_left_out_whole(tmp_path, width, height):
    write(tmp_path, "a.jpg", "a", size=size(width, height))
    with pytest.raises(UserError, match=rf"a\.jpg: 20 x 10, not {width} x {height}"):
        read(tmp_path)
    write(tmp_path, "b.jpg", "b", size=size("20.0", 10))
    told = "images have another size than their annotations say and are left out"
    assert read(tmp_path) == (["b.jpg"], 1, [(f"a.jpg: 20 x 10, not {width} x {height}", told)])


def test_name_spaces_do_not_matter(tmp_path):
    write(tmp_path, "a.jpg", "a", attributes=' xmlns="http://example.org/voc"')
    assert read(tmp_path)[1:] == (1, [])


def test_capitals_do_not_matter(tmp_path):
    write(
        tmp_path, "a.jpg", "a", objects=OBJECT.replace("object>", "Object>").replace("name", "NAME")
    )
    assert read(tmp_path)[1:] == (1, [])


def test_objects_without_one_box_are_told(tmp_path):
    two = OBJECT.replace("</object>", "<bndbox/></object>")
    swapped = OBJECT.replace(">9<", ">0<")
    write(tmp_path, "a.jpg", "a", objects=two + OBJECT + OBJECT + swapped)
    _, boxes, told = read(tmp_path)
    assert boxes == 1
    words = ("four numbers", "repeat", "no area")
    assert [word in sentence for word, (_, sentence) in zip(words, told, strict=True)] == [True] * 3


def test_an_image_that_two_files_name_has_the_objects_of_the_first(tmp_path):
    write(tmp_path, "a.jpg", "a")
    write(tmp_path, "b.jpg", "b", filename="a.jpg", objects=2 * OBJECT)
    (tmp_path / "JPEGImages/b.jpg").unlink()
    names, boxes, ((where, sentence),) = read(tmp_path)
    assert (names, boxes, where) == (["a.jpg"], 1, "b.xml")
    assert "have the image of another" in sentence


def test_a_name_that_is_listed_twice_is_told(tmp_path):
    write(tmp_path, "a.jpg", "a")
    write(tmp_path, "a.jpg", "a.jpg")
    sentence = "listed images are listed before and are taken once"
    assert read(tmp_path) == (["a.jpg"], 1, [("a.jpg", sentence)])


def test_marks_of_a_list_of_one_class_are_noted(tmp_path):
    """VOC2007's `cat_train.txt` taken for train.txt: -1 says that an image has no cat."""
    for name, mark in (("a", " 1"), ("b", " -1"), ("c", " 0"), ("d -1", "")):
        write(tmp_path, f"{name}.jpg", f"{name}{mark}")
    faults = Faults(tmp_path)
    VocFolder(tmp_path, faults)
    assert faults.notes == {Note.LISTED_ABSENT: 1}
    assert read(tmp_path) == (["a.jpg", "b.jpg", "c.jpg", "d -1.jpg"], 4, [])


def test_objects_in_a_list_of_their_own_are_read(tmp_path):
    write(tmp_path, "a.jpg", "a", objects=f"<objects>{OBJECT}{OBJECT.replace('9', '8')}</objects>")
    assert read(tmp_path) == (["a.jpg"], 2, [])


def test_xml_of_another_kind_is_told_and_its_image_left_out(tmp_path):
    for name in "ab":
        write(tmp_path, f"{name}.jpg", name)
    box = '<box label="x" xtl="1" ytl="2" xbr="9" ybr="8"/>'
    text = f'<annotations><image name="b.jpg" width="20" height="10">{box}</image></annotations>'
    (tmp_path / "Annotations/b.xml").write_text(text)
    sentence = "XML files are of another kind than VOC's and are left out, like their image"
    assert read(tmp_path) == (["a.jpg"], 1, [("b.xml", sentence)])
