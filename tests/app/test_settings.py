"""Every setting that a training cannot use is one sentence that names it, before data are read."""

import copy

import pytest
from omegaconf import DictConfig, ListConfig, OmegaConf

from yolov9_lit.app.configs import compose
from yolov9_lit.app.train import train
from yolov9_lit.building import build, config_mistakes
from yolov9_lit.errors import UserError

BASE = ("data=coco", "data.root=nowhere", "model=gelan_t", "trainer=cpu", "run_dir=run")

WRONG = {
    "seed": ("abc", "-1", "null", "0.5", "[1]", str(2**32)),
    "freeze": ("3", "true", "nonsense"),
    "unfreeze_epoch": ("0", "-1", "0.5", "abc", "5"),
    "multi_scale": ("0.5", "abc", "[0.5]", "[0.5,0.9]", "[1.2,1.5]", "[0,1]", "[0.5,9]"),
    "lr_find": ("1", "maybe", "null"),
    "test": ("1", "maybe", "null"),
    "ckpt": ("7", "[a]", "nowhere.ckpt"),
    "ckpt_path": ("7", "nowhere.ckpt"),
    "objectives": ("AP",),
    "trainer.max_epochs": ("ten", "0.5", "2.0", "-3", "-1", "null", "[1]", "true"),
    "trainer.max_time": ("5", "abc", "[1]"),
    "trainer.check_val_every_n_epoch": ("0", "-1", "0.5", "abc"),
    "trainer.devices": ("0", "-7", "1.5", "null", "abc", "224198656"),
    "trainer.accelerator": ("tpu", "nonsense", "3", "null"),
    "trainer.precision": ("nonsense", "17"),
    "trainer.strategy": ("nonsense", "3", "null"),
    "trainer.num_nodes": ("0", "abc"),
    "trainer.limit_train_batches": ("1.5", "0", "-1", "abc"),
    "trainer.limit_val_batches": ("1.5", "-1", "abc"),
    "trainer.overfit_batches": ("1.5", "-1", "abc"),
    "trainer.log_every_n_steps": ("-1", "abc"),
    "trainer.profiler": ("nonsense",),
    "optimizer.lr": ("abc", "-0.1", "null", "nan", "[0.1]"),
    "optimizer.weight_decay": ("abc", "-1"),
    "optimizer.clip_norm": ("0", "-1", "abc"),
    "optimizer.factory.momentum": ("abc", "-1"),
    "optimizer.factory._target_": ("torch.optim.Nonsense", "nonsense"),
    "optimizer.factory": ("3",),
    "schedule.decay": ("nonsense", "null"),
    "schedule.final_factor": ("2", "-0.1", "abc"),
    "schedule.warmup_epochs": ("-1", "abc"),
    "schedule.nominal_batch": ("0", "0.5", "abc"),
    "callbacks.ema.decay": ("2", "abc"),
    "callbacks.last.minutes": ("-1", "abc"),
    "callbacks.best.mode": ("nonsense",),
    "evaluation.nms": ("1", "null"),
    "evaluation.nms.iou": ("2", "abc"),
    "data.image_size": (
        "0",
        "10000000000000",
        "65568",
        "-32",
        "64.5",
        "100",
        "[64,96]",
        "abc",
        "null",
        "true",
    ),
    "data.batch_size": ("0", "0.5", "abc", "null"),
    "data.eval_batch_size": ("0", "0.5", "abc"),
    "data.num_workers": ("-1", "0.5", "abc", "null"),
    "data.partner_pool": ("0", "abc"),
    "data.cache": ("rom", "true"),
    "data.cache_gb": ("0", "-1", "abc", "null"),
    "data.cache_dir": ("5",),
    "data.seed": ("-1", "abc", "null"),
    "data.classes": ("person", "[1]", "[]", "[a,a]"),
    "data.single_class": ("1", "null"),
    "data.repeat_threshold": ("0", "2", "abc"),
    "data.strict": ("maybe", "1", "null"),
    "data.close_mosaic_epochs": ("abc", "-1", "0.5"),
    "data.train_images": ("5", "null", "[a]"),
    "data.test_annotations": ("5",),
    "data.prepare": ("5",),
    "augment.transforms.0.p": ("2", "-1", "abc"),
    "augment.transforms.2.scale": ("1", "-0.1", "abc"),
    "augment.transforms.3.alpha": ("0", "abc"),
    "model.elan_depth": ("0", "abc", "0.5", "100000"),
    "model.csp_depth": ("0", "100000"),
    "model.in_channels": ("0", "-1"),
    "model.num_classes": ("0", "abc"),
    "loss.aux_weight": ("abc", "[0.5]"),
    "aux_schedule.decay": ("exp", "null"),
    "aux_schedule.start": ("-0.1", "2", "abc"),
    "augment.transforms": ("3", "[3]", "[abc]", "[null]"),
    "logger.csv": ("3",),
    "callbacks.ema": ("3",),
}

