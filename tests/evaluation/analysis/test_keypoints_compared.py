"""The report of poses: keypoints are compared, boxes stand beside them."""

import numpy as np
import pandas as pd
import pytest
from scenes import (
    LAYOUT,
    compare,
    compare_masks,
    compare_poses,
    found_of,
    iou,
    match,
    oks,
    posed,
    random_scene,
    truth_of,
)
from test_analysis_report import Page, analyses
from test_figures import kinds_of_errors

from yolov9_lit.evaluation.analysis import write_report
from yolov9_lit.evaluation.analysis.confusion import Confusion
from yolov9_lit.evaluation.analysis.drawing import draw_image
from yolov9_lit.evaluation.analysis.error_kinds import ErrorKinds
from yolov9_lit.evaluation.analysis.groups import ByCrowding, BySize
from yolov9_lit.evaluation.analysis.keypoint_errors import KINDS, KeypointErrors
from yolov9_lit.evaluation.analysis.label_errors import LabelErrors
from yolov9_lit.evaluation.analysis.summary import Figures
from yolov9_lit.evaluation.coco_figures import evaluate
from yolov9_lit.reporting.comparison import Role

SEEDS = range(3)
K = len(LAYOUT.names)


def scene(seed):
    objects, found, images = random_scene(seed, crowd=0.0)
    return (*posed(objects, found, seed), images)


def pycocotools(objects, found, images):
    """COCO's figures of boxes and keypoints."""
    truth = truth_of([(*row[:2], row[2][0]) for row in objects], images)
    for entry, row in zip(truth["annotations"], objects, strict=True):
        entry["keypoints"] = row[2][1].ravel().tolist()
    for category in truth["categories"]:
        category |= {"keypoints": [*LAYOUT.names], "sigmas": [*LAYOUT.sigmas]}
    boxes = found_of([(*row[:2], row[2][0], row[3]) for row in found], images)
    keypoints = np.array([row[2][1] for row in found])
    return evaluate(truth, boxes._replace(keypoints=keypoints), "pycocotools")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_detection_finds_an_object_by_its_keypoints(seed):
    objects, found, images = scene(seed)
    matches, taken = match(objects, found, overlap=oks)
    compared = compare_poses(objects, found, images)
    assert compared.matches.hits.tolist() == [m is not None for m in matches]
    assert compared.matches.found_by.tolist() == [taken.get(o, -1) for o in range(len(objects))]
    by_boxes = compared.located.matches.hits
    assert (by_boxes & ~compared.matches.hits).any(), "a right box may have wrong keypoints"


@pytest.mark.parametrize("seed", SEEDS)
def test_figures_and_groups_are_coco_s_of_keypoints_beside_boxes(seed, tmp_path):
    objects, found, images = scene(seed)
    expected = pycocotools(objects, found, images)
    compared = compare_poses(objects, found, images)
    told = Figures()(compared, tmp_path).data["figures"].set_index("class").loc["all classes"]
    assert told.drop("objects").to_dict() == pytest.approx(expected.figures())
    sizes = BySize()(compared, tmp_path).data["by_size"].set_index("objects of")
    poses = expected.keypoints
    assert sizes["AP (%)"].tolist() == pytest.approx([100 * poses.AP_m, 100 * poses.AP_l])
    boxes = [100 * expected.AP_m, 100 * expected.AP_l]
    assert sizes["AP of boxes (%)"].tolist() == pytest.approx(boxes)
    groups = ByCrowding(starts=(1, 3))(compared, tmp_path).data["by_objects"]
    for group, members in zip(groups.itertuples(), _groups(objects, images), strict=True):
        mine = [[row for row in rows if row[0] in members] for rows in (objects, found)]
        poses = pycocotools(*mine, members).keypoints
        assert group[4:] == pytest.approx([100 * v for v in (poses.AP, poses.AP50, poses.AR)])


