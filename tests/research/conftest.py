"""Synthetic run folders, as the train command leaves them."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from pycocotools.mask import encode

from yolov9_lit.data.coco.truth import read_ground_truth
from yolov9_lit.research.report.matches import match
from yolov9_lit.structures import KeypointLayout

MODEL = {"_target_": "yolov9_lit.models.detector.gelan_detector", "elan_depth": 2, "csp_depth": 3}
CHOICES = {"model": "yolov9_t", "block": "csp", "pgi": "fpn", "data": "bccd", "logger": "csv"}
CLASSES = ("RBC", "WBC", "Platelets")
CORNERS = KeypointLayout(("first", "last"), (), (0, 1), (0.05, 0.1))


def filled(box, size=(640, 640)):
    """The run lengths of a box, as files have them."""
    x, y, right, lower = np.rint([*box[:2], box[0] + box[2], box[1] + box[3]]).clip(0).astype(int)
    mask = np.zeros(size, np.uint8, order="F")
    mask[y:lower, x:right] = 1
    mask = encode(mask)
    return mask | {"counts": mask["counts"].decode()}


def corners(box):
    """The keypoints of a box: two of its corners."""
    x, y, width, height = box
    return [x, y, 2, x + width, y + height, 2]


FURTHER = {  # Of a figure's beginning: what is compared, its key in files, how a box becomes one
    "mask": ("segm", "segmentation", filled, {"masks": True}),
    "pose": ("keypoints", "keypoints", corners, {"keypoints": CORNERS}),
}


@dataclass
class RunFolders:
    """Writes data sets and runs below a folder.

    Attributes:
        root: of the runs.
        annotations: COCO file of the test set.
        layout: of its keypoints.
        truth: its content.
    """

    root: Path
    images: int = 20
    layout: KeypointLayout = CORNERS
    truth: dict = field(init=False)
    annotations: Path = field(init=False)

    def __post_init__(self):
        rng = np.random.default_rng(0)
        annotations = [
            {
                "id": n + 1,
                "image_id": n // 6 + 1,
                "category_id": int(rng.choice(3, p=[0.8, 0.1, 0.1])) + 1,
                "bbox": [*rng.uniform(0, 500, 2).tolist(), *rng.uniform(20, 110, 2).tolist()],
                "iscrowd": 0,
            }
            for n in range(6 * self.images)
        ]
        self.truth = {
            "images": [
                {"id": i + 1, "file_name": f"{i}.jpg", "width": 640, "height": 640}
                for i in range(self.images)
            ],
            "annotations": [
                a
                | {"area": a["bbox"][2] * a["bbox"][3], "segmentation": filled(a["bbox"])}
                | {"keypoints": corners(a["bbox"]), "num_keypoints": 2}
                for a in annotations
            ],
            "categories": [
                {"id": i + 1, "name": name, "keypoints": [*CORNERS.names]}
                | {"sigmas": [*CORNERS.sigmas]}
                for i, name in enumerate(CLASSES)
            ],
        }
        self.root.mkdir(parents=True, exist_ok=True)
        self.annotations = self.root.parent / "instances_test.json"
        self.annotations.write_text(json.dumps(self.truth))

    def make(
        self,
        name,
        *,
        seed=0,
        status="done",
        noise=10.0,
        choices=None,
        config=None,
        record=None,
        epochs=4,
        paper=None,
        **further,
    ):
        """Write one run; `noise` (pixels) of its boxes decides how good it is.

        Where `mask` or `pose` is given it is the noise of its masks or keypoints, which are those
        of boxes.
        """
        folder = self.root / name
        (folder / ".hydra").mkdir(parents=True)
        choices = CHOICES | (choices or {})
        whole = {
            "seed": seed,
            "run_dir": "${hydra:runtime.output_dir}",
            "data": {"root": f"/somewhere/{name}", "image_size": 320, "batch_size": 16},
            "model": MODEL
            | {"name": choices["model"], "pgi": {choices["pgi"]: {"_partial_": True}}}
            | {"block": {"_target_": f"blocks.{choices['block']}"}},
            "trainer": {"max_epochs": epochs, "devices": 1 + seed},
            "logger": {"csv": {"name": name}},
            "execution": {"run_dir": None, "logger": None},
        }
        for key, value in (config or {}).items():
            *parents, last = key.split(".")
            node = whole
            for parent in parents:
                node = node[parent]
            node[last] = value
        if paper:
            whole["paper"] = paper
        hydra = {"hydra": {"job": {"name": "train"}, "runtime": {"choices": choices}}}
        (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
        (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump(hydra))
        detections = self.detections(seed, noise)
        ap = self.average_precision(detections)
        figures = {"AP": ap, "AP50": min(1.0, 2 * ap), "AP75": ap, "AP_s": -1.0, "AP_m": ap}
        figures["AP_l"] = ap
        finals = {"AP": ap}
        for prefix, other_noise in further.items():
            kind, key, made_of, wanted = FURTHER[prefix]
            for entry, other in zip(detections, self.detections(seed, other_noise), strict=True):
                entry[key] = made_of(other["bbox"])
            truth = read_ground_truth(self.annotations, **wanted)
            once = np.ones((1, self.images), dtype=int)
            own = float(match(truth, detections, kind).average_precision(once)[0])
            finals[f"{prefix}_AP"] = own
            figures |= {f"{prefix}_AP": own, f"{prefix}_AP50": min(1.0, 2 * own)}
            figures |= {f"{prefix}_AP75": own, f"{prefix}_AP_m": own}
        shown = epochs if status == "done" else epochs // 2
        self.write_metrics(folder, seed, shown, **finals)
        content = {
            "status": status,
            "error": "Traceback:\n  ...\nRuntimeError: out of memory"
            if status == "failed"
            else None,
            "started": f"2026-01-0{seed + 1}T00:00:00+00:00",
            "ended": None if status == "running" else f"2026-01-0{seed + 1}T01:00:00+00:00",
            "choices": choices,
            "seed": seed,
            "annotations": str(self.annotations),
            "commit": "abcdef0123",
            "cost": {"train_params": 3_700_000, "params": 2_000_000, "gflops": 7.7},
            "seconds_per_epoch": 30.0 + seed,
            "peak_memory_mb": 900.0 + seed,
        }
        (folder / "run.json").write_text(json.dumps(content | (record or {})))
        if status == "done":
            (folder / "detections.json").write_text(json.dumps(detections))
            content = figures | {"num_images": self.images}
            (folder / "results.json").write_text(json.dumps(content))
        return folder

    def detections(self, seed, noise):
        rng = np.random.default_rng(seed)
        shifts = rng.normal(0, noise, (len(self.truth["annotations"]), 2))
        return [
            {
                "image_id": a["image_id"],
                "category_id": a["category_id"],
                "bbox": [a["bbox"][0] + dx, a["bbox"][1] + dy, *a["bbox"][2:]],
                "score": float(np.exp(-(dx**2 + dy**2) / 800) * rng.uniform(0.5, 1)),
            }
            for a, (dx, dy) in zip(self.truth["annotations"], shifts, strict=True)
        ]

    def average_precision(self, detections):
        once = np.ones((1, self.images), dtype=int)
        return float(match(self.truth, detections).average_precision(once)[0])

    @staticmethod
    def write_metrics(folder, seed, epochs, *, AP, **further):
        rng = np.random.default_rng(seed)
        lines = [
            "epoch,step,train/loss,val/AP,train/main/box,train/main/cls,val/main/box,val/main/cls"
        ]
        for epoch in range(epochs):
            ap = AP * (1 - np.exp(-3 * (epoch + 1) / epochs)) + rng.normal(0, 0.02 * AP)
            lines += [
                f"{epoch},{10 * epoch},{9 - epoch},,{2 / (1 + epoch)},0.5,,",
                f"{epoch},{10 * epoch + 9},,{max(0, ap)},,,{3 / (1 + epoch)},0.5",
            ]
        for name, final in further.items():
            lines[0] += f",val/{name}"
            lines[1::2] = [f"{line}," for line in lines[1::2]]
            lines[2::2] = [f"{line},{final}" for line in lines[2::2]]
        (folder / "metrics.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folders(tmp_path):
    return RunFolders(tmp_path / "sweep")


@pytest.fixture(scope="module")
def small_sweep(tmp_path_factory):
    """Three sound runs, and one called "odd" to be changed."""
    folders = RunFolders(tmp_path_factory.mktemp("runs") / "sweep", images=2)
    for seed in (0, 1):
        folders.make(f"none-{seed}", seed=seed, choices={"pgi": "none"})
    folders.make("fpn")
    folders.make("odd", seed=1)
    return folders.root
