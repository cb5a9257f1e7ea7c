"""What exported files tell of their outputs, and what counts as the same; without exporting one."""

import json
from pathlib import Path

import pytest
import torch
from exported_models import tiny_predictor, tiny_segmenter

from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.export.agreement import FLOAT, HALF, Agreement
from yolov9_lit.inference.export.check import compare
from yolov9_lit.inference.export.format import Exported, ExportRecord, InputShape
from yolov9_lit.inference.export.graph import CandidateGraph, DetectionGraph
from yolov9_lit.inference.export.outputs import Candidates, names_of
from yolov9_lit.inference.exported import ExportedPredictor
from yolov9_lit.weights.card import ModelCard

CARD = ModelCard({}, ("a", "b"), (1, 2), 96)
BOXES = ("boxes", "scores")
DETECTIONS = (*BOXES, "labels", "counts")
PARTS = ("coefficients", "prototypes")
SETTINGS = NMSSettings(0.2, 0.5, False, max_detections=25)
SAME = Agreement(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 7, 6)


@pytest.mark.parametrize("nms", [None, SETTINGS])
@pytest.mark.parametrize("parts", [(), PARTS])
def test_a_record_is_read_as_it_was_written(nms, parts):
    outputs = (DETECTIONS if nms else BOXES) + parts
    record = ExportRecord(CARD, InputShape(), outputs, nms=nms)
    text = record.to_json()
    assert json.loads(text)["task"] == ("segment" if parts else "detect")
    assert ExportRecord.from_json(text, Path("x")) == record


@pytest.mark.parametrize(("nms", "outputs"), [(None, BOXES), (SETTINGS, DETECTIONS)])
def test_files_of_before_there_were_masks_are_read(nms, outputs):
    content = json.loads(ExportRecord(CARD, InputShape(), outputs, nms=nms).to_json())
    del content["outputs"], content["task"], content["head"]
    record = ExportRecord.from_json(json.dumps(content), Path("x"))
    assert record.outputs == outputs
    assert record.task == "detect"


@pytest.mark.parametrize(
    "outputs", [["boxes"], ["scores", "boxes"], [*BOXES, "heights"], [1], 3, ["boxes", "labels"]]
)
def test_outputs_that_are_not_known_are_a_sentence(outputs):
    content = json.loads(ExportRecord(CARD, InputShape(), BOXES).to_json())
    with pytest.raises(UserError, match=r"^x does not tell .*that yolov9_lit\.export wrote\.$"):
        ExportRecord.from_json(json.dumps(content | {"outputs": outputs}), Path("x"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"boxes": 0.2}, "boxes differ by 0.2 pixels (at most 0.1)"),
        ({"scores": 0.002}, "scores differ by 0.002 (at most 0.001)"),
        ({"parts": 0.02}, "masks' parts differ by 2.0% (at most 0.001)"),
        ({"keypoints": 0.2}, "keypoints differ by 0.2 pixels (at most 0.1)"),
        ({"visible": 0.002}, "how visible they are differs by 0.002 (at most 0.001)"),
        ({"matched": 0.9}, "90.0% of the detections agree (at least 99%)"),
        ({"masks": 0.9}, "90.0% is what masks overlap by (at least 99%)"),
    ],
)
def test_what_is_beyond_a_limit_is_told(changed, words):
    assert SAME._replace(**changed).faults(FLOAT) == [words]
    for name in changed:
        assert SAME._replace(**{name: float("nan")}).faults(HALF)
    assert not SAME.faults(FLOAT)
    assert not SAME._replace(masks=None, keypoints=None).faults(FLOAT)


@pytest.fixture(scope="module")
def segmenter():
    return tiny_segmenter()


@pytest.fixture(scope="module")
def images():
    """One image of noise is enough for a random head to find something in."""
    return [torch.randint(0, 255, (96, 96, 3), dtype=torch.uint8).numpy()]


def opened(graph, outputs, nms=None):
    """A graph as if it had been written and read."""
    record = ExportRecord(CARD, InputShape(1, 96, 96), outputs, nms=nms)
    return ExportedPredictor(Exported(record, lambda batches: map(graph.eval(), batches)))


def test_names_are_those_of_what_a_head_gives(segmenter):
    assert names_of(tiny_predictor().detector.eval(), nms=False) == BOXES
    assert names_of(segmenter.detector, nms=False) == BOXES + PARTS
    assert names_of(segmenter.detector, nms=True) == DETECTIONS + PARTS


@pytest.mark.parametrize("nms", [None, SETTINGS])
def test_masks_that_follow_from_other_numbers_are_noticed(segmenter, images, nms):
    reference = CandidateGraph(segmenter.detector)
    outputs = names_of(segmenter.detector, nms is not None)

    def agreement(change):
        graph = CandidateGraph(segmenter.detector)
        plain = graph.found
        graph.found = lambda images: change(plain(images))
        whole = DetectionGraph(graph, nms) if nms else graph
        return compare(opened(whole, outputs, nms), reference, images, SETTINGS, FLOAT.overlap)

    same = agreement(lambda candidates: candidates)
    assert same.detections > 3
    assert not same.faults(FLOAT)
    assert same.parts < 1e-4
    assert same.masks > 0.999
    turned = agreement(lambda c: c._replace(coefficients=-c.coefficients))
    assert turned.parts == pytest.approx(2, rel=1e-3)
    assert turned.masks < 0.5
    larger = agreement(lambda c: c._replace(prototypes=1.01 * c.prototypes))
    assert larger.parts == pytest.approx(0.01, rel=1e-2)
    assert larger.masks > 0.999  # Which hardly depend on how large numbers are.
    assert len(larger.faults(FLOAT)) == 1


def test_a_file_without_the_masks_does_not_agree(segmenter, images):
    """Also if its record says that there are none."""
    graph = CandidateGraph(segmenter.detector)
    plain = graph.found
    graph.found = lambda images: Candidates(*plain(images)[:2])
    reference = CandidateGraph(segmenter.detector)
    assert compare(opened(graph, BOXES), reference, images, SETTINGS, FLOAT.overlap).faults(FLOAT)


def test_rows_beyond_the_detections_are_zero(segmenter):
    graph = DetectionGraph(CandidateGraph(segmenter.detector), SETTINGS).eval()
    found = opened(graph, DETECTIONS + PARTS, SETTINGS)(torch.zeros(1, 3, 96, 96) + 0.4)
    assert found.coefficients.shape == (1, 25, 5)
    assert not found.coefficients[0, found.counts[0] :].any()
    assert found.coefficients[0, : found.counts[0]].all()
