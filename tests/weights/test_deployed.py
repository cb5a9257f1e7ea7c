"""Deploy checkpoints: half the file, the same detections."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import yolov9_lit
from yolov9_lit.app.configs import compose
from yolov9_lit.app.convert import convert
from yolov9_lit.errors import UserError


def command(**values):
    convert(compose("convert", [f"{k}={v}" for k, v in values.items()]))


@pytest.fixture(scope="module")
def published(shared):
    return shared / "reference" / "published_yolov9-t.pt"


@pytest.mark.slow
def test_convert_and_deploy(tmp_path, published, caplog):
    caplog.set_level("INFO")
    ckpt, small = tmp_path / "new" / "x.ckpt", tmp_path / "x.safetensors"
    command(src=published, out=ckpt)
    command(src=ckpt, out=small, deploy=True)
    held = sum(parameter.numel() for parameter in yolov9_lit.load(small).parameters())
    assert f"{held} parameters" in caplog.messages[-1]
    original, trained, deployed = (yolov9_lit.load(p) for p in (published, ckpt, small))
    assert trained.card == original.card
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected, same, fused = (p(image) for p in (original, trained, deployed))
        again = deployed.deploy()(image)
    assert len(same.aux) == 1
    assert fused.aux == ()
    assert torch.equal(same.main.class_logits, expected.main.class_logits)
    for one, other in zip(fused.main[:2], expected.main[:2], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(again.main.class_logits, fused.main.class_logits)
    assert small.stat().st_size < 0.7 * ckpt.stat().st_size
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in deployed.modules())
    with safe_open(small, framework="pt") as file:
        card = json.loads(file.metadata()["yolov9_lit"])
    assert (card["class_names"], card["image_size"]) == (["a", "b", "c"], 640)


@pytest.mark.slow
def test_deployed_again(tmp_path, published):
    first, second = tmp_path / "x.safetensors", tmp_path / "y.safetensors"
    command(src=published, out=first, deploy=True)
    command(src=first, out=second, deploy=True)
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(UserError, match="has no training form"):
        command(src=first, out=tmp_path / "z.ckpt")


def test_mistakes(tmp_path, published):
    (tmp_path / "folder.ckpt").mkdir()
    (tmp_path / "file").touch()
    for out in ("folder.ckpt", "file/x.ckpt"):
        with pytest.raises(UserError, match="cannot be written"):
            command(src=published, out=tmp_path / out)
    with pytest.raises(UserError, match=r"deploy=true writes \.safetensors"):
        command(src=published, out=tmp_path / "x.ckpt", deploy=True)
    with pytest.raises(UserError, match="needs deploy=true"):
        command(src=published, out=tmp_path / "x.safetensors")
    for name in ("x.xyz", "x", "x.onnx", "x.CKPT.old"):
        with pytest.raises(UserError, match=r"end it in \.ckpt, \.pt, \.pth or \.safetensors"):
            command(src=published, out=tmp_path / name)
    save_file({"a": torch.ones(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(UserError, match="has no card"):
        yolov9_lit.load(tmp_path / "bare.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"1234567890")
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        yolov9_lit.load(tmp_path / "cut.safetensors")