GROUPS = (
    *("data", "model", "loss", "optimizer", "schedule", "aux_schedule"),
    *("evaluation", "trainer"),
)

INSTEAD = {
    "accumulate_grad_batches=4": "schedule.nominal_batch",
    "gradient_clip_val=1": "optimizer.clip_norm",
    "enable_checkpointing=false": "callbacks=none",
    "no_such_setting=1": "is no setting of lightning.Trainer",
}


def refusal(*overrides: str) -> str:
    """What a training says to overrides."""
    return refused(compose("train", [*BASE, *overrides]))


def refused(cfg: DictConfig) -> str:
    """What a training says to a config."""
    with pytest.raises(UserError) as error:
        train(cfg)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_is_refused_by_its_key(key):
    for value in WRONG[key]:
        sentence = refusal(f"++{key}={value}")
        assert key in sentence, value
        assert "data folder" not in sentence, value


@pytest.mark.parametrize(
    "override", ["~seed", "data=0", "+data=true", "sed" * 99, "++model.pgi=0", "++data.seed=${sed}"]
)
def test_a_setting_that_others_are_made_of_is_refused_in_a_sentence(override):
    with (
        pytest.raises(UserError, match=r"seed|sed|model\.pgi|dict\.keys|transforms|data") as error,
        config_mistakes(),
    ):
        train(compose("train", [*BASE, override]))
    assert "\n" not in str(error.value)


def test_a_group_that_is_needed_cannot_be_switched_off():
    for group in GROUPS:
        cfg = compose("train", BASE)
        cfg[group] = None
        with pytest.raises(UserError, match=f"^{group} is switched off"):
            train(cfg)


@pytest.mark.parametrize("setting", INSTEAD)
def test_a_setting_of_lightning_that_has_no_place_is_named_with_ours(setting):
    sentence = refusal(f"+trainer.{setting}")
    assert setting.partition("=")[0] in sentence
    assert INSTEAD[setting] in sentence


@pytest.mark.slow
def test_right_values_reach_the_data():
    for override in (
        "trainer.max_epochs=0",
        "trainer.max_time=00:00:01:00",
        "trainer.limit_train_batches=0.5",
        "trainer.overfit_batches=1",
        "trainer.profiler=simple",
        "optimizer.clip_norm=null",
        "callbacks.last.minutes=null",
        "callbacks=none",
        "logger=none",
        "loss.aux_weight=0.5",
    ):
        assert "There is no data folder nowhere" in refusal(override), override


def leaves(node, prefix=""):
    """Dotted keys of all plain values of a config."""
    for key in node:
        value = OmegaConf.to_container(node, resolve=False)[key]
        inner = node._get_node(key)
        if isinstance(inner, DictConfig) and isinstance(value, dict):
            yield from leaves(inner, f"{prefix}{key}.")
        elif not isinstance(inner, ListConfig):
            yield f"{prefix}{key}"


@pytest.mark.slow
@pytest.mark.parametrize("value", ["abc", -3, None, [1]], ids=str)
def test_no_value_of_any_key_ends_in_a_traceback(value):
    whole = compose("train", BASE)
    keys = [key for key in leaves(whole) if key != "data.root"]
    assert len(keys) > 100
    for key in keys:
        cfg = copy.deepcopy(whole)
        OmegaConf.update(cfg, key, value, force_add=True)
        assert refused(cfg), key


@pytest.mark.parametrize(
    "setting",
    [
        "window_shards=0",
        "shard_cache_gb=0",
        "shard_cache_dir=5",
        "batch_size=0",
        "strict=maybe",
        "image_size=100",
        "window=3",
    ],
)
def test_a_data_module_has_the_settings_of_the_one_it_extends(setting):
    assert f"data.{setting.partition('=')[0]}" in refusal("data=stream", f"++data.{setting}")


@pytest.mark.parametrize("data", ["shapes", "coco", "yolo"])
def test_an_evaluation_takes_any_data_without_their_augmentation(data):
    """The default data's has transforms of `data.image_size`, which is the checkpoint's here."""
    cfg = compose("eval", ["ckpt=x", f"data={data}", "data.root=x", "run_dir=x"])
    assert build(cfg.data, image_size=64).batches.augmentation is None
