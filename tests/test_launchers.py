"""Sweeps whose jobs run in processes of their own."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from yolov9_lit.data.prepare.shapes import make_shapes

pytestmark = pytest.mark.slow

LAUNCHERS = {
    "joblib": ("hydra_joblib_launcher", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
    "submitit": ("hydra_submitit_launcher", ["hydra/launcher=local"]),
    "slurm": ("hydra_submitit_launcher", ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"]),
}
SLURM = {
    "sbatch": """
cp "${@: -1}" job.sh
export SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
export SLURM_JOB_NODELIST=localhost SLURM_ARRAY_JOB_ID=7
for i in 0 1; do SLURM_JOB_ID=7$i SLURM_ARRAY_TASK_ID=$i bash job.sh >/dev/null 2>&1 & done
echo "Submitted batch job 7"
""",
    "srun": """
while [[ $1 == -* ]]; do
  if [[ $1 == --output || $1 == --error ]]; then shift; fi
  shift
done
exec "$@"
""",
    "sacct": 'printf "JobID|State|NodeList\\n7_0|RUNNING|localhost\\n7_1|RUNNING|localhost\\n"',
}
"""A pretend cluster: its jobs run here, with the variables a Slurm job has."""


@pytest.fixture
def environment(tmp_path):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, script in SLURM.items():
        (commands / name).write_text("#!/bin/bash\n" + script)
        (commands / name).chmod(0o755)
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "OMP_NUM_THREADS": "1", "PATH": path}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_jobs_leave_whole_run_folders_and_a_failed_one_stops_no_other(name, tmp_path, environment):
    plugin, launcher = LAUNCHERS[name]
    if importlib.util.find_spec(f"hydra_plugins.{plugin}") is None:
        pytest.skip("needs the extra: yolov9-lit[launchers]")
    make_shapes(tmp_path / "shapes", train=8, val=4, image_size=64)
    depths = (0, 1, 2) if name == "joblib" else (0, 1)  # the first is a mistake
    done = subprocess.run(
        [
            *(sys.executable, "-m", "yolov9_lit.train", "-m", *launcher),
            f"model.elan_depth={','.join(map(str, depths))}",
            "debug=default",
            "model=gelan_t",
            "block=conv",
            "model.csp_depth=1",
            "evaluation.report=false",
            "data.root=shapes",
            "~data.prepare",
            "data.image_size=64",
            "data.batch_size=4",
            "hydra.sweep.dir=sweep",
            "hydra.sweep.subdir=depth${model.elan_depth}",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1
    assert "model.elan_depth=0 is not valid" in done.stderr
    for depth in depths[1:]:
        folder = tmp_path / "sweep" / f"depth{depth}"
        assert json.loads((folder / "results.json").read_text())["num_images"] == 4
        for file in ("checkpoints/best.ckpt", "metrics.csv", "detections.json", "train.log"):
            assert (folder / file).is_file(), file
        assert f"model.elan_depth={depth}" in (folder / ".hydra" / "overrides.yaml").read_text()
    assert not (tmp_path / "sweep" / "depth0" / "results.json").exists()
    if name == "slurm":
        script = (tmp_path / "job.sh").read_text()
        for option in ("partition=gpu", "gpus-per-node=1", "cpus-per-task=8", "time=1440"):
            assert f"#SBATCH --{option}\n" in script
