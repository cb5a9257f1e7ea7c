"""Where YOLO data sets keep their files: capitals, links, other YAML files, neighbours."""

import json
import os
from functools import partial

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from training_split import read_train

from yolov9_lit.data.__main__ import main
from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.images import read_header
from yolov9_lit.data.prepare.formats.in_place import annotate_in_place
from yolov9_lit.data.prepare.formats.source import note_leaks, read_splits
from yolov9_lit.data.prepare.formats.yolo import YoloFolder
from yolov9_lit.errors import UserError

LINE = "0 0.5 0.5 0.5 0.5\n"


def write(root, images, labels, config="train: images\nnames: [x]\n", yaml="data.yaml"):
    """Images and a label of one box for each of `labels`, under their paths."""
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(root / name, "PNG")
    for name in labels:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(LINE)
    (root / yaml).write_text(config)
    return root


read = partial(read_train, YoloFolder)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images", "labels"),
        ("Images", "Labels"),
        ("IMAGES", "LABELS"),
        ("images", "Labels"),
        ("Images", "labels"),
        ("Images", "Images"),
    ],
)
def test_capitals_in_names_of_folders(tmp_path, images, labels):
    config = f"train: {images}/train\nnames: [x]\n"
    root = write(tmp_path, [f"{images}/train/a.jpg"], [f"{labels}/train/a.txt"], config)
    assert read(root) == (["a.jpg"], 1, [])


def test_labels_in_small_letters_go_before_those_with_capitals(tmp_path):
    root = write(tmp_path, ["images/a.jpg"], ["labels/a.txt", "Labels/a.txt"])
    (root / "labels/a.txt").write_text(2 * LINE.replace("0.5\n", "0.6\n") + LINE)
    assert read(root)[1] == 2


def test_no_label_of_any_training_image_is_an_error(tmp_path):
    root = write(tmp_path, ["images/a.jpg", "images/b.jpg"], ["annotations/a.txt"])
    with pytest.raises(UserError, match=r"No image of train has a label file, as .*labels/a\.txt"):
        read(root)
    write(tmp_path, [], ["labels/b.txt"])
    assert read(root)[:2] == (["a.jpg", "b.jpg"], 1)


def test_hidden_folders_hold_no_images_and_ids_stay(tmp_path):
    root = write(tmp_path, ["images/a.jpg", "images/.ipynb_checkpoints/a-1.jpg"], ["labels/a.txt"])
    write(root, ["images/._a.jpg"], ["labels/._a.txt", "labels/.trash/z.txt"])
    ids = {"categories": {"x": 7}, "images": {"train": {"a.jpg": 100}}}
    (root / "ids.json").write_text(json.dumps(ids))
    assert read(root) == (["a.jpg"], 1, [])
    train = read_splits(YoloFolder(root, Faults(root)))["train"]
    assert [*train.images] == [100]


def test_linked_folders_are_followed(tmp_path):
    names = ["images/a.jpg", "store/images/b.jpg"]
    root = write(tmp_path / "set", names, ["labels/a.txt", "store/labels/b.txt"])
    for kind in ("images", "labels"):
        (root / kind / "part").symlink_to(root / "store" / kind)
        (root / "store" / kind / "back").symlink_to(root / kind)
    assert read(root) == (["a.jpg", "part/b.jpg"], 2, [])


def test_label_files_beside_images_that_have_none_are_told(tmp_path):
    config = "train: train\nnames: [x]\n"
    labels = ["train/a.txt", "train/b.txt", "train/sub/c.TXT"]
    root = write(tmp_path, ["train/a.jpg"], labels, config)
    texts = {"classes": "x\n", "list": "a.jpg\n", "empty": "", "README": "1 2 3 4 5 images\n"}
    for name, text in texts.items():
        (root / f"train/{name}.txt").write_text(text)
    sentence = "label files have no image and are passed over"
    told = [("train/b.txt", sentence), ("train/sub/c.TXT", sentence)]
    assert read(root) == (["a.jpg"], 1, told)


def test_images_that_share_a_label_file_are_told(tmp_path):
    root = write(tmp_path, ["images/a.jpg", "images/a.png", "images/b.png"], ["labels/a.txt"])
    sentence = "images have the label file of another: its objects count for both"
    assert read(root) == (["a.jpg", "a.png", "b.png"], 2, [("images/a.png", sentence)])


