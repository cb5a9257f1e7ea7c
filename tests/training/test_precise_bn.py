"""Batch-norm statistics estimated anew: torch's own as reference; the training stays the same."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import yolov9_lit
from yolov9_lit.app.train import train
from yolov9_lit.building import build
from yolov9_lit.data.images import UnreadableImage
from yolov9_lit.errors import UserError
from yolov9_lit.training.batch_norm import estimate, trained_norms
from yolov9_lit.training.callbacks.precise_bn import PreciseBatchNorm


@pytest.fixture
def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.03), nn.SiLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5))


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(2 + i, 3, 8, 8, generator=generator) for i in range(3)]


def statistics(network):
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    return [s.clone() for norm in norms for s in (norm.running_mean, norm.running_var)]


def test_equals_torch_where_nothing_else_differs_in_training(network, batches):
    network[3] = nn.Identity()
    reference = copy.deepcopy(network)
    update_bn(batches, reference)
    norms = trained_norms(network)
    estimate(network.eval(), norms, batches)
    torch.testing.assert_close(statistics(network), statistics(reference), rtol=1e-6, atol=1e-7)
    assert [norm.momentum for norm in norms] == [0.03, 0.1]
    assert not any(module.training for module in network.modules())


def test_the_first_layer_by_hand(network, batches):
    estimate(network.eval(), [network[1]], batches)
    with torch.no_grad():
        seen = [network[0](images).transpose(0, 1).flatten(1).numpy() for images in batches]
    mean = np.mean([x.mean(axis=1) for x in seen], axis=0)
    variance = np.mean([x.var(axis=1, ddof=1) for x in seen], axis=0)
    np.testing.assert_allclose(network[1].running_mean, mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(network[1].running_var, variance, rtol=1e-4)


def test_nothing_is_drawn_and_frozen_layers_stay(network, batches):
    network[1].eval()
    norms, state = trained_norms(network), torch.get_rng_state()
    before = statistics(network)
    estimate(network.eval(), norms, batches)
    after = statistics(network)
    assert norms == [network[5]]
    assert torch.equal(torch.get_rng_state(), state), "dropout is as in evaluation"
    assert all(map(torch.equal, before[:2], after[:2]))
    assert not any(map(torch.equal, before[2:], after[2:]))


def test_bytes_are_images_too(network, batches):
    as_bytes = [(255 * images).round().to(torch.uint8) for images in batches]
    twin = copy.deepcopy(network)
    estimate(network.eval(), [network[1]], as_bytes)
    estimate(twin.eval(), [twin[1]], [images / 255 for images in as_bytes])
    torch.testing.assert_close(statistics(network), statistics(twin))


@pytest.fixture
def datamodule(config, tmp_path):
    datamodule = build(config(tmp_path).data)
    datamodule.setup("fit")
    return datamodule


def test_the_images_are_fixed_and_those_of_an_evaluation(datamodule):
    """14 images in batches of 4: whole batches of all, in the letterbox of the validation."""
    state = torch.get_rng_state()
    found = datamodule.fixed_training_images(100)
    assert torch.equal(torch.get_rng_state(), state)
    assert [len(images) for images in found] == [4, 4, 4]
    for one, again in zip(found, datamodule.fixed_training_images(100), strict=True):
        assert torch.equal(one, again)
    every = datamodule.batches.evaluation(datamodule.annotations("train"), 0, 1)
    evaluated = torch.cat([batch.images for batch in every])
    assert all((evaluated == image).flatten(1).all(1).any() for image in torch.cat(found))
    assert [len(images) for images in datamodule.fixed_training_images(3)] == [3]
    assert [len(images) for images in datamodule.fixed_training_images(8)] == [4, 4]


def test_images_that_cannot_be_read_are_told(datamodule, monkeypatch):
    monkeypatch.setattr("yolov9_lit.data.dataset.check_size", unreadable)
    with pytest.raises(UserError, match=r"None of 8 training images .* can be read"):
        datamodule.fixed_training_images(8)


def unreadable(*_):
    raise UnreadableImage("x.jpg", "is cut off", "mend it")


def test_what_cannot_be_is_refused(config, tmp_path):
    with pytest.raises(UserError, match=r"before each validation, and this training has none"):
        train(config(tmp_path, "callbacks=precise_bn", "trainer.limit_val_batches=0"))


def test_frozen_statistics_are_left_out_entirely(config, tmp_path):
    frozen = (
        "freeze=[backbone,neck,'head.*.0','head.*.1']"  # the last convolutions of a level train
    )
    with pytest.raises(UserError, match="finds no batch normalisation that is trained"):
        train(config(tmp_path, "callbacks=precise_bn", "model=gelan_t", frozen))


def test_it_stands_behind_the_average(config, tmp_path):
    precise = f"{PreciseBatchNorm.__module__}.{PreciseBatchNorm.__qualname__}"
    order = ["~callbacks.ema", f"+callbacks.precise_bn._target_={precise}"]
    order.append("+callbacks.ema._target_=yolov9_lit.training.ema.EMA")
    with pytest.raises(UserError, match=r"callbacks\.precise_bn stands before callbacks\.ema"):
        train(config(tmp_path, *order))


@pytest.mark.slow
def test_a_training_stays_the_same_and_its_checkpoints_have_what_was_evaluated(
    config, tmp_path, datamodule
):
    common = ["trainer.max_epochs=2", "augment=paper", "test=false", "freeze=backbone"]
    common.append("channels_last=false")  # as below: sums in another order differ by rounding
    common.append("callbacks.best.monitor=null")  # the last epoch is kept as best
    found = {}
    for callbacks in ("default", "precise_bn"):
        train(config(tmp_path / callbacks, *common, f"callbacks={callbacks}"))
        path = tmp_path / callbacks / "checkpoints" / "last.ckpt"
        found[callbacks] = torch.load(path, weights_only=True)
        best = torch.load(path.with_name("best.ckpt"), weights_only=True)
        assert all(
            torch.equal(best["state_dict"][n], v) for n, v in found[callbacks]["state_dict"].items()
        )
    usual, precise = found["default"], found["precise_bn"]
    moving = ("running_mean", "running_var", "num_batches_tracked")
    for name, value in usual["current_model_state"].items():
        assert torch.equal(value, precise["current_model_state"][name]), name
    averaged = precise["state_dict"]
    differ = [n for n, v in usual["state_dict"].items() if not torch.equal(v, averaged[n])]
    assert differ
    assert all(name.endswith(moving) and ".backbone." not in name for name in differ)

    kept = yolov9_lit.load(path).detector
    again = copy.deepcopy(kept)
    norms = [
        layer
        for name, layer in again.named_modules()
        if isinstance(layer, nn.BatchNorm2d) and not name.startswith("backbone.")
    ]
    estimate(again, norms, datamodule.fixed_training_images(200))
    torch.testing.assert_close(statistics(again), statistics(kept), rtol=1e-5, atol=1e-6)
