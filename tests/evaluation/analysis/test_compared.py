"""What all analyses are given, against plain loops over all pairs."""

import numpy as np
import pytest
from scenes import CATEGORIES, compare, iou, match, random_scene

from yolov9_lit.evaluation.analysis.confidence import GRID, BestConfidence
from yolov9_lit.evaluation.analysis.confusion import confusion_matrix
from yolov9_lit.evaluation.analysis.label_errors import never_found, not_annotated, other_class
from yolov9_lit.evaluation.analysis.worst import WorstImages

SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
def test_matches_are_coco_s(seed):
    objects, found, images = random_scene(seed)
    matches, taken = match(objects, found)
    told = compare(objects, found, images).matches
    assert told.hits.tolist() == [isinstance(m, int) for m in matches]
    assert told.counted.tolist() == [m != "crowd" for m in matches]
    assert told.found_by.tolist() == [taken.get(o, -1) for o in range(len(objects))]
    assert {True, False} == {*told.hits.tolist()} == {*told.counted.tolist()}


@pytest.mark.parametrize("seed", SEEDS)
def test_overlaps_are_the_largest_of_an_image(seed):
    objects, found, images = random_scene(seed)
    told = compare(objects, found, images).overlaps
    for d, (image, _, box, _) in enumerate(found):
        mine = [(o, row) for o, row in enumerate(objects) if row[0] == image]
        single = [(iou(box, row[2]), o) for o, row in mine if not row[3]]
        best = max(single, default=(0, -1))
        assert told.iou[d] == pytest.approx(best[0])
        assert told.nearest[d] == (best[1] if best[0] > 0 else -1)
        crowds = [iou(box, row[2], True) for _, row in mine if row[3]]
        assert told.in_crowd[d] == pytest.approx(max(crowds, default=0))
    for o, (image, _, box, crowd) in enumerate(objects):
        if not crowd:
            best = max((iou(row[2], box) for row in found if row[0] == image), default=0)
            assert told.best[o] == pytest.approx(best)


def f1_at(objects, found, confidence, kinds):
    """F1 with only those detections; matching them alone gives the same matches."""
    kept = [row for row in found if row[3] >= confidence and row[1] in kinds]
    mine = [row for row in objects if row[1] in kinds]
    matches, taken = match(mine, kept)
    false = matches.count(None)
    total = sum(not row[3] for row in mine)
    return 2 * len(taken) / (len(taken) + false + total), len(taken), false


@pytest.mark.parametrize("seed", SEEDS)
def test_the_best_confidence_is_the_best_of_all(seed, tmp_path):
    objects, found, images = random_scene(seed)
    compared = compare(objects, found, images)
    best = max(f1_at(objects, found, row[3], CATEGORIES)[0] for row in found)
    assert f1_at(objects, found, compared.threshold, CATEGORIES)[0] == pytest.approx(best)
    section = BestConfidence()(compared, tmp_path)
    curves = section.data["f1_confidence"].set_index("class")
    for kinds, name in [([3], "plain"), (CATEGORIES, "all classes")]:
        for place in (0, 40, 111, 200):
            expected = f1_at(objects, found, GRID[place], kinds)[0]
            assert curves.loc[name].iloc[place] == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_errors_at_a_confidence(seed, tmp_path):
    objects, found, images = random_scene(seed)
    compared = compare(objects, found, images)
    for confidence in (0.0, 0.3, 0.8):
        _, hits, false = f1_at(objects, found, confidence, CATEGORIES)
        assert compared.wrong(confidence).sum() == false
        assert compared.missed(confidence).sum() == sum(not row[3] for row in objects) - hits
    frame = WorstImages(count=0, confidence=0.3)(compared, tmp_path).data["images"]
    totals = frame[["missed objects", "false detections"]].sum(axis=1)
    assert totals.is_monotonic_decreasing
    for name, missed, wrong in frame.itertuples(index=False):
        image = int(name.rpartition("[")[2].partition("]")[0])
        mine = [[row for row in rows if row[0] == image] for rows in (objects, found)]
        _, hits, false = f1_at(*mine, 0.3, CATEGORIES) if sum(map(len, mine)) else (0, 0, 0)
        assert (missed, wrong) == (sum(not row[3] for row in mine[0]) - hits, false)


