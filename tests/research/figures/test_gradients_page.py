"""The page of gradients by branch: what it holds of checkpoints, and what it refuses."""

import json

import pandas as pd
import pytest
from checkpoint_files import write_checkpoint

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError
from yolov9_lit.weights.deployed import write_deployed


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("data") / "shapes", train=12, val=2, image_size=64)


@pytest.fixture
def draw(root, tmp_path):
    """Draw the page of files."""

    def page(*files, batches=2, more=()):
        shown = ",".join(map(str, files))
        settings = ["data.image_size=64", "data.batch_size=2", "data.num_workers=0"]
        counts = [f"figure.batches={batches}", "figure.reference=3", f"data.root={root}"]
        given = [f"ckpt=[{shown}]", "figure=gradients", "out=x"]
        cfg = compose("figures", [*given, *settings, *counts, "~data.prepare", *more])
        return build(cfg.figure)(tmp_path / "page")

    return page


@pytest.fixture
def names(root):
    content = json.loads((root / "annotations/instances_train2017.json").read_text())
    return tuple(category["name"] for category in content["categories"])


@pytest.mark.slow
def test_each_checkpoint_has_its_quantities_by_stage_and_branch(draw, names, tmp_path):
    write_checkpoint(tmp_path / "icn.ckpt", "icn", names)
    write_checkpoint(tmp_path / "none.ckpt", "none", names)
    page = draw(tmp_path / "icn.ckpt", tmp_path / "none.ckpt")
    rows = pd.read_csv(page.parent / "gradients.csv").groupby("checkpoint")
    icn, none = rows.get_group("1-icn"), rows.get_group("2-none")
    assert set(icn["branch"]) == {"main", "icn", "all"}
    assert set(icn["batch"]) == {0, 1}
    assert set(none["branch"]) == {"main"}
    assert set(none["quantity"]) == {"norm", "reliability"}
    text = page.read_text()
    assert "no auxiliary branch" in text
    assert text.count("data:image/png") == 3 + 2


MASKS = ("loss@figure.loss=segmentation", "+data.masks=true")


@pytest.mark.slow
def test_masks_are_part_of_a_segmentation_models_gradients(draw, names, tmp_path):
    write_checkpoint(tmp_path / "masks.ckpt", "icn", names, "segment")

    def lengths(*more):
        page = draw(tmp_path / "masks.ckpt", more=(*MASKS, *more))
        found = pd.read_csv(page.parent / "gradients.csv")
        return found[found["quantity"] == "norm"]["value"].to_numpy()

    without, some, more = (lengths(f"figure.loss.mask_gain={gain}") for gain in (0, 2.5, 250))
    assert (some != without).all()
    assert (more > some).all()


def test_a_loss_of_another_task_is_refused(draw, names, tmp_path):
    write_checkpoint(tmp_path / "masks.ckpt", "none", names, "segment")
    write_checkpoint(tmp_path / "boxes.ckpt", "none", names)
    for incomplete in ((), MASKS[:1], MASKS[1:]):
        with pytest.raises(UserError, match=r"finds masks.*: give loss@figure\.loss=segmentation"):
            draw(tmp_path / "masks.ckpt", more=incomplete)
    with pytest.raises(UserError, match="finds no masks: leave out"):
        draw(tmp_path / "boxes.ckpt", more=MASKS)


def test_no_term_of_keypoints_is_left_out_in_silence(draw, names, tmp_path):
    write_checkpoint(tmp_path / "pose.ckpt", "none", names, "pose")
    with pytest.raises(UserError, match=r"finds keypoints.*: train with callbacks=gradients"):
        draw(tmp_path / "pose.ckpt")


def test_other_files_are_refused(draw, names, tmp_path):
    detector, card = write_checkpoint(tmp_path / "icn.ckpt", "icn", names)
    write_checkpoint(tmp_path / "others.ckpt", "none", tuple("abcd"))
    write_deployed(tmp_path / "deployed.safetensors", detector.deploy(), card)
    with pytest.raises(UserError, match="is deployed"):
        draw(tmp_path / "deployed.safetensors")
    with pytest.raises(UserError, match="knows other classes"):
        draw(tmp_path / "others.ckpt")
    with pytest.raises(UserError, match=r"need 12 batches of training images, and .* gives 6"):
        draw(tmp_path / "icn.ckpt", batches=9)
