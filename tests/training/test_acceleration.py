"""What makes steps faster or smaller leaves losses, weights and statistics as they are."""

import shutil
from functools import partial
from itertools import islice
from types import SimpleNamespace

import pytest
import torch

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.structures import Targets
from yolov9_lit.training import acceleration
from yolov9_lit.training.acceleration import Acceleration, stages
from yolov9_lit.training.callbacks.step_times import UNTIMED, StepTimes
from yolov9_lit.training.module import DetectionModule
from yolov9_lit.training.trainer import build_trainer

CPU = torch.device("cpu")


def make_module(*overrides):
    cfg = compose("train", ["run_dir=.", "model=gelan_t", *overrides])
    torch.manual_seed(0)
    return DetectionModule(
        # In double precision: a few images' statistics carry rounding far.
        detector=build(cfg.model, num_classes=3).double(),
        loss=build(cfg.loss),
        optimizer=build(cfg.optimizer),
        schedule=build(cfg.schedule),
        batch_size=2,
        nms=None,
        val_metric=None,
        test_metric=None,
    )


def batch(objects=2):
    random = torch.Generator().manual_seed(objects)
    images = torch.rand(2, 3, 64, 64, generator=random, dtype=torch.float64)
    corners = 40 * torch.rand(2, objects, 2, generator=random)
    labels = torch.randint(3, (2, objects), generator=random)
    return images, Targets(torch.cat((corners, corners + 20), dim=-1), labels, labels >= 0)


def trained(module):
    """Two updates, then an evaluation: the losses, and all weights and statistics."""
    optimizer = module.optimizer.build(module.detector)
    losses = []
    for objects in (2, 3):
        optimizer.zero_grad()
        _, output = module.compared(*batch(objects))
        output.total.backward()
        optimizer.step()
        losses.append(output.total.detach())
    module.eval()
    with torch.no_grad():
        losses.append(module.compared(*batch())[1].total)
    return torch.stack(losses), module.state_dict()


