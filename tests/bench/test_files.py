"""`bench what=files`: each file is measured in turns and compared with the first."""

import pytest
import torch
from omegaconf import OmegaConf

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.weights.card import ModelCard
from yolov9_lit.weights.checkpoints import build_detector
from yolov9_lit.weights.deployed import write_deployed


def measure(*files):
    sizes = ["what.image_size=64", "what.rounds=3", "what.least_seconds=0.01"]
    given = ",".join(map(str, files))
    return build(compose("bench", ["what=files", f"what.files=[{given}]", *sizes]).what)()


@pytest.mark.slow
def test_files_are_compared_with_the_first(tmp_path):
    tiny = ["model=gelan_t", "block=conv", "model.num_classes=1"]
    model = OmegaConf.to_container(compose("summary", tiny).model, resolve=True)
    card = ModelCard(model, ("cat",), (1,), 64)
    torch.manual_seed(0)
    first, other = tmp_path / "first.safetensors", tmp_path / "other.safetensors"
    for path in (first, other):
        write_deployed(path, build_detector(card), card)
    (table,), figures = measure(first, other)
    assert table.row_count == 2
    times, theirs = (figures["ms_per_image"][str(path)] for path in (first, other))
    assert len(times) == len(theirs) == 3
    assert min(times + theirs) > 0
    assert figures["ratio"][str(first)] == {"median": 1, "least": 1, "most": 1}
    ratios = [a / b for a, b in zip(times, theirs, strict=True)]
    told = figures["ratio"][str(other)]
    assert (told["least"], told["most"]) == (min(ratios), max(ratios))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ((), r"^what\.files is empty: give some"),
        (("nowhere.onnx",), r"^nowhere\.onnx cannot be measured.* There is no file nowhere\.onnx"),
    ],
)
def test_mistakes(files, words):
    with pytest.raises(UserError, match=words):
        measure(*files)
