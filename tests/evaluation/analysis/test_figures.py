"""The figures that hotcoco gives, against plain loops and COCO's own evaluation."""

import numpy as np
import pytest
import torch
from scenes import CATEGORIES, compare, found_of, iou, match, random_scene, truth_of

from yolov9_lit.evaluation.analysis.calibration import Calibration
from yolov9_lit.evaluation.analysis.curves import THRESHOLDS, PrecisionRecall
from yolov9_lit.evaluation.analysis.error_kinds import ErrorKinds
from yolov9_lit.evaluation.analysis.groups import ByCrowding, BySize
from yolov9_lit.evaluation.coco_figures import evaluate
from yolov9_lit.evaluation.coco_map import CocoMetric
from yolov9_lit.structures import Detections

SEEDS = range(3)


def figures(objects, found, images):
    """COCO's, by pycocotools."""
    return evaluate(truth_of(objects, images), found_of(found, images), "pycocotools")


def kinds_of_errors(objects, found, overlap=iou, of_others=iou):
    """TIDE's definitions (section 2.2): the kind of each false detection, and missed objects."""
    matches, taken = match(objects, found, overlap=overlap)
    kinds, nearly = [], set()
    for d, (image, kind, box, _) in enumerate(found):
        if matches[d] is not None:
            kinds.append(None)
            continue
        mine = [(o, r) for o, r in enumerate(objects) if r[0] == image and not any(r[3:])]
        near = [((overlap if r[1] == kind else of_others)(box, r[2]), o) for o, r in mine]
        same = max((n for n in near if objects[n[1]][1] == kind), default=(0, None))
        other = max((n for n in near if objects[n[1]][1] != kind), default=(0, None))
        used = any(v >= 0.5 and o in taken and objects[o][1] == kind for v, o in near)
        if 0.1 <= same[0] <= 0.5:
            kinds.append("box")
            nearly.add(same[1])
        elif other[0] >= 0.5:
            kinds.append("class")
            nearly.add(other[1])
        elif used:
            kinds.append("duplicate")
        else:
            kinds.append("background" if max(near, default=(0, 0))[0] <= 0.1 else "both")
    left = [o for o, row in enumerate(objects) if not any(row[3:]) and o not in taken]
    return kinds, [o for o in left if o not in nearly], left


@pytest.mark.parametrize("seed", SEEDS)
def test_kinds_of_error_are_counted_as_tide_defines_them(seed, tmp_path):
    objects, found, images = random_scene(seed)
    kinds, missed, _ = kinds_of_errors(objects, found)
    frame = ErrorKinds()(compare(objects, found, images), tmp_path).data["errors"]
    counts = frame.set_index("error")["number"]
    for kind in ("class", "box", "both", "duplicate", "background"):
        assert counts[kind] == kinds.count(kind) > 0, kind
    assert counts["missed"] == len(missed)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_error_costs_what_ap_gains_without_it(seed, tmp_path):
    """Where mending takes something away: COCO's AP50 of what is left."""
    objects, found, images = random_scene(seed)
    kinds, missed, left = kinds_of_errors(objects, found)
    before = figures(objects, found, images).AP50
    frame = ErrorKinds()(compare(objects, found, images), tmp_path).data["errors"]
    costs = frame.set_index("error")["costs AP50 (points)"]
    for kind in ("both", "duplicate", "background"):
        kept = [row for row, own in zip(found, kinds, strict=True) if own != kind]
        gain = 100 * (figures(objects, kept, images).AP50 - before)
        assert costs[kind] == pytest.approx(gain, abs=0.03), kind
    for kind, gone in (("missed", missed), ("all objects not found", left)):
        kept = [row for o, row in enumerate(objects) if o not in gone]
        gain = 100 * (figures(kept, found, images).AP50 - before)
        assert costs[kind] == pytest.approx(gain, abs=0.03), kind


A, FAR = [10.0, 10.0, 40.0, 40.0], [200.0, 200.0, 40.0, 40.0]


