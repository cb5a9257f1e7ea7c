"""The metric's figures of masks against pycocotools, on what data sets and detectors may hold."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from test_coco_map import written

from yolov9_lit.data.coco.truth import read_ground_truth
from yolov9_lit.evaluation.coco_figures import FIGURES
from yolov9_lit.evaluation.coco_map import CocoMetric
from yolov9_lit.evaluation.encoding import encoded_masks
from yolov9_lit.evaluation.masks import EncodedMasks
from yolov9_lit.evaluation.nms import NMSSettings, non_max_suppression, suppressed
from yolov9_lit.evaluation.tables import per_class_table, results_table
from yolov9_lit.models.masks import masks_of
from yolov9_lit.structures import Candidates, Detections, ImageInfo

CATEGORIES = (3, 17, 40)
HEIGHT, WIDTH = 90, 120


def disc(rng):
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    radius = rng.uniform(0, 50)
    return (y - rng.uniform(0, HEIGHT)) ** 2 + (x - rng.uniform(0, WIDTH)) ** 2 <= radius**2


def ring(rng):
    outer = np.zeros((HEIGHT, WIDTH), dtype=bool)
    outer[10:60, 20:90] = True
    outer[20:50, 30:80] = rng.random() < 0.3
    return np.roll(outer, (rng.integers(-10, 30), rng.integers(-20, 30)), (0, 1))


def one_pixel(rng):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[rng.integers(HEIGHT), rng.integers(WIDTH)] = True
    return mask


def compressed(mask):
    found = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return found | {"counts": found["counts"].decode()}


def uncompressed(mask):
    pixels = mask.T.ravel()
    ends = np.flatnonzero(np.diff(pixels.astype(np.int8))) + 1
    runs = np.diff(ends, prepend=0, append=pixels.size).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": [0, *runs] if pixels[0] else runs}


def polygons(rng):
    """Outlines of an object of up to three parts."""
    parts = []
    for _ in range(rng.integers(1, 4)):
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        middle, radius = rng.uniform(10, 80, 2), rng.uniform(3, 30)
        points = middle + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        parts.append(points.ravel().round(2).tolist())
    return parts


def segmentation(rng):
    """An outline of each form that a file may have, and its mask."""
    form = rng.integers(4)
    if form < 2:
        given = polygons(rng)
        parts = rle.frPyObjects(given, HEIGHT, WIDTH)
        return given, rle.decode(rle.merge(parts)).astype(bool)
    mask = (disc, ring, one_pixel)[rng.integers(3)](rng)
    if not mask.any():
        mask = one_pixel(rng)
    return (compressed if form == 2 else uncompressed)(mask), mask


def scene(seed, images=12):
    """A truth with crowds, empty images and objects of several parts, and masks by image id."""
    rng = np.random.default_rng(seed)
    annotations, masks = [], {i: [] for i in range(1, images + 1)}
    for image in range(2, images + 1):
        for _ in range(rng.integers(0, 6)):
            given, mask = segmentation(rng)
            if not mask.any():
                continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(rng.choice(CATEGORIES[:2])),
                    "segmentation": given,
                    "bbox": rle.toBbox(compressed(mask)).tolist(),
                    "area": float(mask.sum()),
                    "iscrowd": int(isinstance(given, dict) and rng.random() < 0.3),
                }
            )
            masks[image].append((mask, annotations[-1]["category_id"]))
    truth = {
        "images": [
            {"id": i, "width": WIDTH, "height": HEIGHT, "file_name": f"{i}.jpg"} for i in masks
        ],
        "annotations": annotations,
        "categories": [{"id": c, "name": f"class {c}"} for c in CATEGORIES],
    }
    return truth, masks


def detections(masks, seed, clutter):
    """Shifted masks of the truth and clutter: (detections, masks) by image id."""
    rng = np.random.default_rng(seed)
    found = {}
    for image, own in masks.items():
        shown = [np.roll(m, rng.integers(-4, 5, 2), (0, 1)) for m, _ in own for _ in range(2)]
        labels = [CATEGORIES.index(c) for _, c in own for _ in range(2)]
        for _ in range(clutter if image % 3 else 0):
            shown.append((disc, one_pixel, ring)[rng.integers(3)](rng))
            labels.append(int(rng.integers(3)))
        stacked = np.array(shown, dtype=bool).reshape(-1, HEIGHT, WIDTH)
        boxes = np.array([rle.toBbox(compressed(m)) for m in stacked]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        scores = rng.random(len(boxes)).round(1)
        found[image] = (
            Detections(
                torch.tensor(boxes, dtype=torch.float32),
                torch.tensor(scores, dtype=torch.float32),
                torch.tensor(labels, dtype=torch.int64),
            ),
            torch.tensor(stacked),
        )
    return found


def metric_for(path, **settings):
    return CocoMetric(
        lambda masks=False: read_ground_truth(path, masks=masks), CATEGORIES, **settings
    )


def feed(metric, found, size=5):
    images = list(found)
    for start in range(0, len(images), size):
        chunk = images[start : start + size]
        encoded = [EncodedMasks.of(found[i][1]) for i in chunk]
        metric.update([found[i][0] for i in chunk], chunk, encoded)


def oracle(truth_file, rows, images, kind):
    """Return pycocotools' figures of a file of detections, as it was written."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(truth_file))
        if rows:
            given = truth.loadRes(rows)
        else:
            given = COCO()
            given.dataset = {**truth.dataset, "annotations": []}
            given.createIndex()
        evaluation = COCOeval(truth, given, kind)
        evaluation.params.imgIds = list(images)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize(("seed", "clutter"), [(0, 5), (1, 0), (2, 160), (3, 5)])
