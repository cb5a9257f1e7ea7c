"""The diagrams: their arrows against what a change of each part really changes, and the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch.utils._pytree import tree_leaves, tree_map_only

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.research.figures.dataflow import IMAGE, losses_of, trace
from yolov9_lit.research.figures.mermaid import flowchart, nodes_of

ROOT = Path(__file__).parents[3]


def make(*overrides):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("summary", overrides=list(overrides))
    torch.manual_seed(0)
    return instantiate(cfg.model, num_classes=4).eval()


def outputs_of(detector, image, parts, disturbed=None):
    """What each part gives, where one of them gives something else than it should."""
    outputs, handles = {}, []

    def note(name):
        def hook(module, inputs, output):
            given = output
            if name == disturbed:
                given = tree_map_only(torch.Tensor, lambda t: t * 1.5 + 0.5, output)
            outputs[name] = [t.clone() for t in tree_leaves(given) if t is not None]
            return given

        return hook

    for part in parts:
        handles.append(part.module.register_forward_hook(note(part.name)))
    with torch.no_grad():
        detector(image)
    for handle in handles:
        handle.remove()
    return outputs


@pytest.mark.slow
@pytest.mark.parametrize("pgi", ["cf", "fpn_icn", "pan"])
def test_an_arrow_is_where_a_change_goes_on(pgi):
    """Independent of the tracing: disturb one part, see which others give something else."""
    detector = make("model=gelan_t", f"pgi={pgi}")
    image = torch.rand(1, 3, 64, 64)
    parts = trace(detector, image)
    undisturbed = outputs_of(detector, image, parts)
    for part in parts:
        reached = {part.name}
        for later in parts:
            if reached & set(later.sources):
                reached.add(later.name)
        outputs = outputs_of(detector, image, parts, disturbed=part.name)
        changed = {
            name
            for name, tensors in outputs.items()
            if not all(torch.equal(*pair) for pair in zip(tensors, undisturbed[name], strict=True))
        }
        assert changed == reached, part.name


def test_the_trace_holds_every_parameter_and_tells_what_deploy_drops():
    detector = make("model=gelan_t", "pgi=cf")
    parts = trace(detector, torch.rand(1, 3, 64, 64))
    inside = [p for part in parts for p in part.module.parameters()]
    assert len(inside) == len(set(inside)) == len(list(detector.parameters()))
    dropped = {part.name for part in parts if not part.deployed}
    assert dropped == {part.name for part in parts if part.name.startswith("aux_")} != set()
    assert not any(module._forward_hooks for module in detector.modules())


@pytest.mark.parametrize("pgi", ["cf", "fpn_icn", "agm"])
def test_a_loss_trains_what_its_gradient_reaches(pgi):
    """Independent of the tracing: autograd's own gradients of each head's outputs."""
    detector = make("model=gelan_t", f"pgi={pgi}")
    image = torch.rand(1, 3, 64, 64)
    parts = trace(detector, image)
    prediction = detector(image)
    outputs = {"head": prediction.main}
    aux = zip(detector.aux_heads, prediction.aux, strict=True)
    outputs |= {f"aux_heads.{name}": output for name, output in aux}
    found = {part.name: set() for part in parts}
    for head, output in outputs.items():
        detector.zero_grad()
        sum(t.sum() for t in output if t is not None and t.requires_grad).backward(
            retain_graph=True
        )
        for part in parts:
            if any(p.grad is not None for p in part.module.parameters()):
                found[part.name].add(head)
    own = [part for part in parts if any(True for _ in part.module.parameters())]
    losses = losses_of(parts)
    assert {p.name: losses[p.name] for p in own} == {p.name: found[p.name] for p in own}
    styles = {node.style for node in nodes_of(detector, parts, 64, {})}
    assert styles == {"shared", "auxiliary", "main"}


def test_links_lead_to_the_level_they_are_added_to():
    detector = make("model=gelan_t", "pgi=icn")
    parts = trace(detector, torch.rand(1, 3, 64, 64))
    nodes = {node.name: node for node in nodes_of(detector, parts, 64, {})}
    p3 = nodes["aux_branches.icn.column.stages.2"]
    assert p3.lines[:2] == ("<b>icn column P3</b>", "AConv + GELANStage")
    links = [f"aux_branches.icn.links.linears.{level}" for level in (3, 4, 5)]
    assert set(p3.sources) == {"aux_branches.icn.column.stages.1", *links}
    assert nodes["aux_branches.icn.column.stages.0"].sources == (IMAGE,)
    assert nodes["backbone.column.stages.3"].group == ("backbone",)
    assert p3.group == ("PGI branch icn", "column")


def test_a_flowchart_names_each_box_once_and_no_box_that_is_not_there():
    detector = make("model=gelan_t", "pgi=fpn")
    chart = flowchart(nodes_of(detector, trace(detector, torch.rand(1, 3, 64, 64)), 64, {}))
    boxes = re.findall(r'^ *(\w+)(?:\["|\(\[).*$', chart, flags=re.M)
    ends = re.findall(r"^  (\w+) (?:-->|-\.->) (\w+)$", chart, flags=re.M)
    assert len(boxes) == len(set(boxes))
    assert {name for pair in ends for name in pair} == set(boxes)
    assert chart.count("subgraph") == len(re.findall(r"^ *end$", chart, flags=re.M))


@pytest.mark.slow
def test_the_docs_page_is_what_the_command_writes(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "yolov9_lit.figures", "figure=pgi", "out=page"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{Path('page', 'pgi.md')}\n"
    assert [p.name for p in tmp_path.iterdir()] == ["page"]
    page = (tmp_path / "page" / "pgi.md").read_text()
    assert page == (ROOT / "docs" / "pgi.md").read_text()
    drawn = set(re.findall(r"^## `model=\w+ pgi=(\w+)`$", page, flags=re.M))
    assert drawn == {path.stem for path in (CONFIG_DIR / "pgi").glob("*.yaml")}


def test_a_figure_that_is_not_there_gets_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "yolov9_lit.figures", "figure=99", "out=page"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert re.match(r"error: There is no figure=99: give one of (\w+, )*pgi\b", done.stderr)
