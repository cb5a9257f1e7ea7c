"""Fixtures shared by all tests."""

import logging
import os
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # Side by side: a thread each, before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ASSETS = Path(__file__).parent / "assets"
SHARED = Path(os.environ.get("YOLOV9_LIT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
NOT_SHARED = f"{SHARED} is not there (published weights, real images, the paper's tables)"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference numbers and real images; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(NOT_SHARED)
    return SHARED


@pytest.fixture(scope="session")
def reference():
    """Read numbers of the published implementation, see tests/assets/README.md."""
    return lambda name: np.load(ASSETS / "reference" / f"{name}.npz")


def pytest_terminal_summary(terminalreporter):
    """Say how many tests an outsider's clone cannot run."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())]
    if count := sum(NOT_SHARED in reason for reason in skipped):
        terminalreporter.write_line(f"{count} tests skipped: {NOT_SHARED}")


@pytest.fixture(autouse=True)
def logs_end_with_their_test():
    """Commands that run in this process set levels, and log to files of the test's folder."""
    before, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.setLevel(level)
    for handler in logging.root.handlers[:]:
        if isinstance(handler, logging.FileHandler) and handler not in before:
            logging.root.removeHandler(handler)
            handler.close()


@pytest.fixture
def job(tmp_path):
    """Make the config of a job in the same folder, as Hydra hands it to the command."""
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from yolov9_lit.app.configs import CONFIG_DIR

    def make(*overrides):
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            cfg = compose("train", [f"run_dir={tmp_path}", *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        task_cfg = cfg.copy()
        OmegaConf.set_readonly(task_cfg, False)
        OmegaConf.set_struct(task_cfg, False)
        del task_cfg["hydra"]
        return task_cfg

    yield make
    HydraConfig.instance().cfg = None


@pytest.fixture
def largest_file():
    """A context in which no file grows beyond that many bytes: what a full disk is to a program."""

    @contextmanager
    def limited(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Python would keep the beginning of what it compiles as if it were whole.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "dont_write_bytecode", True)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


TINY = [
    "trainer=cpu",
    "trainer.enable_progress_bar=false",
    "data.image_size=64",
    "data.batch_size=4",
    "data.num_workers=0",
    "~data.prepare",
]
TINY_TRAINING = ["~callbacks.summary", "evaluation.report=false"]


@pytest.fixture(scope="session")
def tiny_shapes(tmp_path_factory):
    from yolov9_lit.data.prepare.shapes import make_shapes

    root = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(root, train=14, val=6, image_size=64)
    return root


@pytest.fixture
def shapes_without_keypoints(tmp_path):
    """A small data set whose categories name no keypoints."""
    import json

    from yolov9_lit.data.prepare.shapes import make_shapes

    root = make_shapes(tmp_path / "shapes", train=2, val=1, image_size=64)
    for file in (root / "annotations").iterdir():
        content = json.loads(file.read_text())
        for category in content["categories"]:
            del category["keypoints"]
        file.write_text(json.dumps(content))
    return root


def is_usual_model(overrides):
    """Whether a training is of a model whose blocks may be repeated less, which halves its time."""
    chosen = {o for o in overrides if o.startswith(("model", "row=", "experiment="))}
    return chosen <= {"model=gelan_t", "model=yolov9_t"}


@pytest.fixture(scope="session")
def config(tiny_shapes):
    """Compose a command's config for the small data set."""

    from hydra import compose, initialize_config_dir

    from yolov9_lit.app.configs import CONFIG_DIR

    def make(run_dir, *overrides, command="train"):
        base = TINY + (TINY_TRAINING if command == "train" else [])
        if command == "train" and is_usual_model(overrides):
            base += ["model.elan_depth=1"]
        base += [f"data.root={tiny_shapes}", f"run_dir={run_dir}"]
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return compose(command, overrides=[*base, *overrides])

    return make


@pytest.fixture(scope="session")
def wandb_records():
    """Read what W&B recorded offline in a run's folder: the kind and content of each record."""
    from wandb.proto.wandb_internal_pb2 import Record

    def read(folder):
        records = []
        for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
            for data in log_records(path.read_bytes()):
                record = Record()
                record.ParseFromString(data)
                kind = record.WhichOneof("record_type")
                records.append((kind, getattr(record, kind)))
        return records

    return read


def log_records(content, block=32768, header=7):
    """Records of a LevelDB log, which W&B's offline files are, behind a file header."""
    position, parts = header, []
    while position + header <= len(content):
        if block - position % block < header:
            position += block - position % block
            continue
        length = int.from_bytes(content[position + 4 : position + 6], "little")
        whole_or_last = content[position + 6] in (1, 4)
        parts.append(content[position + header : position + header + length])
        position += header + length
        if whole_or_last:
            yield b"".join(parts)
            parts = []
