"""Gradients by branch, against the whole loss, brute force and theory; trainings stay the same."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from yolov9_lit.app.configs import compose
from yolov9_lit.app.train import train
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.structures import Batch, Targets
from yolov9_lit.training.callbacks.gradients import BranchGradients, write_epoch
from yolov9_lit.training.gradients import (
    branch_gradients,
    compare,
    cosine,
    measure,
    stages,
    undisturbed,
)


def parts(pgi, *overrides):
    torch.manual_seed(0)
    cfg = compose("train", ["model=gelan_t", f"pgi={pgi}", "run_dir=x", *overrides])
    return build(cfg.model, num_classes=3).train(), build(cfg.loss)


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, 64, 64, generator=generator)
    corner = 30 * torch.rand(2, 2, 2, generator=generator)
    boxes = torch.cat([corner, corner + 20], dim=-1)
    labels = torch.randint(3, (2, 2), generator=generator)
    return Batch(images, Targets(boxes, labels, torch.ones(2, 2, dtype=torch.bool)), ())


def flat(parameters):
    return torch.cat([p.grad.flatten() for p in parameters])


@pytest.mark.parametrize("pgi", ["icn", "lhg_icn", "agm", "icn_distill"])
def test_the_branches_sum_to_the_gradient_of_the_whole_loss(pgi):
    detector, loss = parts(pgi)
    one = batch()
    found = branch_gradients(detector, loss, one)
    assert all(p.grad is None for p in detector.parameters())
    loss(detector(one.images), one.targets).total.backward()
    assert list(found) == ["P1", "P2", "P3", "P4", "P5", "neck"]
    for stage, parameters in stages(detector).items():
        whole = flat(parameters) / len(one.images)
        summed = sum(g for name, g in found[stage].items() if name != "all")
        scale = float(whole.abs().max())
        torch.testing.assert_close(summed, whole, rtol=1e-3, atol=1e-5 * scale)


def test_norm_and_cosine_are_those_of_each_loss_by_itself():
    detector, loss = parts("fpn", "loss.aux_weight=0.5")
    one = batch()
    rows = {m[:3]: m.value for m in compare(branch_gradients(detector, loss, one), {})}
    alone = []
    for weights in ((1.0, 0.0), (0.0, 0.5)):
        loss.main_weight, loss.aux_weight = weights
        twin = copy.deepcopy(detector)
        loss(twin(one.images), one.targets).total.backward()
        alone.append({s: flat(ps).double().numpy() / 2 for s, ps in stages(twin).items()})
    for stage in ("P1", "P3", "P5"):
        main, aux = (a[stage] for a in alone)
        expected = main @ aux / np.linalg.norm(main) / np.linalg.norm(aux)
        assert rows[stage, "fpn", "cosine"] == pytest.approx(expected, abs=1e-3)
        assert rows[stage, "main", "norm"] == pytest.approx(np.linalg.norm(main), rel=1e-3)
        assert rows[stage, "fpn", "norm"] == pytest.approx(np.linalg.norm(aux), rel=1e-3)


def test_a_stage_has_the_branches_that_reach_it():
    found = {
        pgi: branch_gradients(*parts(pgi), batch()) for pgi in ("none", "icn", "icn_neck", "cf")
    }
    reaching = {pgi: (set(f["P3"]), set(f["neck"])) for pgi, f in found.items()}
    assert reaching["none"] == ({"main"}, {"main"})
    assert reaching["icn"] == ({"main", "icn", "all"}, {"main"})
    assert reaching["icn_neck"] == ({"main", "icn_neck", "all"},) * 2
    assert reaching["cf"] == ({"main", "icn", "fine", "all"}, {"main", "fine", "all"})
    stopped = branch_gradients(*parts("cf", "model.pgi.fine.detach=true"), batch())
    assert (set(stopped["P3"]), set(stopped["neck"])) == ({"main", "icn", "all"}, {"main"})


def test_frozen_stages_are_left_out():
    detector, loss = parts("icn")
    detector.backbone.requires_grad_(False)
    assert set(branch_gradients(detector, loss, batch())) == {"neck"}
    detector.neck.requires_grad_(False)
    assert branch_gradients(detector, loss, batch()) == {}


def test_equal_gradients_have_cosine_one_at_any_length():
    one = torch.randn(1000) * 1e-18
    assert cosine(one, 3e15 * one) == pytest.approx(1, abs=1e-5)
    assert cosine(one, -one) == pytest.approx(-1, abs=1e-5)
    assert math.isnan(cosine(one, torch.zeros(1000)))


def test_a_batch_is_wholly_reliable_against_itself():
    detector, loss = parts("icn")
    with undisturbed(detector):
        (rows,) = measure(lambda b: branch_gradients(detector, loss, b), [batch(1)], [batch(1)])
    values = [m.value for m in rows if m.quantity == "reliability"]
    assert len(values) == 3 * 5 + 1
    assert values == pytest.approx([1] * len(values), abs=1e-4)


@pytest.mark.parametrize("reference", [1, 4, 16])
@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_noise_lowers_reliability_as_theory_says(reference, noise):
    """Signal s, noise of variance n² an entry, |s|² = d: 1 / sqrt((1 + n²) (1 + n² / M))."""
    generator = torch.Generator().manual_seed(1)
    signal = torch.ones(20_000)

    def gradients(_):
        return {"P1": {"main": signal + noise * torch.randn(20_000, generator=generator)}}

    rows = measure(gradients, [batch()] * 5, [batch()] * reference)
    values = [m.value for measures in rows for m in measures if m.quantity == "reliability"]
    expected = 1 / math.sqrt((1 + noise**2) * (1 + noise**2 / reference))
    assert np.mean(values) == pytest.approx(expected, abs=4 / math.sqrt(20_000))


def test_pure_noise_is_not_reliable():
    generator = torch.Generator().manual_seed(1)
    for size in (100, 10_000):
        rows = measure(
            lambda _, size=size: {"P1": {"main": torch.randn(size, generator=generator)}},
            [batch()] * 200,
            [batch()] * 8,
        )
        values = [m.value for r in rows for m in r if m.quantity == "reliability"]
        assert np.std(values) == pytest.approx(1 / math.sqrt(size), rel=0.2)


def test_measuring_leaves_buffers_and_random_state_as_they_were():
    detector, loss = parts("icn")
    before = copy.deepcopy(detector.state_dict())
    state = torch.get_rng_state()
    with undisturbed(detector):
        branch_gradients(detector, loss, batch())
        torch.rand(3)
        mean = next(name for name in before if name.endswith("running_mean"))
        assert not torch.equal(detector.state_dict()[mean], before[mean])
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in detector.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_in_bfloat16_the_branches_sum_to_the_whole_too():
    detector, loss = parts("icn")
    one = batch()

    def autocast():
        return torch.autocast("cpu", dtype=torch.bfloat16)

    found = branch_gradients(detector, loss, one, autocast)
    with autocast():
        output = loss(detector(one.images), one.targets)
    output.total.backward()
    for stage, parameters in stages(detector).items():
        assert all(grad.dtype == torch.float32 for grad in found[stage].values())
        summed = sum(g for name, g in found[stage].items() if name != "all")
        assert cosine(summed, flat(parameters)) > 0.9  # rounded branch by branch, and as a whole


def test_an_epoch_that_is_trained_again_replaces_its_rows(tmp_path):
    path = tmp_path / "gradients.csv"
    for epoch, value in ((0, 1.0), (1, 2.0), (2, 3.0), (1, 4.0)):
        write_epoch(path, pd.DataFrame({"epoch": [epoch], "value": [value]}))
    assert pd.read_csv(path).to_numpy().tolist() == [[0, 1.0], [1, 4.0]]


FEW = ["callbacks=gradients", "callbacks.gradients.batches=2", "callbacks.gradients.reference=2"]
SHORT = ["model=gelan_t", "pgi=lhg_icn", "test=false", "trainer.max_epochs=2"]


@pytest.mark.slow
def test_a_training_is_the_same_with_and_without_it(config, tmp_path):
    accumulating = "schedule.nominal_batch=12"
    plain, measured = tmp_path / "plain", tmp_path / "measured"
    train(config(plain, *SHORT, accumulating))
    train(config(measured, *SHORT, accumulating, *FEW))
    first, second = (
        torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (plain, measured)
    )
    for key in ("state_dict", "current_model_state"):
        assert first[key].keys() == second[key].keys()
        for name, tensor in first[key].items():
            assert torch.equal(tensor, second[key][name]), name
    rows = pd.read_csv(measured / "gradients.csv")
    assert list(rows.columns) == ["epoch", "stage", "branch", "quantity", "value"]
    assert set(rows["epoch"]) == {0, 1}
    assert not rows.duplicated(["epoch", "stage", "branch", "quantity"]).any()
    assert set(rows["quantity"]) == {"norm", "cosine", "reliability"}
    assert (measured / "gradients.png").is_file()
    assert "gradients/P3/icn/cosine" in pd.read_csv(measured / "metrics.csv").columns


@pytest.mark.slow
def test_too_few_batches_are_refused(config, tmp_path):
    with pytest.raises(UserError, match="needs 12 batches in an epoch, and this training has 4"):
        train(config(tmp_path, *SHORT, "callbacks=gradients"))


@pytest.mark.parametrize(("precision", "warnings"), [("bf16-mixed", 1), ("32-true", 0)])
def test_gradients_in_bfloat16_are_told_to_be_rounding(precision, warnings, tmp_path, caplog):
    trainer = SimpleNamespace(world_size=1, num_training_batches=12, precision=precision)
    BranchGradients(tmp_path).on_train_start(trainer, None)
    found = [r.message for r in caplog.records if "rounding" in r.message]
    assert len(found) == warnings
    assert all(precision in message for message in found)
