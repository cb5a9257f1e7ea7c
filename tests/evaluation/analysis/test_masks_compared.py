"""The report of masks: what they are compared by, and that boxes stand beside them."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scenes import compare, compare_masks, random_scene, whole
from test_analysis_report import Page, analyses

from yolov9_lit.evaluation.analysis import write_report
from yolov9_lit.evaluation.analysis.drawing import draw_image
from yolov9_lit.evaluation.analysis.error_kinds import ErrorKinds
from yolov9_lit.evaluation.analysis.groups import BySize
from yolov9_lit.evaluation.analysis.summary import Figures
from yolov9_lit.reporting.comparison import Role

FAR = 1_000.0


def scene(seed):
    objects, found, images = random_scene(seed)
    return whole(objects), whole(found), images


@pytest.mark.parametrize("seed", range(3))
def test_masks_that_fill_boxes_tell_what_the_boxes_would(seed, tmp_path):
    """Their own boxes lie far away, so that whatever looked at these would find nothing."""
    parts = {}
    for name, compared in (
        ("boxes", compare(*scene(seed))),
        ("masks", compare_masks(*scene(seed), shift=FAR)),
    ):
        write_report(compared, analyses(), tmp_path / name, "")
        files = (tmp_path / name / "analysis").glob("*.csv")
        parts[name] = {path.stem: pd.read_csv(path) for path in files}
    alike = {*parts["boxes"]} - {"figures", "errors", "by_size"}
    assert alike == {*parts["masks"]} - {"figures", "errors", "by_size"}
    for part in alike:
        boxes, masks = parts["boxes"][part], parts["masks"][part]
        here = [name for name in boxes if name not in ("x", "y")]
        pd.testing.assert_frame_equal(boxes[here], masks[here])
    errors = parts["masks"]["errors"]
    expected = parts["boxes"]["errors"].replace({"error": {"box": "mask"}})
    pd.testing.assert_frame_equal(errors[[*expected]], expected)
    assert (errors["number, by boxes"][:4] == 0).all()
    sizes = parts["masks"]["by_size"]
    assert (sizes.pop("AP of boxes (%)").dropna() == 0).all()
    pd.testing.assert_frame_equal(sizes, parts["boxes"]["by_size"])
    figures = parts["masks"]["figures"].set_index("class")
    boxes = parts["boxes"]["figures"].set_index("class")
    assert (figures["mask_AP"] == boxes["AP"]).all()
    assert figures["AP"]["all classes"] == 0 < figures["mask_AP"]["all classes"]


def test_boxes_beside_masks_are_those_of_the_boxes_alone(tmp_path):
    both, alone = compare_masks(*scene(0), shift=3.0), compare(*scene(0))
    rows = alone.task.rows.copy()
    rows[:, 1:3] += 3.0
    assert np.array_equal(both.of_boxes.task.rows, rows)
    told = both.of_boxes.curves.average_precision()
    assert told != both.curves.average_precision()
    frame = Figures()(both, tmp_path).data["figures"].set_index("class")
    assert frame["AP"]["all classes"] == told
    sizes = BySize()(both, tmp_path).data["by_size"]["AP of boxes (%)"]
    expected = BySize()(both.of_boxes, tmp_path).data["by_size"]["AP (%)"]
    assert sizes.tolist()[:2] == expected.tolist()[:2]
    errors = ErrorKinds()(both, tmp_path).data["errors"]
    by_boxes = ErrorKinds()(both.of_boxes, tmp_path).data["errors"]
    assert errors["number, by boxes"].tolist() == by_boxes["number"].tolist()


def test_an_object_without_an_outline_counts_by_its_box_alone():
    """One of three is found by mask and box; one has no outline; one has none and is missed."""
    box = [10, 10, 40, 40]
    rows = [(i, 3, box) for i in (1, 2, 3)]
    found = [(1, 3, box, 0.9), (2, 3, box, 0.8)]
    assert compare_masks(rows, found, [1, 2, 3]).measured.all()
    compared = compare_masks(rows, found, [1, 2, 3], bare=[2, 3])
    assert compared.measured.tolist() == [True, False, False]
    assert not compared.missed(0.5).any()
    assert not compared.wrong(0.5).any()
    assert compared.of_boxes.missed(0.5).tolist() == [False, False, True]


def test_a_page_of_objects_without_outlines_says_that_nothing_is_measured(tmp_path):
    box = [10, 10, 40, 40]
    compared = compare_masks([(1, 3, box)], [(1, 3, box, 0.9)], [1], bare=[1])
    assert (
        "No object of the images that were evaluated has a mask"
        in Figures()(compared, tmp_path).text
    )
    assert "There is no mask AP50" in ErrorKinds()(compared, tmp_path).text
    found = compare_masks([(1, 3, box)], [(1, 3, box, 0.9)], [1])
    assert "measure nothing" not in Figures()(found, tmp_path).text


def test_a_picture_shows_the_masks_and_not_the_boxes():
    """Truth and detection lie where their masks do, each in its own colour."""
    objects, found = [(1, 3, [50, 60, 100, 80])], [(1, 17, [200, 150, 60, 60], 0.9)]
    compared = compare_masks(objects, found, [1], shift=-100.0)
    drawn = draw_image(compared, 1, 0.5)
    grey = drawn[:300]

    def place(role):
        rows, columns = np.nonzero((grey == role.colour).all(axis=2))
        return columns.min(), columns.max(), rows.min(), rows.max()

    assert place(Role.MISSED)[1:] == pytest.approx((149, 60, 139), abs=12)
    _, right, _, bottom = place(Role.FALSE)
    assert (right, bottom) == pytest.approx((259, 209), abs=3)
    assert (drawn[180, 230] != 90).any(), "what a detection covers is tinted"
    assert (drawn[100, 100] == 90).all(), "what an object covers is not"


def test_many_masks_leave_the_image_visible():
    """What a hundred detections cover is tinted as by one."""
    box = [20, 20, 200, 200]
    one = draw_image(compare_masks([], [(1, 3, box, 0.9)], [1]), 1, 0.5)
    found = [(1, 3, box, 0.5 + i / 250) for i in range(100)]
    many = draw_image(compare_masks([], found, [1]), 1, 0.5)
    assert np.array_equal(one[100:150, 100:150], many[100:150, 100:150])
    assert 0 < np.abs(one[100, 100].astype(int) - 90).max() < 80


def test_the_page_says_that_it_is_of_masks(tmp_path):
    path = write_report(compare_masks(*scene(0), shift=3.0), analyses(), tmp_path, "images")
    page = Page(path.read_text(encoding="utf-8"))
    text = " ".join(page.texts)
    assert "The parts below compare masks" in text
    assert {"boxes", "masks", "mask_AP", "AP of boxes (%)", "number, by boxes"} <= {*page.texts}
    for image in (tmp_path / "analysis" / "worst").iterdir():
        assert Image.open(image).size[0] == 400
    plain = write_report(compare(*scene(0)), analyses(), tmp_path / "boxes", "images").read_text()
    assert "mask" not in plain
