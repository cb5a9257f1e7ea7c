"""The metric against pycocotools, in one process and in two."""

import contextlib
import copy
import io
import json
import pickle
from functools import partial

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolov9_lit.data.coco.truth import read_ground_truth
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.coco_figures import FIGURES
from yolov9_lit.evaluation.coco_map import CocoMetric
from yolov9_lit.evaluation.found import Found
from yolov9_lit.structures import Detections

BIG = 2**62  # ids beyond 2**53 are not exact in floats
CATEGORIES = (3, 17, 2**60 + 1)


def random_truth(seed, images=12):
    rng = np.random.default_rng(seed)
    annotations = []
    for image in range(images):
        for _ in range(rng.integers(0, 8)):
            x, y, w, h = *rng.uniform(0, 300, 2), *rng.uniform(4, 200, 2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": BIG + image,
                    "category_id": int(rng.choice(CATEGORIES)),
                    "bbox": [x, y, w, h],
                    "area": w * h * 0.8,
                    "iscrowd": int(rng.random() < 0.15),
                }
            )
    return {
        "images": [{"id": BIG + i, "width": 500, "height": 500} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": c, "name": f"class {c}"} for c in CATEGORIES],
    }


def noisy_detections(truth, seed, clutter=5):
    """Shifted ground truth and clutter, with ties among the scores; xyxy by image id."""
    rng = np.random.default_rng(seed)
    category_ids = sorted(c["id"] for c in truth["categories"])
    found = {}
    for image in truth["images"]:
        own = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
        boxes = [np.array(a["bbox"]) + rng.normal(0, 4, 4) for a in own]
        labels = [category_ids.index(a["category_id"]) for a in own]
        boxes += list(rng.uniform(1, 200, (clutter, 4)))
        labels += rng.integers(0, len(category_ids), clutter).tolist()
        boxes = np.array(boxes)
        boxes[:, 2:] = boxes[:, :2] + np.maximum(boxes[:, 2:], 1)
        scores = rng.random(len(boxes)).round(1)
        found[image["id"]] = Detections(
            torch.tensor(boxes, dtype=torch.float32),
            torch.tensor(scores, dtype=torch.float32),
            torch.tensor(labels),
        )
    return found


def oracle(path, truth, found):
    category_ids = sorted(c["id"] for c in truth["categories"])
    rows = []
    for image, d in found.items():
        for box, score, label in zip(d.boxes, d.scores, d.labels, strict=True):
            x1, y1, x2, y2 = box.double().tolist()
            rows.append(
                {
                    "image_id": image,
                    "category_id": category_ids[label],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score.item(),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
        evaluation = COCOeval(coco, coco.loadRes(rows), "bbox")
        evaluation.params.imgIds = list(found)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def write(folder, truth):
    path = folder / "truth.json"
    path.write_text(json.dumps(truth))
    return path


def metric_for(path, truth, **kwargs):
    return CocoMetric(
        partial(read_ground_truth, path), sorted(c["id"] for c in truth["categories"]), **kwargs
    )


def written(metric):
    return json.loads("".join(metric.detections().json()))


def feed(metric, found, images, size=5):
    images = list(images)
    for start in range(0, len(images), size):
        chunk = images[start : start + size]
        metric.update([found[i] for i in chunk], chunk)


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(tmp_path, backend, seed):
    truth = random_truth(seed)
    path = write(tmp_path, truth)
    found = noisy_detections(truth, seed, clutter=120 if seed == 3 else 5)
    metric = metric_for(path, truth, backend=backend)
    feed(metric, found, found)
    result = metric.compute()
    assert result.num_images == len(found)
    expected = oracle(path, truth, found)
    np.testing.assert_allclose(list(result.figures().values()), expected, rtol=0, atol=1e-9)
    measured = [row.AP for row in result.per_class if row.AP > -1]
    assert np.mean(measured) == pytest.approx(result.AP, abs=1e-6)


def test_equals_pycocotools_on_coco(shared):
    path = shared / "data" / "coco_tiny" / "annotations" / "instances_val2017.json"
    truth = json.loads(path.read_text())
    found = noisy_detections(truth, 0)
    metric = metric_for(path, truth)
    feed(metric, found, found, size=16)
    expected = oracle(path, truth, found)
    figures = metric.compute().figures()
    assert tuple(figures) == FIGURES
    np.testing.assert_allclose(list(figures.values()), expected, rtol=0, atol=1e-9)


def test_backends_agree_on_hostile_cases():
    """Areas at COCO's limits, crowds, ties, over 100 of each in an image, nothing in others."""
    rng = np.random.default_rng(0)
    sides = [32.0, 96.0, 31.999, 96.001, 0.5, 200.0]
    places = rng.uniform(0, 300, (150, 2)).round()
    ids = [0, 7, 2**63 - 1]
    truth = {
        "images": [{"id": i, "width": 500, "height": 500} for i in ids],
        "annotations": [
            {
                "id": n + 1,
                "image_id": ids[-1] if n < 140 else ids[0],
                "category_id": 5 if n % 3 else 2**62,
                "bbox": [x, y, sides[n % 6], sides[n % 6]],
                "area": sides[n % 6] ** 2,
                "iscrowd": int(n % 17 == 0),
            }
            for n, (x, y) in enumerate(places.tolist())
        ],
        "categories": [{"id": c, "name": f"class {c}"} for c in (5, 9, 2**62)],
    }
    found = noisy_detections(truth, 0, clutter=50)
    results = []
    for backend in ("hotcoco", "pycocotools"):
        metric = CocoMetric(lambda: truth, (5, 9, 2**62), backend=backend)
        feed(metric, found, found)
        results.append(metric.compute())
    for ours, theirs in zip(results[0].per_class, results[1].per_class, strict=True):
        assert ours[:3] == theirs[:3]
        np.testing.assert_allclose(ours[3:], theirs[3:], rtol=0, atol=1e-12)
    ours, theirs = (list(result.figures().values()) for result in results)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    assert 0 < results[0].AP < 1
    assert results[0].per_class[1].AP == -1


def test_what_is_measured_is_what_is_written(tmp_path):
    """IoU is 0.89996 with all digits, 0.9 with those of the file."""
    truth = {
        "images": [{"id": 1, "width": 20, "height": 20}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "bbox": [0, 0, 10, 10]}],
        "categories": [{"id": 5, "name": "cat"}],
    }
    truth["annotations"][0] |= {"area": 100, "iscrowd": 0}
    path = write(tmp_path, truth)
    box = torch.tensor([[0, 0, 10, 8.9996]])
    found = {1: Detections(box, torch.tensor([0.5]), torch.tensor([0]))}
    metric = metric_for(path, truth)
    feed(metric, found, found)
    (row,) = written(metric)
    assert row["bbox"] == [0, 0, 10, 9]
    found[1] = found[1]._replace(boxes=torch.tensor([row["bbox"]]))
    expected = oracle(path, truth, found)
    np.testing.assert_allclose(list(metric.compute().figures().values()), expected, atol=1e-9)


def test_the_file_is_what_json_makes_of_a_dictionary_a_detection(tmp_path, monkeypatch):
    """Long ids, sides that no table has, and what diverged models give included."""
    rng = np.random.default_rng(0)
    odd = [0, 12.5, 9998.999, 9999, 1e4, 123456.789, 0.001, -3.25, 1e20, np.inf, np.nan]
    boxes = np.concatenate([np.resize(odd, (11, 4)), rng.uniform(0, 700, (2000, 4))]).round(3)
    count = len(boxes)
    scores = np.concatenate([[1e-6, 0, 1], rng.random(count - 3)]).round(6)
    ids = rng.integers(-(2**63), 2**63 - 1, 50)[rng.integers(0, 50, count)]
    found = Found(np.unique(ids), ids, boxes, scores, rng.integers(2**62, 2**62 + 9, count))
    monkeypatch.setattr("yolov9_lit.evaluation.found._ROWS", 300)
    found.write(tmp_path / "new" / "detections.json")
    columns = (found.image_ids, found.category_ids, boxes, scores)
    expected = [
        {"image_id": image, "category_id": category, "bbox": box, "score": score}
        for image, category, box, score in zip(*(c.tolist() for c in columns), strict=True)
    ]
    text = (tmp_path / "new" / "detections.json").read_text()
    assert text == json.dumps(expected) + "\n"


def test_only_given_images_count_and_each_once(tmp_path):
    truth = random_truth(1)
    path = write(tmp_path, truth)
    found = dict(list(noisy_detections(truth, 1).items())[:7])
    metric = metric_for(path, truth)
    feed(metric, found, found)
    feed(metric, found, list(found)[:3])
    np.testing.assert_allclose(
        list(metric.compute().figures().values()), oracle(path, truth, found), rtol=0, atol=1e-9
    )
    rows = written(metric)
    assert len(rows) == sum(len(d.scores) for d in found.values())
    assert {row["image_id"] for row in rows} <= set(found)
    assert {row["category_id"] for row in rows} <= set(CATEGORIES)


def test_without_detections_and_optional_keys(tmp_path):
    truth = random_truth(2)
    for annotation in truth["annotations"]:
        del annotation["area"], annotation["iscrowd"]
    metric = metric_for(write(tmp_path, truth), truth)
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    ids = [image["id"] for image in truth["images"]]
    metric.update([nothing] * len(ids), ids)
    result = metric.compute()
    assert (result.AP, result.AR_100, result.num_images) == (0.0, 0.0, len(ids))
    assert written(metric) == []
    metric.reset()
    assert len(metric.seen) == 0


def test_categories_that_the_model_lacks_count_as_missed(tmp_path):
    truth = random_truth(0)
    path = write(tmp_path, truth)
    known = CATEGORIES[:2]
    found = {
        image: Detections(*(t[d.labels < len(known)] for t in d[:3]))
        for image, d in noisy_detections(truth, 0).items()
    }
    metric = CocoMetric(partial(read_ground_truth, path), known)
    feed(metric, found, found)
    result = metric.compute()
    expected = oracle(path, truth, found)
    np.testing.assert_allclose(list(result.figures().values()), expected, rtol=0, atol=1e-9)
    missed = result.per_class[-1]
    assert (missed.category_id, missed.AP) == (CATEGORIES[-1], 0.0)
    assert missed.objects > 0


def test_unknown_backend_is_refused_at_once():
    with pytest.raises(UserError, match="backend=fast"):
        CocoMetric(dict, CATEGORIES, backend="fast")


def test_survives_copying_and_casts(tmp_path):
    truth = random_truth(0)
    path = write(tmp_path, truth)
    found = noisy_detections(truth, 0)
    metric = metric_for(path, truth)
    feed(metric, found, found)
    expected = metric.compute()
    for other in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), metric.half()):
        other._computed = None
        assert other.compute() == expected


