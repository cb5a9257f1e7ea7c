"""Every page that the commands make, of tiny trainings, opened in a browser."""

import subprocess
import sys

import pytest
from browsing import Opened, browser, open_page

from yolov9_lit.app.configs import CONFIG_DIR, compose
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.figures import main as figures

MARKDOWN = {"pgi", "systems"}
"""Figures that are no page of HTML: diagrams that GitHub draws."""

SMALL = [
    "data.image_size=64",
    "data.batch_size=4",
    "data.num_workers=0",
    "~data.prepare",
]
RANDOM = ["figure.size=gelan_t", "figure.image_size=64"]
TRAINED = ["ckpt=[{runs}/none/checkpoints/last.ckpt,{runs}/icn/checkpoints/last.ckpt]"]
SETTINGS = {
    "2": RANDOM,
    "5": ["figure.runs={runs}"],
    "6": [*RANDOM, "figure.depths=[50,60]"],
    "7": [*TRAINED, "figure.images=2", "figure.measured=4"],
    "cam": [*TRAINED, "figure.confidence=0", "figure.images=2"],
    "gradients": [*TRAINED, "figure.batches=1", "figure.reference=2"],
    "information": [
        *RANDOM,
        "figure.depths=[50]",
        "figure.seeds=2",
        "~figure.models.GELAN",
    ],
}
"""What makes each figure small."""

HOLDS = {
    "2": Opened(images=2, tables=0, sorted=0),
    "5": Opened(images=2, tables=0, sorted=0),
    "6": Opened(images=2, tables=0, sorted=0),
    "7": Opened(images=2, tables=1, sorted=1),
    "cam": Opened(images=2, tables=1, sorted=1),
    "gradients": Opened(images=5, tables=0, sorted=0),
    "information": Opened(images=3, tables=4, sorted=4),
}


class Folder:
    """Two tiny trainings with their tests, in `runs`.

    Attributes:
        runs: folder of the trainings.
        data: settings of their data.
    """

    def __init__(self, root):
        make_shapes(root / "shapes", train=14, val=16, image_size=64)
        self.data = [f"data.root={root / 'shapes'}", *SMALL]
        self.runs = root / "runs"
        short = [
            "model=gelan_t",
            "trainer=cpu",
            "trainer.max_epochs=1",
            "callbacks=gradients",
        ]
        short += ["callbacks.gradients.batches=1", "callbacks.gradients.reference=2"]
        for pgi in ("none", "icn"):
            self.run(
                "train",
                *short,
                *self.data,
                f"pgi={pgi}",
                f"hydra.run.dir={self.runs / pgi}",
            )

    def run(self, name, *arguments):
        """Run a command to its good end."""
        done = subprocess.run(
            [sys.executable, "-m", f"yolov9_lit.{name}", *arguments],
            cwd=self.runs.parent,
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    browser()  # Nothing is trained where none is.
    return Folder(tmp_path_factory.mktemp("pages"))


def test_every_figure_has_its_page_here():
    names = {path.stem for path in (CONFIG_DIR / "figure").glob("*.yaml")}
    assert names - MARKDOWN == set(SETTINGS) == set(HOLDS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_figure(name, folder, tmp_path):
    small = [setting.format(runs=folder.runs) for setting in SETTINGS[name]]
    given = [f"figure={name}", f"out={tmp_path / 'out'}", *folder.data, *small]
    figures.__wrapped__(compose("figures", given))
    (page,) = (tmp_path / "out").glob("*.html")
    assert open_page(page, tmp_path) == HOLDS[name]


@pytest.mark.slow
def test_a_report_of_trainings(folder, tmp_path):
    folder.run("report", f"runs={folder.runs}", f"out={tmp_path / 'out'}")
    seen = open_page(tmp_path / "out" / "report.html", tmp_path)
    assert seen.images > 3
    assert seen.sorted > 1


@pytest.mark.slow
@pytest.mark.parametrize("pgi", ["none", "icn"])
def test_a_report_of_a_test(pgi, folder, tmp_path):
    assert open_page(folder.runs / pgi / "report.html", tmp_path).images > 3


@pytest.mark.slow
def test_a_report_of_an_evaluation_of_a_branch(folder, tmp_path):
    ckpt = folder.runs / "icn" / "checkpoints" / "last.ckpt"
    given = [f"ckpt={ckpt}", "head=icn", f"hydra.run.dir={tmp_path}", *folder.data]
    folder.run("eval", *given)
    assert open_page(tmp_path / "report.html", tmp_path).images > 3


WHOLE = "<!doctype html><html><head><title>t</title></head><body>{}</body></html>"
FAULTY = {
    "a script that fails": ("<script>nothing.at.all</script>", "CONSOLE"),
    "a picture that is not there": (
        '<img src="data:image/png;base64,AAAA">',
        "missing",
    ),
    "a file beside it": ('<a href="other.html">other</a>', "needs"),
    "a link to nowhere": ('<a href="#nowhere">other</a>', "needs"),
    "a page that is too wide": ('<p style="width: 2000px">wide</p>', "sideways"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTY)
def test_faults_are_seen(fault, tmp_path):
    body, told = FAULTY[fault]
    page = tmp_path / "page.html"
    page.write_text(WHOLE.format("nothing"))
    assert open_page(page, tmp_path) == Opened(0, 0, 0)
    page.write_text(WHOLE.format(body))
    with pytest.raises(AssertionError, match=told):
        open_page(page, tmp_path)
