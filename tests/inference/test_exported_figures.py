"""The COCO figures of a file that was converted, deployed and exported are those of PyTorch.

There are no trained 80-class weights in the checkout, and a random model's AP is 0, whatever the
file computes. So the model is real features with 80 random classes, and the truth about COCO's
images is what it finds there itself, moved and thinned out: an AP in the middle of its range,
which a wrong box, score or class would change.
"""

import json

import numpy as np
import pytest
from exported_models import coco_predictor, save

import yolov9_lit
from yolov9_lit.app.configs import compose
from yolov9_lit.app.convert import convert
from yolov9_lit.app.evaluate import evaluate
from yolov9_lit.app.export import export

pytestmark = pytest.mark.slow


def command(run, name, **values):
    return run(compose(name, [f"{k}={v}" for k, v in values.items()]))


def figures(root, ckpt, truth="annotations/truth.json", **options):
    """The 12 figures on coco_tiny's validation images, and the detections."""
    run_dir = root / f"{ckpt.name}.eval"
    values = {
        "data": "coco",
        "data.root": root / "coco",
        "data.val_annotations": truth,
        "data.num_workers": 0,
        "data.batch_size": 4,
        "trainer": "cpu",
        "trainer.enable_progress_bar": "false",
        "evaluation.report": "false",
        "pictures": 0,
        "ckpt": ckpt,
        "run_dir": run_dir,
    }
    found = command(evaluate, "eval", **values | options)
    return found, json.loads((run_dir / "detections.json").read_text())


def truth_of(detections, content):
    """An annotation file: of each image every third of the best 30 detections, boxes moved."""
    rng = np.random.default_rng(0)
    annotations = []
    for image in content["images"]:
        own = sorted(
            (d for d in detections if d["image_id"] == image["id"]), key=lambda d: -d["score"]
        )
        for found in own[:30:3]:
            x, y, w, h = np.array(found["bbox"])
            dx, dy, dw, dh = rng.normal(0, 0.06, 4)
            box = [x + dx * w, y + dy * h, w * (1 + dw), h * (1 + dh)]
            ids = {"id": len(annotations) + 1, "image_id": image["id"], "iscrowd": 0}
            area = {"area": box[2] * box[3], "bbox": box, "category_id": found["category_id"]}
            annotations.append(ids | area)
    return content | {"annotations": annotations}


@pytest.fixture(scope="module")
def root(tmp_path_factory, shared):
    """COCO's images, and a deployed checkpoint with the figures and the truth that it made."""
    root = tmp_path_factory.mktemp("figures")
    (root / "coco" / "annotations").mkdir(parents=True)
    tiny = shared / "data" / "coco_tiny"
    (root / "coco" / "val2017").symlink_to(tiny / "val2017")
    content = json.loads((tiny / "annotations" / "instances_val2017.json").read_text())
    content["images"] = content["images"][:40]
    (root / "coco" / "annotations" / "none.json").write_text(
        json.dumps(content | {"annotations": []})
    )
    categories = sorted(content["categories"], key=lambda category: category["id"])
    ball = shared / "data" / "checkpoints" / "ultralytics-yolov9t-volleyball.pt"
    names, ids = [c["name"] for c in categories], [c["id"] for c in categories]
    save(root / "own.ckpt", coco_predictor(yolov9_lit.load(ball), names, ids))
    deployed = root / "own.safetensors"
    command(convert, "convert", src=root / "own.ckpt", out=deployed, deploy=True)
    _, detections = figures(root, deployed, truth="annotations/none.json")
    truth = json.dumps(truth_of(detections, content))
    (root / "coco" / "annotations" / "truth.json").write_text(truth)
    return root


@pytest.fixture(scope="module")
def expected(root):
    found, _ = figures(root, root / "own.safetensors")
    assert 0.2 < found["AP"] < 0.9
    return found


@pytest.mark.parametrize(("name", "ending"), [("onnx", ".onnx"), ("openvino", ".xml")])
def test_the_figures_are_those_of_pytorch(root, expected, name, ending):
    out = root / f"own{ending}"
    images = root / "coco" / "val2017"
    agreement = command(
        *(export, "export"),
        **{"format": name, "ckpt": root / "own.safetensors", "out": out, "pictures": images},
        confidence=0.1,
    )
    assert agreement.matched == 1
    assert agreement.detections > 20
    found, _ = figures(root, out)
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("nms", [False, True])
def test_a_fixed_shape_is_evaluated_at_it(root, expected, caplog, nms):
    """Images are padded differently, so the figures are near, not the same."""
    out = root / f"fixed-{nms}.torchscript"
    command(
        *(export, "export"),
        **{"format": "torchscript", "ckpt": root / "own.safetensors", "out": out},
        **{"image_size": 160, "batch": 3, "nms": nms, "confidence": 0.01, "iou": 0.7},
    )
    found, detections = figures(root, out)
    assert found["AP"] > 0.3 * expected["AP"]
    assert len({d["image_id"] for d in detections}) > 20
    assert ("export with nms=false" in caplog.text) == nms
