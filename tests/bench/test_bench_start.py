"""`bench what=start`: how long a command's user waits, and what a command that fails is told by."""

import json
import subprocess
import sys
import time

import pytest

from benchmarks.commands import run
from yolov9_lit.errors import UserError


def python(code):
    return sys.executable, "-c", code


def test_a_command_is_measured_to_its_line_and_ended_with_what_it_started(tmp_path):
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('child', 'w').write(str(child.pid))\n"
        "print('before'); print('it is time', flush=True); time.sleep(600)"
    )
    start = time.perf_counter()
    seconds = run(python(code), tmp_path, "is time")
    assert 0 < seconds <= time.perf_counter() - start < 300
    status = f"/proc/{(tmp_path / 'child').read_text()}/stat"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with open(status) as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    pytest.fail("the child runs on")


def test_a_command_is_measured_to_its_end(tmp_path):
    assert run(python("import time; time.sleep(0.3)"), tmp_path) >= 0.3


def test_a_command_that_fails_tells_its_last_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot be measured: ValueError: no such thing$"):
        run(python("raise ValueError('no such thing')"), tmp_path)
    with pytest.raises(UserError, match=r"cannot be measured: it ended early$"):
        run(python("print('another line')"), tmp_path, "this line")


@pytest.mark.slow
def test_starts_are_measured(tmp_path):
    settings = ["what=start", "what.rounds=1", "what.image_size=64", "what.images=8"]
    command = [sys.executable, "-m", "yolov9_lit.bench", *settings, "what.workers=0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds = json.loads(done.stdout.splitlines()[-1])["seconds"]
    assert set(seconds) == {"first step", "prediction", "summary", "report"}
    assert all(len(measured["yolov9_lit"]) == 1 for measured in seconds.values())
    assert not list(tmp_path.iterdir())