def test_boxes_and_masks_equal_pycocotools(tmp_path, backend, seed, clutter):
    truth, masks = scene(seed)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    found = detections(masks, seed, clutter)
    metric = metric_for(path, backend=backend)
    feed(metric, found)
    result = metric.compute()
    figures = result.figures()
    assert tuple(figures) == FIGURES + tuple(f"mask_{name}" for name in FIGURES)
    rows = written(metric)
    for kind, prefix in (("bbox", ""), ("segm", "mask_")):
        expected = oracle(path, json.loads(json.dumps(rows)), found, kind)
        ours = [figures[prefix + name] for name in FIGURES]
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)
    assert 0 < figures["mask_AP"] < 1
    assert figures["mask_AP"] != figures["AP"]
    measured = [row.mask_AP for row in result.per_class if row.mask_AP > -1]
    assert np.mean(measured) == pytest.approx(figures["mask_AP"], abs=1e-6)
    assert result.per_class[2].mask_AP == -1


def test_written_masks_are_those_that_were_given(tmp_path):
    truth, masks = scene(4)
    found = detections(masks, 4, 5)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    metric = metric_for(path)
    feed(metric, found)
    rows = written(metric)
    expected = torch.cat([given for _, given in found.values()]).numpy()
    assert len(rows) == len(expected) > 50
    for row, mask in zip(rows, expected, strict=True):
        np.testing.assert_array_equal(rle.decode(row["segmentation"]), mask)


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_nothing_found_is_zero_and_nothing_to_find_unmeasured(tmp_path, backend):
    truth, masks = scene(0)
    path = tmp_path / "truth.json"
    nothing = detections({image: [] for image in masks}, 0, 0)
    for annotations, value in ((truth["annotations"], 0.0), ([], -1.0)):
        path.write_text(json.dumps(truth | {"annotations": annotations}))
        metric = metric_for(path, backend=backend)
        feed(metric, nothing)
        figures = metric.compute().figures()
        assert (figures["AP"], figures["mask_AP"]) == (value, value)
        assert written(metric) == []


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_masks_of_no_image_at_all_are_unmeasured_as_boxes_are(tmp_path, backend):
    truth, _ = scene(0)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    metric = metric_for(path, backend=backend)
    metric.update([], [], [])
    figures = metric.compute().figures()
    assert list(figures) == [*FIGURES, *(f"mask_{name}" for name in FIGURES)]
    assert {*figures.values()} == {-1.0}
    metric.reset()
    metric.update([], [])
    assert list(metric.compute().figures()) == [*FIGURES]


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_objects_without_an_outline_are_neither_found_nor_missed(tmp_path, backend, caplog):
    """Mended or not, they are ignored; the boxes' figures know them."""
    square = [[10, 10, 40, 10, 40, 40, 10, 40]]
    broken = [
        *(None, [], [[1, 2, 3]], {"size": [9, 9], "counts": [81]}, "text", 7),
        {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH, 9]},
        {"size": [HEIGHT, WIDTH], "counts": [4, -4, HEIGHT * WIDTH]},
        {"size": [HEIGHT, WIDTH], "counts": "oooooooooooooooo"},
        {"size": [HEIGHT, WIDTH], "counts": None},
        {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]},
        {"size": [HEIGHT, WIDTH], "counts": ""},
        [[0, 0, 1e9, 0, 1e9, 1e9]],
    ]
    annotations = [
        {"id": i, "image_id": i, "category_id": 3, "bbox": [10, 10, 30, 30], "segmentation": given}
        for i, given in enumerate([square, *broken], start=1)
    ]
    truth = {
        "images": [{"id": a["id"], "width": WIDTH, "height": HEIGHT} for a in annotations],
        "annotations": annotations,
        "categories": [{"id": 3, "name": "cat"}],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    metric = CocoMetric(lambda masks=False: read_ground_truth(path, masks=masks), [3], backend)
    mask = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    mask[:, 10:40, 10:40] = True
    one = Detections(torch.tensor([[10.0, 10, 40, 40]]), torch.tensor([0.5]), torch.tensor([0]))
    found = {a["id"]: (one, mask) for a in annotations[:-1]}
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    found[annotations[-1]["id"]] = (nothing, mask[:0])
    feed(metric, found)
    figures = metric.compute().figures()
    assert (figures["mask_AP"], figures["mask_AR_100"]) == pytest.approx((1, 1))
    assert figures["AP"] < 1
    assert "13 of the 14 annotations" in caplog.text


def test_short_run_lengths_end_outside(tmp_path):
    """pycocotools never ends on them; they are what their pixels say, and the rest is outside."""
    annotation = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 2, HEIGHT]}
    given = {"size": [HEIGHT, WIDTH], "counts": [0, 2 * HEIGHT]}
    truth = {
        "images": [{"id": 1, "width": WIDTH, "height": HEIGHT}],
        "annotations": [annotation | {"segmentation": given}],
        "categories": [{"id": 3, "name": "cat"}],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    (entry,) = read_ground_truth(path, masks=True)["annotations"]
    mask = rle.decode(entry["segmentation"])
    assert mask[:, :2].all()
    assert not mask[:, 2:].any()


def test_tables_show_both(tmp_path):
    truth, masks = scene(0)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    metric = metric_for(path)
    feed(metric, detections(masks, 0, 5))
    result = metric.compute()
    figures, classes = results_table(result).frame, per_class_table(result).frame
    assert list(figures.columns) == ["figure", "boxes", "masks"]
    assert list(figures["figure"]) == list(FIGURES)
    for name, cell in zip(FIGURES, figures["masks"], strict=True):
        value = result.figures()[f"mask_{name}"]
        assert cell.text == (f"{100 * value:.1f}" if value >= 0 else "-")
    assert list(classes.columns)[-3:] == ["mask_AP", "mask_AP50", "mask_AR_100"]


def test_detections_keep_the_parts_of_their_own_anchors():
    """Coefficients tell which anchor they are of; masks come some at a time and are the same."""
    torch.manual_seed(0)
    anchors = 400
    corners = torch.rand(2, anchors, 2) * 60
    boxes = torch.cat([corners, corners + 1 + torch.rand(2, anchors, 2) * 30], dim=-1)
    coefficients = torch.arange(2.0 * anchors).reshape(2, anchors, 1) - anchors
    prototypes = torch.randn(2, 1, 24, 32)
    scores = torch.rand(2, anchors, 3)
    candidates = Candidates(boxes, scores, coefficients, prototypes)
    settings = NMSSettings(max_detections=75)
    found = suppressed(candidates, settings)
    plain = non_max_suppression(boxes, scores, settings)
    info = ImageInfo(1, "", HEIGHT, WIDTH, 0.8, 0.8, 1.0, 2.0)
    for i, (own, other) in enumerate(zip(found, plain, strict=True)):
        assert torch.equal(own.boxes, other.boxes)
        assert torch.equal(own.scores, other.scores)
        rows = own.parts.coefficients[:, 0].long() + anchors - i * anchors
        assert torch.equal(boxes[i][rows], own.boxes)
        assert torch.equal(scores[i][rows, own.labels], own.scores)
        assert len(rows) == 75
        encoded = encoded_masks(own.parts, own.boxes, info)
        masks = masks_of(own.parts.coefficients, prototypes[i], own.boxes, info)
        assert masks.any()
        assert encoded.rles() == EncodedMasks.of(masks).rles()
    bare = suppressed(candidates._replace(coefficients=None), settings)
    assert all(d.parts is None for d in bare)


def _worker(rank, meeting, path, found, shares, queue):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=len(shares)
    )
    metric = metric_for(path)
    metric.update([], [], [])
    feed(metric, {image: found[image] for image in shares[rank]})
    queue.put((metric.compute().figures(), written(metric)))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "clutter"), [(7, 12, 5), (12, 12, 5), (0, 12, 5), (5, 12, 0), (0, 0, 5)]
)
def test_two_processes_give_what_one_gives(tmp_path, first, second, clutter):
    """One of them may have no image at all, or both; nothing may be found."""
    truth, masks = scene(1)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    found = detections(masks if clutter else {i: [] for i in masks}, 1, clutter)
    images = list(found)
    shares = [images[:first], images[first:second]]
    alone = metric_for(path)
    alone.update([], [], [])
    feed(alone, {image: found[image] for share in shares for image in share})
    context = mp.get_context("spawn")
    queue = context.Queue()
    arguments = (tmp_path / "meeting", path, found, shares, queue)
    processes = [context.Process(target=_worker, args=(rank, *arguments)) for rank in (0, 1)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(30)
    assert "mask_AP" in alone.compute().figures()
    for figures, rows in results:
        assert figures == alone.compute().figures()
        assert sorted(map(str, rows)) == sorted(map(str, written(alone)))
