"""Ctrl-C and SIGTERM: a status, the shell's exit code, and the command that goes on."""

import functools
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from yolov9_lit.runs.interruption import BY_HAND, BY_SYSTEM, command_to_go_on, terminable


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, BY_HAND), (signal.SIGTERM, BY_SYSTEM)]
)
def test_a_signal_ends_with_the_shells_code_and_the_handler_before_returns(number, code):
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # A background job ignores it.

    @terminable()
    def stopped():
        os.kill(os.getpid(), number)
        time.sleep(5)

    with pytest.raises(SystemExit) as stop:
        stopped()
    assert stop.value.code == code
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_command_that_goes_on_has_the_folder_once(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["train.py", "data.root='a b'", "hydra.run.dir=old"])
    words = shlex.split(command_to_go_on(tmp_path))
    assert words[3:] == ["data.root='a b'", f"hydra.run.dir={tmp_path}"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, BY_HAND), (signal.SIGTERM, BY_SYSTEM)]
)
def test_a_training_that_is_stopped_says_how_it_goes_on(tiny_shapes, tmp_path, number, code):
    command = [sys.executable, "-m", "yolov9_lit.train", "trainer=cpu", "model=gelan_t"]
    command += ["data.image_size=64", "data.batch_size=4", "data.num_workers=0", "~data.prepare"]
    command += [f"data.root={tiny_shapes}", "hydra.run.dir=run", "trainer.max_epochs=300"]
    heeds = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heeds
    ) as process:
        while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
            time.sleep(0.2)
        process.send_signal(number)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "it goes on with: python -m yolov9_lit.train" in told
    assert "Traceback" not in told
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
