"""The figures of keypoints against pycocotools, on what data sets and detectors may hold."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from test_coco_map import written

from yolov9_lit.data.coco.truth import read_ground_truth
from yolov9_lit.evaluation.coco_figures import FIGURES, KeypointResult
from yolov9_lit.evaluation.coco_map import CocoMetric
from yolov9_lit.evaluation.coco_task import MOST_POSES, Task
from yolov9_lit.evaluation.tables import per_class_table, results_table
from yolov9_lit.structures import Detections, KeypointLayout

CATEGORIES = (3, 17, 40)
SIDE = 400
POSE_FIGURES = tuple(f"pose_{name}" for name in KeypointResult._fields)


def layout(rng, number):
    names = tuple(f"point {i}" for i in range(number))
    return KeypointLayout(names, (), tuple(range(number)), tuple(rng.uniform(0.03, 0.12, number)))


def annotated(rng, number, image, place):
    """An object with keypoints of each visibility, sometimes none at all; sometimes a crowd."""
    corner, size = rng.uniform(0, 200, 2), rng.uniform(15, 200, 2)
    points = (corner + rng.random((number, 2)) * size).round(2)
    visible = rng.choice([0, 1, 2], (number, 1), p=[0.3, 0.2, 0.5]) * (rng.random() > 0.15)
    keypoints = np.hstack([points * (visible > 0), visible])
    entry = {
        "id": place,
        "image_id": image,
        "category_id": int(rng.choice(CATEGORIES[:2])),
        "bbox": [*corner, *size],
        "area": float(size.prod() * rng.uniform(0.3, 0.9)),
        "iscrowd": int(rng.random() < 0.1),
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": int((visible > 0).sum()),
    }
    return entry, points


def scene(seed, number=5, images=25, clutter=5):
    """A truth and its layout, and detections by image id: some close, some far, and clutter."""
    rng = np.random.default_rng(seed)
    own = layout(rng, number)
    annotations, found = [], {}
    for image in range(1, images + 1):
        boxes, labels, points = [], [], []
        for _ in range(rng.integers(0, 5) if image > 1 else 0):
            entry, true = annotated(rng, number, image, len(annotations) + 1)
            annotations.append(entry)
            for _ in range(2):
                x, y, width, height = np.array(entry["bbox"]) + rng.normal(0, 2, 4)
                boxes.append([x, y, x + width, y + height])
                labels.append(CATEGORIES.index(entry["category_id"]))
                points.append(true + rng.normal(0, rng.choice([0.5, 3, 15]), true.shape))
        for _ in range(clutter if image % 3 else 0):
            boxes.append(np.sort(rng.uniform(0, SIDE, (2, 2)), axis=0).ravel())
            labels.append(int(rng.integers(3)))
            points.append(rng.uniform(0, SIDE, (number, 2)))
        count = len(boxes)
        visible = rng.random((count, number, 1))
        found[image] = Detections(
            torch.tensor(np.array(boxes).reshape(count, 4), dtype=torch.float32),
            torch.tensor(rng.random(count).round(1), dtype=torch.float32),
            torch.tensor(labels, dtype=torch.int64),
            keypoints=torch.tensor(
                np.concatenate([np.array(points).reshape(count, number, 2), visible], axis=2),
                dtype=torch.float32,
            ),
        )
    truth = {
        "images": [{"id": i, "width": SIDE, "height": SIDE, "file_name": f"{i}"} for i in found],
        "annotations": annotations,
        "categories": [
            {"id": c, "name": f"class {c}", "keypoints": [*own.names]} for c in CATEGORIES
        ],
    }
    return truth, own, found


def metric_for(path, own, **settings):
    def truth(keypoints=False):
        return read_ground_truth(path, keypoints=own if keypoints else None)

    return CocoMetric(truth, CATEGORIES, **settings)


def feed(metric, found, size=4):
    images = list(found)
    for start in range(0, len(images), size):
        chunk = images[start : start + size]
        metric.update([found[i] for i in chunk], chunk)


def oracle(path, rows, images, sigmas):
    """Return pycocotools' figures of a file of detections, as it was written."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        given = truth.loadRes(rows)
        evaluation = COCOeval(truth, given, "keypoints")
        evaluation.params.imgIds = list(images)
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize(
    ("seed", "number", "clutter"), [(0, 5, 5), (1, 17, 0), (2, 1, 90), (3, 17, 5), (4, 3, 60)]
)
def test_keypoints_equal_pycocotools(tmp_path, backend, seed, number, clutter):
    truth, own, found = scene(seed, number, clutter=clutter)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    metric = metric_for(path, own, backend=backend)
    feed(metric, found)
    result = metric.compute()
    figures = result.figures()
    assert tuple(figures) == FIGURES + POSE_FIGURES
    expected = oracle(path, json.loads(json.dumps(written(metric))), found, own.sigmas)
    ours = [figures[name] for name in POSE_FIGURES]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)
    assert 0 < figures["pose_AP"] < 1
    measured = [row.pose_AP for row in result.per_class if row.pose_AP > -1]
    assert np.mean(measured) == pytest.approx(figures["pose_AP"], abs=1e-9)
    assert result.per_class[2].pose_AP == -1


