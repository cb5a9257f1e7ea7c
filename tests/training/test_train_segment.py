"""Training with `task=segment`: each branch learns masks, and its terms are logged."""

import shutil

import pandas as pd
import pytest
import torch
from steps import term_by_step

from yolov9_lit.app.train import train
from yolov9_lit.building import build


@pytest.mark.slow
def test_a_run_logs_the_mask_terms_of_each_branch(config, tmp_path):
    train(config(tmp_path, "task=segment", "model=gelan_t", "pgi=fpn", "trainer.max_epochs=2"))
    rows = pd.read_csv(tmp_path / "metrics.csv")
    for stage in ("train", "val"):
        for branch in ("main", "fpn"):
            terms = rows[[f"{stage}/{branch}/{term}" for term in ("box", "mask", "cls", "dfl")]]
            assert (terms.dropna() > 0).to_numpy().sum() == 2 * 4


@pytest.mark.slow
@pytest.mark.parametrize(("told", "expected"), [("evaluation.nms.confidence=1", 0), ("", -1)])
def test_figures_of_masks_are_there_where_nothing_gives_masks(
    config, tiny_shapes, tmp_path, told, expected
):
    """Nothing is found, or no image can be read: the best checkpoint is chosen all the same."""
    root = tmp_path / "shapes"
    shutil.copytree(tiny_shapes, root)
    if not told:
        for path in root.glob("**/val*/*"):
            path.write_bytes(b"no image")
    overrides = ["task=segment", "model=gelan_t", "trainer.max_epochs=1", f"data.root={root}"]
    result = train(config(tmp_path / "run", *overrides, *filter(None, [told])))
    for name in ("AP", "AP50", "AR_100"):
        assert result.figures[name] == result.figures[f"mask_{name}"] == expected
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.slow
def test_masks_get_better(config, tmp_path):
    """A few dozen steps on one batch: what the main branch's masks lose falls to a half."""
    torch.manual_seed(0)
    cfg = config(tmp_path, "task=segment", "model=gelan_t", "model.num_classes=4", "augment=none")
    data = build(cfg.data)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    detector, loss = build(cfg.model).train(), build(cfg.loss)
    lost = term_by_step(detector, loss, batch, "mask", steps=40, lr=1e-3)
    assert lost[-1] < lost[0] / 2