@pytest.mark.parametrize("seed", SEEDS)
def test_confusion_counts_each_object_and_detection_once(seed):
    """Against a matching that passes the classes over; a crowd's detections are left out."""
    objects, found, images = random_scene(seed)
    compared = compare(objects, found, images)
    confidence = 0.25
    ignored = [match_ == "crowd" for match_ in match(objects, found)[0]]
    kinds = [*CATEGORIES]
    expected = np.zeros((4, 4), int)
    taken = set()
    for d in sorted(range(len(found)), key=lambda d: -found[d][3]):
        image, kind, box, score = found[d]
        if ignored[d] or score < confidence:
            continue
        free = [
            (iou(box, row[2]), o)
            for o, row in enumerate(objects)
            if row[0] == image and not row[3] and o not in taken
        ]
        best = max(free, default=(0, None))
        if best[0] >= 0.5:
            taken.add(best[1])
            expected[kinds.index(objects[best[1]][1]), kinds.index(kind)] += 1
        else:
            expected[3, kinds.index(kind)] += 1
    for o, row in enumerate(objects):
        if o not in taken and not row[3]:
            expected[kinds.index(row[1]), 3] += 1
    np.testing.assert_array_equal(confusion_matrix(compared, confidence), expected)


A, NEAR, HALF, FAR = [10, 10, 40, 40], [12, 12, 40, 40], [30, 10, 40, 40], [200, 200, 40, 40]


def test_annotations_worth_a_look():
    """One of each kind, in the order of confidence; errors of other kinds are not listed."""
    objects = [
        (1, 3, A),
        (1, 17, FAR),  # Never found: nothing is near.
        (2, 3, A),
        (3, 3, A, 1),
        (4, 40, A),
    ]
    found = [
        (1, 3, NEAR, 0.9),
        (1, 3, HALF, 0.8),  # A box error.
        (2, 17, NEAR, 0.7),  # Another class, and nothing else finds the object.
        (2, 3, FAR, 0.6),  # Not annotated.
        (3, 17, A, 0.9),  # In a crowd of another class.
        (4, 40, A, 0.5),
        (4, 3, NEAR, 0.95),  # Another class, but the object is found.
        (5, 3, FAR, 0.85),  # Not annotated, in an image without objects.
        (5, 3, [0, 0, 160, 0.0], 0.84),  # A line at the image's edge.
        (5, 3, A, 0.1),  # Not confident.
    ]
    compared = compare(objects, found, [1, 2, 3, 4, 5])
    missing = not_annotated(compared, 0.3)
    assert missing["image"].tolist() == ["folder/5 [5].jpg", "folder/2 [2].jpg"]
    assert missing["confidence"].tolist() == [0.85, 0.6]
    assert missing[["x", "y", "width", "height"]].to_numpy().tolist() == [FAR, FAR]
    other = other_class(compared, 0.3)
    assert other[["class", "annotated as"]].to_numpy().tolist() == [[CATEGORIES[17], "plain"]]
    never = never_found(compared)
    assert never[["image", "class"]].to_numpy().tolist() == [["folder/1 [1].jpg", CATEGORIES[17]]]


def test_objects_of_images_that_were_not_evaluated_count_nowhere():
    compared = compare([(1, 3, A), (2, 3, A)], [(1, 3, A, 0.9)], [1, 2], evaluated=[1])
    assert compared.measured.tolist() == [True, False]
    assert compared.missed(0.5).tolist() == [False, False]
    assert never_found(compared).empty
    assert confusion_matrix(compared, 0.5).sum() == 1