def _worker(rank, meeting, path, truth, found, shares, queue):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=len(shares)
    )
    metric = metric_for(path, truth)
    feed(metric, found, shares[rank])
    try:
        queue.put((rank, metric.compute(), len(metric.detections().scores)))
    except UserError as error:
        queue.put((rank, type(error), 0))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def in_two_processes(*arguments):
    context = mp.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_worker, args=(rank, *arguments, queue)) for rank in (0, 1)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(30)
    return results


@pytest.mark.slow
@pytest.mark.parametrize("split", [8, 12])
def test_two_processes_give_what_one_gives(tmp_path, split):
    truth = random_truth(1)
    path = write(tmp_path, truth)
    found = noisy_detections(truth, 1)
    images = list(found)
    shares = [images[:split], images[split:] + images[:1] * (split < 12)]  # uneven, one twice
    alone = metric_for(path, truth)
    feed(alone, found, images)
    for _, result, rows in in_two_processes(tmp_path / "meeting", path, truth, found, shares):
        assert result == alone.compute()
        assert rows == len(alone.detections().scores)


@pytest.mark.slow
def test_an_error_of_the_first_process_reaches_the_other(tmp_path):
    truth = random_truth(0)
    found = noisy_detections(truth, 0)
    shares = [list(found), []]
    gone = tmp_path / "gone.json"
    results = in_two_processes(tmp_path / "meeting", gone, truth, found, shares)
    assert {error for _, error, _ in results} == {UserError}
