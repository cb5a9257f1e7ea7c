"""The page as a reader gets it: whole, by itself, without script errors, whatever was evaluated."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from browsing import open_page
from omegaconf import OmegaConf
from scenes import CATEGORIES, compare, random_scene

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.analysis import Analysis, Section, write_report
from yolov9_lit.reporting.table import Table
from yolov9_lit.training.callbacks.report import report_callbacks

BOX = [10.0, 10.0, 40.0, 40.0]
CASES = {
    "all": (*random_scene(1), CATEGORIES),
    "no detection": ([(1, 3, BOX)], [], [1, 2], CATEGORIES),
    "no truth": ([], [(1, 3, BOX, 0.9)], [1, 2], CATEGORIES),
    "nothing": ([], [], [1], CATEGORIES),
    "crowds alone": ([(1, 3, BOX, 1)], [(1, 3, BOX, 0.9)], [1], CATEGORIES),
    "one class": ([(1, 3, BOX)], [(1, 3, BOX, 0.9)], [1], {3: "plain"}),
    "80 classes": (
        [(1, i, BOX) for i in range(80)],
        [(1, i, BOX, 0.5 + i / 200) for i in range(0, 80, 2)],
        [1],
        {i: f"class {i}" for i in range(80)},
    ),
}
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Holds that tags are balanced, and keeps images, links and texts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links, self.texts, self.anchors = [], [], [], [], set()
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(values["src"])
        self.links += [values[k] for k in ("href", "action", "data") if k in values]
        self.links += [values["src"]] if "src" in values and tag != "img" else []
        self.anchors |= {values["id"]} if "id" in values else set()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def analyses():
    config = compose("eval", ["ckpt=x"]).evaluation
    return {name: build(node) for name, node in config.analyses.items()}


@pytest.mark.parametrize("case", CASES)
def test_the_page_is_whole_and_needs_nothing_beside_it(case, tmp_path):
    *scene, categories = CASES[case]
    compared = compare(*scene, categories)
    path = write_report(compared, analyses(), tmp_path, "1 < 2 images of <here>")
    page = Page(path.read_text(encoding="utf-8"))
    assert "1 < 2 images of <here>" in page.texts
    assert all(link.startswith("#") and link[1:] in page.anchors for link in page.links)
    assert len(page.links) == len(analyses()) - 1, "that on keypoints has nothing to say"
    if case == "all":
        assert {*CATEGORIES.values()} <= {*page.texts}
    for image in page.images:
        kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,(.+)", image).groups()
        start = {"png": b"\x89PNG", "jpeg": b"\xff\xd8"}[kind]
        assert base64.b64decode(data, validate=True).startswith(start)
    files = [*tmp_path.glob("analysis/**/*.*")]
    assert len([f for f in files if f.suffix in (".png", ".jpg")]) == len(page.images)
    tables = {f.stem: pd.read_csv(f) for f in files if f.suffix == ".csv"}
    assert {"confusion", "errors", "precision_recall", "images", "never_found"} <= {*tables}
    if case == "no detection":
        assert tables["never_found"]["class"].tolist() == ["plain"]
        assert tables["images"]["missed objects"].tolist() == [1]


@pytest.mark.slow
def test_the_page_opens_in_a_browser(tmp_path):
    *scene, categories = CASES["all"]
    path = write_report(compare(*scene, categories), analyses(), tmp_path, "images")
    seen = open_page(path, tmp_path)
    assert seen.images == len(Page(path.read_text(encoding="utf-8")).images) > 10
    assert 0 < seen.sorted <= seen.tables


class Mine(Analysis):
    """What a user writes."""

    def __init__(self, least: int = 1):
        self.least = least

    def __call__(self, compared, folder):
        counts = np.bincount(compared.images, minlength=1)
        rows = pd.DataFrame({"image": np.flatnonzero(counts >= self.least)})
        return Section("Mine", "My own.", tables=[Table("My table", rows)], data={"mine": rows})


def settings(**values):
    return OmegaConf.create(values)


def test_a_user_s_own_analysis_is_a_class_in_the_config(tmp_path):
    node = {"_target_": f"{__name__}.Mine", "least": 2}
    (callback,) = report_callbacks(settings(report=True, analyses={"mine": node}), tmp_path)
    compared = compare(*random_scene(0))
    page = write_report(compared, callback.analyses, tmp_path, "").read_text()
    assert "My table" in page
    assert (
        len(pd.read_csv(tmp_path / "analysis" / "mine.csv"))
        == (np.unique(compared.images, return_counts=True)[1] >= 2).sum()
    )


def test_parts_and_the_whole_are_left_out_on_demand(tmp_path):
    part = {"_target_": f"{__name__}.Mine"}
    (callback,) = report_callbacks(settings(report=True, analyses={"a": None, "b": part}), tmp_path)
    assert [*callback.analyses] == ["b"]
    assert not report_callbacks(settings(report=False, analyses={"b": part}), tmp_path)
    assert not report_callbacks(settings(report=True, analyses=None), tmp_path)


def test_what_is_no_analysis_is_told_in_a_sentence(tmp_path):
    wrong = settings(report=True, analyses={"mine": {"_target_": "pathlib.Path"}})
    with pytest.raises(UserError, match=r"^evaluation\.analyses\.mine is no Analysis: .*Analysis"):
        report_callbacks(wrong, tmp_path)