def test_boxes_are_measured_as_without_keypoints(tmp_path):
    truth, own, found = scene(0)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    with_keypoints, without = metric_for(path, own), metric_for(path, own)
    feed(with_keypoints, found)
    feed(without, {image: one._replace(keypoints=None) for image, one in found.items()})
    plain = without.compute().figures()
    assert tuple(plain) == FIGURES
    assert plain == {name: with_keypoints.compute().figures()[name] for name in FIGURES}


def test_written_keypoints_are_those_that_were_given(tmp_path):
    _, own, found = scene(1, 17)
    metric = metric_for(tmp_path, own)
    feed(metric, found)
    rows = written(metric)
    expected = torch.cat([one.keypoints for one in found.values()]).flatten(1).numpy()
    assert len(rows) == len(expected) > 50
    np.testing.assert_allclose([row["keypoints"] for row in rows], expected, atol=5.1e-4)


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_nothing_found_is_zero_and_nothing_to_find_unmeasured(tmp_path, backend):
    truth, own, found = scene(0)
    path = tmp_path / "truth.json"
    nothing = {image: one.select(slice(0)) for image, one in found.items()}
    for annotations, value in ((truth["annotations"], 0.0), ([], -1.0)):
        path.write_text(json.dumps(truth | {"annotations": annotations}))
        metric = metric_for(path, own, backend=backend)
        feed(metric, nothing)
        figures = metric.compute().figures()
        assert (figures["pose_AP"], figures["pose_AR"]) == (value, value)
        assert written(metric) == []


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_figures_are_there_of_no_image_too(tmp_path, backend):
    """As where none can be read: a best checkpoint is chosen by them."""
    truth, own, _ = scene(0)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    metric = metric_for(path, own, backend=backend)
    assert tuple(metric.compute().figures()) == FIGURES
    metric = metric_for(path, own, backend=backend)
    metric.num_keypoints = 5
    assert metric.compute().figures() == dict.fromkeys(FIGURES + POSE_FIGURES, -1.0)


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_objects_without_keypoints_are_neither_found_nor_missed(tmp_path, backend):
    """Nor do objects of a category that has none: of such pycocotools would ask for them."""
    truth, own, found = scene(3)
    bare = {
        "id": 999,
        "image_id": 2,
        "category_id": CATEGORIES[2],
        "bbox": [5.0, 5.0, 60.0, 60.0],
        "area": 900.0,
        "iscrowd": 0,
    }
    del truth["categories"][2]["keypoints"]
    figures = []
    for annotations in (truth["annotations"], [*truth["annotations"], bare]):
        path = tmp_path / "truth.json"
        path.write_text(json.dumps(truth | {"annotations": annotations}))
        metric = metric_for(path, own, backend=backend)
        feed(metric, found)
        figures.append(metric.compute().figures())
    assert [figures[0][name] for name in POSE_FIGURES] == [figures[1][n] for n in POSE_FIGURES]
    assert figures[0]["AP"] != figures[1]["AP"]


def test_only_the_best_that_count_are_compared(tmp_path):
    """Memory is that of 20 detections of a category in an image, not of all."""
    truth, own, found = scene(2, 2, images=6, clutter=200)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    metric = metric_for(path, own)
    feed(metric, found)
    task = Task.of_keypoints(read_ground_truth(path, keypoints=own), metric.detections())
    groups, counts = np.unique(task.rows[:, [0, 6]], axis=0, return_counts=True)
    assert len(groups) > 10
    assert counts.max() == MOST_POSES
    assert len(task.poses.found) == len(task.rows)


def test_tables_show_both(tmp_path):
    truth, own, found = scene(0)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    metric = metric_for(path, own)
    feed(metric, found)
    result = metric.compute()
    figures, classes = results_table(result).frame, per_class_table(result).frame
    assert list(figures.columns) == ["figure", "boxes", "keypoints"]
    shown = dict(zip(figures["figure"], figures["keypoints"], strict=True))
    for name, value in result.keypoints._asdict().items():
        assert shown[name].text == (f"{100 * value:.1f}" if value >= 0 else "-")
    assert shown["AP_s"].text == shown["AR_100"].text == "-"
    assert list(classes.columns)[-3:] == ["pose_AP", "pose_AP50", "pose_AR"]
    assert "mask_AP" not in classes.columns


def _worker(rank, meeting, path, own, found, shares, queue):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=len(shares)
    )
    metric = metric_for(path, own)
    feed(metric, {image: found[image] for image in shares[rank]})
    queue.put((metric.compute().figures(), written(metric)))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("split", [7, 25])
def test_two_processes_give_what_one_gives(tmp_path, split):
    """One of them may have no image at all."""
    truth, own, found = scene(1)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    alone = metric_for(path, own)
    feed(alone, found)
    images = list(found)
    shares = [images[:split], images[split:]]
    context = mp.get_context("spawn")
    queue = context.Queue()
    arguments = (tmp_path / "meeting", path, own, found, shares, queue)
    processes = [context.Process(target=_worker, args=(rank, *arguments)) for rank in (0, 1)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(30)
    for figures, rows in results:
        assert figures == alone.compute().figures()
        assert sorted(map(str, rows)) == sorted(map(str, written(alone)))
