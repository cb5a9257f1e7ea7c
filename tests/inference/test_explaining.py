"""Class-activation maps against finite differences and scores whose source is known."""

import threading

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.cams import EigenCam, GradCam, LayerCam
from yolov9_lit.inference.explaining import Explainer, score_gradients
from yolov9_lit.inference.levels import read_levels
from yolov9_lit.inference.predictor import Predictor
from yolov9_lit.models.create import create_model
from yolov9_lit.models.detector import Detector
from yolov9_lit.models.gelan import BackboneOutput
from yolov9_lit.models.head import Head
from yolov9_lit.reporting.explanation import draw_tile
from yolov9_lit.structures import Detections, KeypointLayout
from yolov9_lit.weights.card import ModelCard

EVERYTHING = NMSSettings(confidence=0.0, iou=1.0, multi_label=False, max_detections=300)


class Averages(nn.Module):
    """A backbone whose levels are the averages of the image's cells: nothing is mixed."""

    def forward(self, image):
        maps = [nn.functional.avg_pool2d(image, 2**level) for level in range(1, 6)]
        return BackboneOutput(tuple(maps), tuple(maps))


class LastThree(nn.Module):
    """A neck that passes levels 3 to 5 on."""

    def forward(self, pyramid):
        return pyramid[-3:]


class CellHead(Head):
    """Scores of a cell by the cell alone: weights 1, -2 and 3 of its channels."""

    def __init__(self):
        super().__init__((3, 3, 3), 1)
        self.cls = nn.ModuleList(nn.Conv2d(3, 1, 1, bias=False) for _ in range(3))
        for layer in self.cls:
            layer.weight.data = torch.tensor([1.0, -2.0, 3.0]).view(1, 3, 1, 1)


def predictor_of(detector, classes=("a", "b")):
    ids = tuple(range(1, len(classes) + 1))
    return Predictor(detector, ModelCard({}, classes, ids, 64)).eval()


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return create_model("gelan_t", num_classes=2).eval()


@pytest.mark.parametrize("maps", ["neck", "backbone"])
def test_a_score_of_a_single_cell_has_heat_there_alone(maps):
    cells = predictor_of(Detector(Averages(), LastThree(), CellHead()), ("a",))
    image = np.full((64, 96, 3), 20, np.uint8)
    image[32:40, 48:56] = (200, 0, 200)
    found, heats = Explainer(LayerCam(), maps, best=1)(cells, image, EVERYTHING, 96)
    assert found.boxes.shape == (1, 4)
    (heat,) = heats
    assert heat.shape == (64, 96)
    assert heat.max() == 1
    rows, columns = np.nonzero(heat)
    # Beside the cell only what the enlargement blurs, half a cell on each side.
    assert rows.min() >= 28
    assert rows.max() < 44
    assert columns.min() >= 44
    assert columns.max() < 60


def test_layer_cam_of_a_single_cell_is_its_positive_part():
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    levels = read_levels(Detector(Averages(), LastThree(), CellHead()), image)
    gradients = score_gradients(levels, anchor=8 + 3, label=0)
    p3, p4, p5 = (LayerCam()(a[0], g[0]) for a, g in zip(levels.maps, gradients, strict=True))
    expected = torch.zeros(8, 8)
    cell = levels.maps[0][0, :, 1, 3]
    expected[1, 3] = cell[0] + 3 * cell[2]
    torch.testing.assert_close(p3, expected)
    assert not p4.any()
    assert not p5.any()


def test_gradient_maps_are_those_of_finite_differences(tiny):
    """Independent of autograd: push each value of a map a little, look at the score."""
    detector = tiny.double()
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    levels = read_levels(detector, image)
    anchor, label = 64 + 5, 1  # on level 4
    gradient = score_gradients(levels, anchor, label)[1][0]
    maps = [one.detach() for one in levels.maps]
    step, brute = 1e-5, torch.zeros_like(gradient)

    def score(amount, place):
        pushed = maps[1].clone()
        pushed[(0, *place)] += amount
        return detector.head([maps[0], pushed, maps[2]]).class_logits[0, anchor, label]

    with torch.no_grad():
        for place in np.ndindex(*gradient.shape):
            brute[place] = (score(step, place) - score(-step, place)) / (2 * step)
    tiny.float()
    assert brute.abs().max() > 0
    for cam in (LayerCam(), GradCam()):
        heat = cam(maps[1][0], gradient)
        torch.testing.assert_close(heat, cam(maps[1][0], brute), rtol=1e-4, atol=1e-9)
        assert heat.max() > 0