@pytest.mark.parametrize(
    "faster",
    [
        Acceleration(channels_last=True),
        Acceleration(channels_last=False, checkpointing=True),
        Acceleration(channels_last=True, checkpointing=True),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "overrides", [["pgi=icn"], ["model=cspnet", "model.backbone.depth=21"]], ids=str
)
def test_losses_weights_and_statistics_are_the_plain_ones(faster, overrides):
    check_same(faster, *overrides)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
def test_compiled_blocks_are_the_plain_ones(monkeypatch):
    """As graphs; machine code of all of them would take minutes."""
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    check_same(Acceleration(compile="blocks"), "model.elan_depth=1", "block=conv")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
def test_machine_code_of_a_stage_is_the_plain_one(monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(acceleration, "stages", lambda detector: islice(stages(detector), 1))
    check_same(Acceleration(compile="blocks"), "model.elan_depth=1", "block=conv")


def check_same(faster, *overrides):
    plain, fast = make_module(*overrides), make_module(*overrides)
    faster.apply(fast, CPU)
    losses, weights = trained(plain)
    same_losses, same_weights = trained(fast)
    torch.testing.assert_close(same_losses, losses, rtol=1e-5, atol=1e-5)
    assert same_weights.keys() == weights.keys()
    for name, value in weights.items():
        torch.testing.assert_close(same_weights[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_channels_last_is_the_layout_of_weights_and_gradients():
    module = make_module()
    Acceleration(channels_last=True).apply(module, CPU)
    module.compared(*batch())[1].total.backward()
    for weight in module.detector.parameters():
        if weight.ndim == 4:
            assert weight.is_contiguous(memory_format=torch.channels_last)
            assert weight.grad.stride() == weight.stride()


@pytest.mark.parametrize(
    ("machine", "device", "expected"),
    [
        ("x86_64", "cpu", True),
        ("AMD64", "cpu", True),
        ("arm64", "cpu", False),
        ("arm64", "mps", False),
        ("aarch64", "cuda", True),
    ],
)
def test_channels_last_is_the_default_where_it_is_faster(monkeypatch, machine, device, expected):
    monkeypatch.setattr("platform.machine", lambda: machine)
    given = []
    detector = SimpleNamespace(to=lambda memory_format: given.append(memory_format))
    Acceleration().apply(SimpleNamespace(detector=detector), torch.device(device))
    assert given == [torch.channels_last] * expected


def test_checkpointing_keeps_less_for_the_backward_pass():
    def kept(module):
        sizes = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: sizes.update({t.data_ptr(): t.nbytes}) or t, lambda t: t
        ):
            module.compared(*batch())
        return sum(sizes.values())

    plain, small = make_module("pgi=icn"), make_module("pgi=icn")
    Acceleration(channels_last=False, checkpointing=True).apply(small, CPU)
    assert kept(small) < 0.6 * kept(plain)


@pytest.mark.parametrize(
    "model", ["gelan_t", "yolov9_t", "plainnet", "resnet", "revcol_t", "yolov7", "yolov7_af"]
)
def test_every_model_has_stages_none_within_another(model):
    with torch.device("meta"):
        detector = build(compose("train", ["run_dir=.", f"model={model}"]).model, num_classes=3)
    found = list(stages(detector))
    assert found
    inner = {id(m) for stage in found for m in stage.modules() if m is not stage}
    assert not inner & {id(stage) for stage in found}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
@pytest.mark.parametrize("pgi", ["lhg_icn", "cf"])
def test_model_and_loss_are_one_graph(monkeypatch, pgi):
    """Nothing in a step makes the device wait for the host."""
    module = make_module("model.elan_depth=1", "block=conv", f"pgi={pgi}")
    expected = module.compared(*batch())[1].total
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    Acceleration(compile="whole").apply(module, CPU)
    torch.testing.assert_close(module.compared(*batch())[1].total, expected)


@pytest.mark.slow
def test_a_compiled_step_sees_that_branches_are_detached():
    module = make_module("model.elan_depth=1", "block=conv", "pgi=agm")
    torch._dynamo.reset()
    graph = torch.compile(module.compared, backend="eager", fullgraph=True)
    backbone = next(module.detector.backbone.parameters())
    for detached in (False, True):
        module.detector.aux_detached = detached
        (aux,) = graph(*batch())[1].aux
        (gradient,) = torch.autograd.grad(aux.total, [backbone], allow_unused=True)
        assert (gradient is None) == detached


@pytest.mark.slow
def test_a_graph_is_timed_as_one_part():
    module, times = make_module("model.elan_depth=1", "block=conv"), StepTimes()
    times.on_train_start(None, module)
    torch._dynamo.reset()
    graph = torch.compile(module.compared, backend="eager", fullgraph=True)
    for _ in range(UNTIMED + 1):
        times.on_train_batch_start()
        graph(*batch())
        times.on_before_backward()
    assert list(times.seconds) == ["waiting for data", "forward, loss and logging"]


def test_without_a_compiler_one_sentence_says_so(monkeypatch):
    def compiled(*args, **kwargs):
        raise RuntimeError("No working C++ compiler found in\nCXX")

    monkeypatch.setattr(torch, "compile", compiled)
    with pytest.raises(UserError, match=r"^compile=blocks needs a C\+\+ compiler.* found in\)"):
        Acceleration(compile="blocks").apply(make_module(), CPU)


def test_reversible_columns_are_no_part_of_one_graph():
    with pytest.raises(UserError, match="compile=whole and reversible columns do not go together"):
        Acceleration(compile="whole").apply(make_module("model=revcol_t"), CPU)


def test_checkpointing_and_compiling_exclude_each_other():
    with pytest.raises(ValueError, match="checkpointing=true and compile=blocks"):
        Acceleration(checkpointing=True, compile="blocks")


@pytest.mark.parametrize(
    ("there", "native", "expected"),
    [(True, True, "bf16-mixed"), (True, False, "16-mixed"), (False, False, "bf16-mixed")],
)
def test_mixed_precision_is_what_the_device_computes(monkeypatch, there, native, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    cfg = compose("train", ["run_dir=.", "trainer=gpu", "trainer.accelerator=cpu"]).trainer
    monkeypatch.setattr("yolov9_lit.training.trainer.build", lambda cfg, **given: given)
    assert build_trainer(cfg, [])["precision"] == expected


def test_deterministic_training_does_not_fill_memory_that_is_written_anyway(monkeypatch):
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setattr("yolov9_lit.training.trainer.build", lambda cfg, **given: given)
    build_trainer(compose("train", ["run_dir=.", "+trainer.deterministic=true"]).trainer, [])
    assert not torch.utils.deterministic.fill_uninitialized_memory