def test_label_files_that_those_in_labels_hide_are_told(tmp_path):
    root = write(tmp_path, ["images/a.jpg"], ["labels/a.txt", "images/a.txt"])
    (root / "images/a.txt").write_text(2 * LINE)
    sentence = "label files lie beside an image that has another in labels and are passed over"
    assert read(root) == (["a.jpg"], 1, [("images/a.txt", sentence)])


@pytest.mark.parametrize(
    "config", ["train: images\ntrain: x\nnames: [x]\n", "train: images\nnames: {0: x, 0: y}\n"]
)
def test_a_key_of_the_yaml_file_that_is_given_twice_is_refused(tmp_path, config):
    root = write(tmp_path, ["images/a.jpg"], ["labels/a.txt"], config)
    with pytest.raises(UserError, match=r"in line 2 (train|0) is given for the second time"):
        read(root)


def test_images_without_a_label_file_are_noted_and_empty_ones_are_not(tmp_path):
    names = [f"images/{stem}.jpg" for stem in "abcd"]
    root = write(tmp_path, names, ["labels/a.txt", "labels/b.txt"])
    (root / "labels/b.txt").write_text("")
    faults = Faults(root)
    YoloFolder(root, faults)
    assert faults.notes == {Note.UNLABELLED: 2}


def test_the_conversion_prints_what_is_worth_knowing(tmp_path, capsys):
    config = "train: images\nnames: [x, y, x]\n"
    root = write(tmp_path / "mine", ["images/a.jpg", "images/b.jpg"], ["labels/a.txt"], config)
    assert main(["convert", "format=yolo", "to=voc", f"src={root}", f"out={tmp_path / 'voc'}"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "1 image has no label file: it is taken to hold no objects" in told
    assert "1 category has the name of another: by name, as in VOC, this is one class" in told


def test_images_that_are_listed_twice_are_told(tmp_path):
    config = "train: [list.txt, images/part]\nnames: [x]\n"
    names = ["images/a.jpg", "images/part/b.jpg"]
    root = write(tmp_path, names, ["labels/a.txt", "labels/part/b.txt"], config)
    (root / "list.txt").write_text("images/a.jpg\n./images/a.jpg\nimages/part/b.jpg\n")
    sentence = "listed images are listed before and are taken once"
    assert read(root) == (["a.jpg", "part/b.jpg"], 2, [("images/a.jpg", sentence)])


def test_images_of_train_in_another_split_are_a_leak(tmp_path):
    config = "train: images\nval: images/val\ntest: images/val\nnames: [x]\n"
    root = write(tmp_path, ["images/a.jpg", "images/val/b.jpg"], ["labels/a.txt"], config)
    faults = Faults(root)
    note_leaks(read_splits(YoloFolder(root, faults)))
    leaks = [(item.where, item.split, item.sentence) for item in faults.found]
    sentence = "images equal another one of train: a leak between the splits"
    assert leaks == [("b.jpg", "val", sentence), ("b.jpg", "test", sentence)]
    paths = (t for s in ("train", "val") for t in (".", f"annotations/instances_{s}.json"))
    prepare = partial(annotate_in_place, source=YoloFolder, cache=tmp_path / "cache")
    module = DetectionDataModule(root, *paths, prepare=prepare, image_size=64)
    module.setup("fit")
    told = "1 of the 1 images of val are trained on (b.jpg), so its figures say little of others"
    assert told in module.lacks


@pytest.mark.parametrize("form", ["corners", "corner and size"])
def test_boxes_of_another_form_are_told(tmp_path, form):
    """Eight boxes of half the image: as they should be nothing is told of them."""
    for given in ("centre and size", form):
        lines = ""
        for i in range(8):
            x, y = i / 20, 0.4 - i / 20
            first = (x + 0.25, y + 0.25) if given == "centre and size" else (x, y)
            second = (x + 0.5, y + 0.5) if given == "corners" else (0.5, 0.5)
            lines += " ".join(map(str, (0, *first, *second))) + "\n"
        root = write(tmp_path / given, ["images/a.jpg"], ["labels/a.txt"])
        (root / "labels/a.txt").write_text(lines)
        told = {sentence for _, sentence in read(root)[2]}
        assert (Fault.FORM.value in told) == (given == form)


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_images_that_are_linked_into_another_split_are_a_leak(tmp_path, link):
    config = "train: images/train\nval: images/val\nnames: [x]\n"
    names = ["train/a.jpg", "train/b.jpg", "val/c.jpg"]
    images = [f"images/{name}" for name in names]
    labels = [f"labels/{name}".replace(".jpg", ".txt") for name in names]
    root = write(tmp_path, images, labels, config)
    link(root / "images/train/a.jpg", root / "images/val/a.jpg")
    faults = Faults(root)
    note_leaks(read_splits(YoloFolder(root, faults)))
    assert [(item.where, item.split) for item in faults.found] == [("a.jpg", "val")]


def test_a_link_back_brings_no_other_split_into_train_untold(tmp_path):
    config = "train: images/train\nval: images/val\nnames: [x]\n"
    images = ["images/train/a.jpg", "images/val/b.jpg"]
    root = write(tmp_path, images, ["labels/train/a.txt", "labels/val/b.txt"], config)
    (root / "images/train/loop").symlink_to("..")
    faults = Faults(root)
    note_leaks(read_splits(YoloFolder(root, faults)))
    assert [(item.where, item.split) for item in faults.found] == [("b.jpg", "val")]


@pytest.mark.parametrize("labels", ["labels/a.TXT", "images/a.TXT"])
def test_capitals_in_the_ending_of_labels(tmp_path, labels):
    assert read(write(tmp_path, ["images/a.jpg"], [labels])) == (["a.jpg"], 1, [])


def test_labels_that_are_a_link_to_nowhere_or_a_folder_are_told(tmp_path):
    """Data in git-annex or DVC are such links until they are fetched."""
    root = write(tmp_path, [f"images/{n}.jpg" for n in "abc"], ["labels/a.txt"])
    (root / "labels/b.txt").symlink_to(tmp_path / "not fetched")
    (root / "labels/c.txt").mkdir()
    told = [(f"labels/{n}.txt", "label files cannot be read: no objects") for n in "bc"]
    assert read(root) == (["a.jpg", "b.jpg", "c.jpg"], 1, told)


@pytest.mark.parametrize("entry", ["images\\train", "..\\images\\train", ".\\images\\train"])
def test_paths_of_windows_in_the_yaml_file(tmp_path, entry):
    config = f"path: C:\\data\ntrain: {entry}\nnames: [x]\n"
    root = write(tmp_path, ["images/train/a.jpg"], ["labels/train/a.txt"], config)
    assert read(root) == (["a.jpg"], 1, [])


def test_an_image_that_only_the_decoder_reads_is_used(tmp_path):
    """Pillow refuses the texts of some editors, which are larger than it allows."""
    root = write(tmp_path, [], ["labels/a.txt"])
    (root / "images").mkdir()
    text = PngInfo()
    text.add_text("history", "x" * 70_000_000, zip=True)
    Image.new("RGB", (20, 10)).save(root / "images/a.png", pnginfo=text)
    assert read_header(root / "images/a.png") is None
    assert read(root) == (["a.png"], 1, [])


def test_faults_of_the_listing_are_told_as_they_are_when_read_again(tmp_path, caplog):
    config = "train: images\nval: images\nnames: [x]\nnc: 2\n"
    root = write(tmp_path / "mine", ["images/a.jpg"], ["labels/a.txt", "labels/b.txt"], config)

    def told():
        caplog.clear()
        annotate_in_place(root, YoloFolder, tmp_path / "cache")
        return [message for message in caplog.messages if str(root) in message]

    first = told()
    assert [m for m in first if "2 label files have no image" in m]  # Of both splits.
    assert told() == first
    (root / "labels/b.txt").unlink()
    assert told() == [message for message in first if "label files" not in message]


@pytest.mark.parametrize("labels", ["labels", "images"])
def test_rare_endings_are_read_and_unread_ones_told(tmp_path, labels):
    stems = {"a": ".jfif", "b": ".JPE", "c": ".JPG", "d": ".heic"}
    images = [f"images/{stem}{ending}" for stem, ending in stems.items()]
    root = write(tmp_path, images, [f"{labels}/{stem}.txt" for stem in stems])
    names, boxes, told = read(root)
    assert (names, boxes) == (["a.jfif", "b.JPE", "c.JPG"], 3)
    assert ("images/d.heic", "files among the images are passed over for their ending") in told


def test_the_own_images_go_before_those_of_a_neighbour(tmp_path):
    config = "train: ../train/images\nnames: [x]\n"
    root = write(tmp_path / "mine", ["train/images/a.jpg"], ["train/labels/a.txt"], config)
    write(tmp_path, ["train/images/z.jpg"], ["train/labels/z.txt"])
    names, boxes, told = read(root)
    assert (names, boxes) == (["a.jpg"], 1)
    ((where, sentence),) = told
    assert "out of the data set" in sentence
    assert where.startswith("../train/images: ")
    for name in ("images", "labels"):
        for path in (root / "train" / name).iterdir():
            path.unlink()
        (root / "train" / name).rmdir()
    assert read(root) == (["z.jpg"], 1, []), "what lies outside only is meant"


def test_a_copy_is_read_from_where_it_lies(tmp_path):
    config = f"path: {tmp_path / 'original'}\ntrain: images\nnames: [x]\n"
    write(tmp_path / "original", ["images/z.jpg"], ["labels/z.txt"], config)
    root = write(tmp_path / "copy", ["images/a.jpg"], ["labels/a.txt"], config)
    names, _, told = read(root)
    assert names == ["a.jpg"]
    assert len(told) == 1


def test_another_yaml_file_is_read_or_named(tmp_path):
    root = write(tmp_path, ["images/a.jpg"], ["labels/a.txt"], yaml="dataset.yml")
    assert read(root) == (["a.jpg"], 1, [])
    (root / "other.yaml").write_text("names: [x]")
    with pytest.raises(UserError, match=r"no data\.yaml but dataset\.yml, other\.yaml"):
        read(root)


def test_the_file_in_place_of_its_folder_is_one_sentence(tmp_path):
    file = write(tmp_path, ["images/a.jpg"], ["labels/a.txt"]) / "data.yaml"
    with pytest.raises(UserError, match=rf"is a file: give its folder, data\.root={tmp_path}"):
        annotate_in_place(file, YoloFolder, tmp_path / "cache")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("[no, 007, 1.50, null, 2024-01-05]", ["no", "007", "1.50", "null", "2024-01-05"]),
        ("{0: yes, 1: b}", ["yes", "b"]),
        ("{'0': a, '1': '[/b] x'}", ["a", "[/b] x"]),
        ("{1: b, 0: a}", ["a", "b"]),
        ("['', b]", ["1", "b"]),
    ],
)
def test_class_names_are_the_text_that_was_written(tmp_path, names, expected):
    root = write(tmp_path, ["007/images/a.jpg"], ["007/labels/a.txt"])
    (root / "data.yaml").write_text(f"train: 007/images\nval: null\nnames: {names}\n")
    train = read_splits(YoloFolder(root, Faults(root)))["train"]
    assert [*train.names.values()] == expected