def test_eigen_cam_of_a_map_of_rank_one_is_its_pattern():
    pattern = torch.rand(4, 6)
    activation = -torch.rand(5, 1, 1) * pattern
    heat = EigenCam()(activation, torch.zeros_like(activation))
    torch.testing.assert_close(heat, pattern / pattern.max())


@pytest.mark.parametrize("task", ["detect", "segment", "pose"])
def test_explained_are_the_best_detections_of_predict(task):
    torch.manual_seed(1)
    detector = create_model("gelan_t", num_classes=2, task=task).eval()
    for branch in detector.head.cls:
        nn.init.normal_(branch[2].weight, std=1.0)
        nn.init.constant_(branch[2].bias, -1.0)
    one = predictor_of(detector).deploy()
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    settings = NMSSettings(confidence=0.1, iou=0.45, multi_label=False)
    found, heats = Explainer(LayerCam(), best=2)(one, image, settings)
    (expected,) = one.predict(image, confidence=0.1)
    assert len(expected.scores) > 2
    assert len(heats) == 2
    for ours, theirs in zip(found[:3], expected[:3], strict=True):
        torch.testing.assert_close(ours, theirs[:2])
    assert found.masks is None
    assert (found.keypoints is not None) == (task == "pose")
    if task == "pose":
        torch.testing.assert_close(found.keypoints, expected.keypoints[:2])


def test_keypoints_lie_where_they_are_in_the_enlarged_picture():
    """A tile is enlarged to 320 pixels; the keypoint of its left half is drawn there."""
    image = np.full((80, 160, 3), 90, np.uint8)
    keypoints = torch.tensor([[[40.0, 40.0, 0.9], [120.0, 40.0, 0.1]]])  # The second is hidden.
    found = Detections(
        torch.tensor([[2.0, 2.0, 158.0, 78.0]]), torch.ones(1), torch.zeros(1).long()
    )._replace(keypoints=keypoints)
    layout = KeypointLayout(("a", "b"), ((0, 1),), (0, 1), (0.1, 0.1))
    plain, shown = (draw_tile(image, found, None, ["x"], 320, one) for one in (None, layout))
    rows, columns = np.nonzero((plain != shown).any(axis=2))
    assert (rows.min() + rows.max()) / 2 == pytest.approx(80, abs=1.5)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(80, abs=1.5)


@pytest.mark.slow
@pytest.mark.parametrize("maps", ["neck", "backbone"])
@pytest.mark.parametrize(
    ("model", "pgi"),
    [
        *(("gelan_t", pgi) for pgi in ("pfh", "fpn", "pan", "icn", "icn_neck")),
        *(("gelan_t", pgi) for pgi in ("fpn_icn", "lhg_icn", "cf", "none")),
        *((model, "none") for model in ("plainnet", "resnet", "cspnet", "revcol_t")),
        *((model, "none") for model in ("yolov7", "yolov7_af")),
        ("gelan_e", "fpn"),
    ],
)
def test_every_head_of_every_model_gives_heat_of_the_images_size(model, pgi, maps):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("summary", overrides=[f"model={model}", f"pgi={pgi}"])
    torch.manual_seed(0)
    whole = predictor_of(build(cfg.model, num_classes=2))
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    for head in (None, *whole.detector.aux_branches):
        for cam in (LayerCam(), GradCam(), EigenCam()):
            found, heats = Explainer(cam, maps, best=1)(whole.deploy(head), image, EVERYTHING)
            assert len(found.boxes) == len(heats) == 1
            assert heats[0].shape == (48, 64)
            assert np.isfinite(heats[0]).all()
            assert heats[0].min() >= 0
            assert heats[0].max() <= 1
        assert heats[0].max() == 1


def test_a_head_that_is_not_there_is_a_sentence(tiny):
    for form in (predictor_of(tiny), predictor_of(tiny).deploy()):
        for ask in (form.deploy, form.one_branch):
            with pytest.raises(UserError, match=r"^head=icn: .*: none; leave it out"):
                ask("icn")


@pytest.mark.parametrize("place", ["neck", "backbone"])
def test_maps_are_those_of_the_own_images_while_another_thread_predicts(place):
    detector = Detector(Averages(), LastThree(), CellHead()).eval()
    own, other = torch.rand(1, 3, 64, 64), torch.rand(2, 3, 64, 64)
    alone = read_levels(detector, own, place)

    def predict_meanwhile(module, inputs):
        if threading.current_thread() is threading.main_thread():
            predicting = threading.Thread(target=detector, args=(other,))
            predicting.start()
            predicting.join()

    detector.backbone.register_forward_pre_hook(predict_meanwhile)
    beside = read_levels(detector, own, place)
    assert len(beside.maps) == len(alone.maps) == 3
    for one, expected in zip(beside.maps, alone.maps, strict=True):
        assert torch.equal(one, expected)