def _groups(objects, images):
    number = {i: sum(row[0] == i for row in objects) for i in images}
    few = [i for i in images if 1 <= number[i] <= 2]
    return few, [i for i in images if number[i] >= 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_kinds_of_error_are_told_by_keypoints_and_of_other_classes_by_boxes(seed, tmp_path):
    objects, found, images = scene(seed)
    kinds, missed, _ = kinds_of_errors(
        objects, found, oks, lambda one, other: iou(one[0], other[0])
    )
    frame = ErrorKinds()(compare_poses(objects, found, images), tmp_path).data["errors"]
    counts = frame.set_index("error")["number"]
    for kind in ("class", "duplicate", "background", "both"):
        assert counts[kind] == kinds.count(kind), kind
    assert counts["pose"] == kinds.count("box") > 0
    assert counts["missed"] == len(missed)
    plain = [[(*row[:2], row[2][0], *row[3:]) for row in rows] for rows in (objects, found)]
    boxes = [(*row, 0) for row in plain[0]], plain[1]
    by_boxes = ErrorKinds()(compare(*boxes, images), tmp_path).data["errors"]["number"]
    assert frame["number, by boxes"].tolist() == by_boxes.tolist()


def test_classes_and_annotations_are_looked_at_by_boxes(tmp_path):
    """Keypoints that are far off do not make an object one that is not there."""
    objects, found, images = scene(0)
    boxes = compare(
        [(*row[:2], row[2][0]) for row in objects],
        [(*row[:2], row[2][0], row[3]) for row in found],
        images,
    )
    poses = compare_poses(objects, found, images)
    for analyse in (Confusion(confidence=0.3), LabelErrors(confidence=0.3)):
        expected, told = analyse(boxes, tmp_path), analyse(poses, tmp_path)
        for name, frame in expected.data.items():
            pd.testing.assert_frame_equal(told.data[name], frame)


BOX = [100.0, 100.0, 100.0, 100.0]


def pose(*points, box=BOX):
    """(box, keypoints): rows of x, y and how visible, 2 where it is not said."""
    return box, np.array([[*p, 2][:3] for p in points], dtype=float)


def test_an_object_without_keypoints_counts_by_its_box_alone():
    """One object is found, one has no keypoints, one has none and is missed."""
    true = pose((110, 110), (150, 150), (190, 110), (150, 190))
    bare = pose(*[(0, 0, 0)] * K)
    objects = [(1, 3, true), (2, 3, bare), (3, 3, bare)]
    found = [(1, 3, true, 0.9), (2, 3, true, 0.8)]
    compared = compare_poses(objects, found, [1, 2, 3])
    assert compared.measured.tolist() == [True, False, False]
    assert not compared.missed(0.5).any()
    assert not compared.wrong(0.5).any()
    assert compared.without_ignored.tide_errors(pos_thr=0.5, bg_thr=0.1)["counts"]["Miss"] == 0
    assert compared.of_boxes.missed(0.5).tolist() == [False, False, True]


def test_each_kind_of_keypoint_error(tmp_path):
    """Sizes are 100, so that a similarity is 0.85 at 6.8 pixels of the first, 0.5 at 14.1."""
    true = pose((110, 110), (150, 150), (190, 110), (150, 190))
    other = pose(
        (260, 110), (300, 150), (340, 110), (300, 190, 0), box=[250.0, 100.0, 100.0, 100.0]
    )
    bare = pose(*[(0, 0, 0)] * K, box=[100.0, 0.0, 60.0, 60.0])
    first = pose((116, 110), (120, 110), (202, 110), (262, 110))
    second = pose((190, 112), (300, 250), (340, 97), (0, 0), box=other[0])
    objects = [(1, 3, true), (1, 17, other), (1, 3, bare), (2, 3, true)]
    found = [
        (1, 3, first, 0.9),
        (1, 17, second, 0.8),
        (1, 3, bare, 0.9),
        (2, 3, true, 0.2),  # Not confident.
    ]
    compared = compare_poses(objects, found, [1, 2])
    section = KeypointErrors(confidence=0.5)(compared, tmp_path)
    frame = section.data["keypoints"].set_index("keypoint")
    assert frame["annotated"].tolist() == [2, 2, 2, 1]
    shares = frame[[f"{kind} (%)" for kind in KINDS]].to_numpy()
    good, jitter, inverted, swapped, missed = np.eye(5) * 50
    expected = [good + swapped, inverted + missed, 2 * jitter, 2 * swapped]
    assert shares.tolist() == np.array(expected).tolist()
    distances = frame["median distance (% of size)"]
    assert distances["left"] == pytest.approx((6 + np.hypot(70, 2)) / 2)
    assert distances["tail"] == pytest.approx(np.hypot(112, 80))
    assert "Of the 2 objects" in section.text


def test_keypoints_of_which_none_is_annotated_have_no_shares(tmp_path):
    true = pose((110, 110), (150, 150), (0, 0, 0), (0, 0, 0))
    compared = compare_poses([(1, 3, true)], [(1, 3, true, 0.9)], [1])
    frame = KeypointErrors(confidence=0.5)(compared, tmp_path).data["keypoints"]
    assert frame["annotated"].tolist() == [1, 1, 0, 0]
    assert frame["good (%)"].tolist()[:2] == [100, 100]
    assert frame.drop(columns=["sigma (% of size)"]).iloc[2:, 2:].isna().all(axis=None)


def test_nothing_is_told_of_keypoints_where_there_are_none(tmp_path):
    box = [10, 10, 40, 40]
    for compared in (
        compare([(1, 3, box)], [(1, 3, box, 0.9)], [1]),
        compare_masks([(1, 3, box)], [(1, 3, box, 0.9)], [1]),
    ):
        assert KeypointErrors()(compared, tmp_path) is None


def test_a_picture_tells_right_from_false_by_keypoints():
    """The box is right, the keypoints are not; an object without any is not counted."""
    true = pose((110, 110), (150, 150), (190, 110), (150, 190))
    off = pose((150, 190), (190, 110), (150, 150), (110, 110))
    bare = pose(*[(0, 0, 0)] * K, box=[10.0, 10.0, 40.0, 40.0])
    compared = compare_poses([(1, 3, true), (1, 3, bare)], [(1, 3, off, 0.9)], [1])
    drawn = draw_image(compared, 1, 0.5)[:300]

    def has(role):
        return (drawn == role.colour).all(axis=2).any()

    assert has(Role.FALSE)
    assert has(Role.MISSED)
    assert has(Role.IGNORED)
    assert not has(Role.RIGHT)


@pytest.mark.parametrize("case", ["scene", "nothing found", "no object"])
def test_the_page_says_that_it_is_of_keypoints(case, tmp_path):
    objects, found, images = scene(0)
    found = [] if case == "nothing found" else found
    objects = [] if case == "no object" else objects
    path = write_report(compare_poses(objects, found, images), analyses(), tmp_path, "images")
    page = Page(path.read_text(encoding="utf-8"))
    text = " ".join(page.texts)
    assert "The parts below compare keypoints" in text
    assert "an OKS of 0.5" in text
    assert {"boxes", "keypoints", "AP of boxes (%)", "number, by boxes"} <= {*page.texts}
    assert ("pose_AP" in page.texts) == (case != "no object")
    assert "mask" not in text
    assert len(page.links) == len(analyses())
