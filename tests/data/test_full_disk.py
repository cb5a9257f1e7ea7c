"""Commands on a disk that is full: a sentence, nothing half, and a second call that does it."""

import pytest

from yolov9_lit.data.__main__ import main
from yolov9_lit.data.prepare.shapes import make_shapes


@pytest.mark.parametrize("command", ["shard", "convert"])
def test_a_full_disk_leaves_nothing_half(tmp_path, largest_file, capsys, command):
    shapes = make_shapes(tmp_path / "shapes", train=4, val=2, image_size=64)
    options = {"shard": [f"root={shapes}"], "convert": ["format=coco", "to=voc", f"src={shapes}"]}
    out = tmp_path / "out" / "here"
    with largest_file(300):
        assert main([command, *options[command], f"out={out}"]) == 2
    error = capsys.readouterr().err
    assert "cannot be written" in error
    assert error.count("\n") == 1
    assert not out.exists() or not any(p for p in out.iterdir() if not p.name.startswith("."))
    assert main([command, *options[command], f"out={out}"]) == 0