@pytest.mark.parametrize(
    ("kind", "detection"),
    [
        ("class", (1, 17, A, 0.9)),
        ("box", (1, 3, [30.0, 10.0, 40.0, 40.0], 0.9)),
    ],
)
def test_a_class_or_box_error_mended_finds_its_object(kind, detection, tmp_path):
    """Two objects, one found: AP50 is that of one half found, and 1 after mending."""
    objects = [(1, 3, A), (2, 3, A)]
    compared = compare(objects, [(2, 3, A, 0.8), detection], [1, 2])
    frame = ErrorKinds()(compared, tmp_path).data["errors"].set_index("error")
    before = 100 * compared.curves.average_precision(0)
    assert frame["costs AP50 (points)"][kind] == pytest.approx(100 - before, abs=0.01)
    assert frame["number"][kind] == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_calibration_is_the_share_of_right_detections_in_each_bin(seed, tmp_path):
    objects, found, images = random_scene(seed)
    matches, _ = match(objects, found)
    counted = [(row[3], isinstance(m, int)) for row, m in zip(found, matches, strict=True)]
    counted = np.array([c for c, m in zip(counted, matches, strict=True) if m != "crowd"])
    compared = compare(objects, found, images)
    frame = Calibration(bins=5)(compared, tmp_path).data["calibration"]
    assert frame["detections"].sum() == len(counted)
    for row in frame.itertuples():
        inside = counted[(counted[:, 0] > row[1]) & (counted[:, 0] <= row[2])]
        assert row.detections == len(inside)
        assert row.right == pytest.approx(inside[:, 1].mean())
        assert row.confidence == pytest.approx(inside[:, 0].mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_have_the_figures_of_an_evaluation_of_their_own(seed, tmp_path):
    objects, found, images = random_scene(seed, images=40)
    compared = compare(objects, found, images)
    groups = ByCrowding(starts=(1, 3))(compared, tmp_path).data["by_objects"]
    number = {i: sum(row[0] == i and not row[3] for row in objects) for i in images}
    members = {
        "1 to 2": [i for i in images if 1 <= number[i] <= 2],
        "3 or more": [i for i in images if number[i] >= 3],
    }
    assert groups["objects an image"].tolist() == [*members]
    for row in groups.itertuples(index=False):
        own = members[row[0]]
        mine = [[r for r in rows if r[0] in own] for rows in (objects, found)]
        expected = figures(*mine, own)
        assert row[1:3] == (len(own), sum(number[i] for i in own))
        assert row[3:] == pytest.approx(
            [100 * v for v in (expected.AP, expected.AP50, expected.AR_100)]
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_curves_and_sizes_are_those_of_the_metric(seed, tmp_path):
    """The twelve figures of the run and the report come from one evaluation."""
    objects, found, images = random_scene(seed)
    metric = CocoMetric(lambda: truth_of(objects, images), [*CATEGORIES])
    for image in images:
        rows = [row for row in found if row[0] == image]
        boxes = torch.tensor([row[2] for row in rows]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        scores = torch.tensor([row[3] for row in rows])
        labels = torch.tensor([[*CATEGORIES].index(row[1]) for row in rows], dtype=torch.int64)
        metric.update([Detections(boxes, scores, labels)], [image])
    result, compared = metric.compute(), compare(objects, found, images)
    curves = PrecisionRecall()(compared, tmp_path).data["precision_recall"]
    means = curves.drop(columns=["class", "threshold"]).mean(axis=1)
    assert means.mean() == pytest.approx(result.AP, abs=1e-4)
    assert means[curves["threshold"] == 0.5].mean() == pytest.approx(result.AP50, abs=1e-4)
    assert sorted({*curves["threshold"]}) == THRESHOLDS.tolist()
    for own in result.per_class:
        assert means[curves["class"] == own.name].mean() == pytest.approx(own.AP, abs=1e-4)
    sizes = BySize()(compared, tmp_path).data["by_size"]
    expected = [100 * v if v >= 0 else None for v in (result.AP_s, result.AP_m, result.AP_l)]
    assert sizes["AP (%)"].tolist() == pytest.approx(expected)
    assert sizes["objects"].sum() == compared.measured.sum()


def test_the_starts_of_groups_must_rise():
    with pytest.raises(ValueError, match=r"starts is \[2, 1\], it must rise"):
        ByCrowding(starts=(2, 1))
