"""Overrides that cannot be read: a sentence names them and shows the quotes that they need."""

import pytest

from yolov9_lit import predict


@pytest.mark.parametrize("override", ["größe='3'", "größe=3"])
@pytest.mark.parametrize("before", [[], ["-m"], ["--config-dir", "a[=b", "confidence=0.5"]])
def test_what_hydra_cannot_read_is_named(monkeypatch, capsys, override, before):
    monkeypatch.setattr("sys.argv", ["predict", *before, override])
    with pytest.raises(SystemExit) as ended:
        predict.main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {override} cannot be read")
    assert "'key=\"a=b.jpg\"'" in told
    assert told.count("\n") == 1
