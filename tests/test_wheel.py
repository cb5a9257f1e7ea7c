"""The built wheel works away from the checkout: the configs travel with it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


def test_an_installed_wheel_finds_its_configs(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist")]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True, timeout=300)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "yolov9_lit/conf/train.yaml" in names
    assert "hydra_plugins/yolov9_lit_optuna/sweeper.py" in names
    assert "hydra_plugins/__init__.py" not in names, "a namespace shared with other plugins"
    assert "yolov9_lit/reporting/page.html" in names
    assert "yolov9_lit/research/paper.csv" in names
    assert "yolov9_lit/py.typed" in names
    assert not any(name.startswith(("tests/", "conf/")) for name in names)

    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site]
    subprocess.run([*install, str(wheel)], check=True, timeout=300)
    # First on the path: the wheel wins over the checkout that this environment may know.
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import runpy, yolov9_lit; assert yolov9_lit.__file__.startswith(sys.path[0])\n"
        "sys.argv = ['summary', 'model=gelan_t']; runpy.run_module('yolov9_lit.summary', "
        "run_name='__main__')\n"
    )
    script = (site / "bin" / "yolov9-summary").read_text()
    assert "from yolov9_lit.summary import main" in script
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert '"deployed"' in done.stdout.splitlines()[-1]