@pytest.mark.parametrize("names", ["{a: 0}", "[[a]]", "{-1: a}", "x.names", "[]", "{0: {n: a}}"])
def test_names_that_are_none_are_refused(tmp_path, names):
    root = write(tmp_path, ["images/a.jpg"], ["labels/a.txt"], f"train: images\nnames: {names}")
    with pytest.raises(UserError, match="lacks names"):
        read(root)


def test_another_number_of_classes_is_told(tmp_path):
    config = "train: images\nnc: 80\nnames: [x]"
    root = write(tmp_path, ["images/a.jpg"], ["labels/a.txt"], config)
    assert [where for where, _ in read(root)[2]] == ["nc: 80, 1 names"]


def test_lines_of_a_list_may_start_from_any_of_three_folders(tmp_path):
    config = "path: images\ntrain: lists/t.txt\nnames: [x]"
    stems = "abcd"
    root = write(
        tmp_path, [f"images/{s}.jpg" for s in stems], [f"labels/{s}.txt" for s in stems], config
    )
    (root / "lists").mkdir()
    lines = [
        "../images/a.jpg",
        "b.jpg",
        "images/c.jpg",
        str(root / "images/d.jpg"),
        "",
        "e.jpg",
        "f" * 999,
    ]
    (root / "lists/t.txt").write_bytes(os.linesep.join(lines).encode("utf-8-sig"))
    names, boxes, told = read(root)
    assert (names, boxes) == ([f"{s}.jpg" for s in stems], 4)
    assert [where for where, _ in told] == ["e.jpg", "f" * 999]


@pytest.mark.parametrize("listed", ["classes.txt", "obj.names"])
def test_exports_without_a_yaml_file_are_told_where_their_names_are(tmp_path, listed):
    """Label Studio's and CVAT's "YOLO 1.1"."""
    (tmp_path / listed).write_text("cat\n")
    told = f"no data.yaml: write one with the names of {listed}, train and val."
    with pytest.raises(UserError, match=told):
        YoloFolder(tmp_path, Faults(tmp_path))
