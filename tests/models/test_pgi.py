"""Every PGI variant that conf/pgi names, on every size: trains, and deploys to the bare GELAN."""

import pytest
import torch
from hydra.utils import instantiate
from pgi_variants import VARIANTS

from yolov9_lit.models.cost import count_parameters
from yolov9_lit.structures import Targets

BRANCHES = dict.fromkeys(VARIANTS, 1) | {"none": 0, "fpn_icn": 2, "cf": 2}

# C and E as they are, but narrow: unlike T they have ADown, links of other widths than the stages'
# and, in E, two columns.
NARROW = [
    "model.stem=[8,16]",
    "model.p2=[32,16,8]",
    "model.stages=[[64,32,16],[96,64,32],[96,64,32]]",
    "model.downs=[32,64,96]",
    "model.spp=[64,32]",
    "model.top_down=[[64,64,32],[32,32,16]]",
    "model.bottom_up=[[64,64,32],[96,64,32]]",
    "model.bottom_up_downs=[32,64]",
]
SMALL = {"t": [], "c": NARROW, "e": NARROW}


@pytest.fixture(params=[(size, pgi) for size in SMALL for pgi in VARIANTS], ids="-".join)
def variant(request, make, randomise_statistics):
    """A PGI variant's name, a small detector with it and the same detector's bare GELAN."""
    size, pgi = request.param
    detector = make(f"model=gelan_{size}", f"pgi={pgi}", *SMALL[size])
    randomise_statistics(detector)
    return pgi, detector, make(f"model=gelan_{size}", "pgi=none", *SMALL[size])


@pytest.mark.parametrize("size", SMALL)
def test_from_one_seed_the_main_parts_are_the_same_with_any_branch(make, size):
    bare = make(f"model=gelan_{size}", "pgi=none", *SMALL[size]).state_dict()
    for pgi in VARIANTS:
        detector = make(f"model=gelan_{size}", f"pgi={pgi}", *SMALL[size])
        assert bool(detector.aux_branches) == (pgi != "none")
        main = detector.without_auxiliary().state_dict()
        assert main.keys() == bare.keys()
        assert all(torch.equal(main[name], bare[name]) for name in bare), pgi


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(2, 3, 64, 96)


def some_gradient(*outputs):
    """A scalar that depends on every output in its own way."""
    logits = [x for o in outputs for x in (o.class_logits, o.box_logits)]
    return sum((x * torch.randn_like(x)).sum() for x in logits)


def without_gradient(module):
    return [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()]


def assert_same(output, expected):
    torch.testing.assert_close(output.class_logits, expected.class_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.box_logits, expected.box_logits, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_deploys_to_the_main_branch(variant, images):
    pgi, detector, gelan = variant
    detector.eval()
    deployed = detector.deploy()
    with torch.no_grad():
        before, after = detector(images), deployed(images)
    assert len(before.aux) == BRANCHES[pgi], "deploy() leaves the detector as it was"
    assert not after.aux
    assert_same(after.main, before.main)
    assert count_parameters(deployed) == count_parameters(gelan.deploy())


@pytest.mark.slow
def test_gradient_reaches_every_parameter(variant, images):
    _, detector, _ = variant
    prediction = detector.train()(images)
    some_gradient(prediction.main, *prediction.aux).backward()
    assert not without_gradient(detector)


@pytest.mark.slow
def test_the_auxiliary_branches_alone_reach_the_whole_backbone(variant, images):
    """What PGI is for. On E they read the first column."""
    pgi, detector, _ = variant
    if pgi == "none":
        pytest.skip("no auxiliary branch")
    some_gradient(*detector.train()(images).aux).backward()
    assert not without_gradient(detector.aux_branches)
    assert not without_gradient(detector.aux_heads)
    backbone = detector.backbone
    assert not without_gradient(getattr(backbone, "first", backbone))
    assert all(p.grad is None for p in detector.head.parameters())


@pytest.mark.parametrize("pgi", ["agm", "cf"])
def test_detached_branches_train_themselves_alone(pgi, make, images):
    detector = make("model=gelan_t", f"pgi={pgi}").train()
    attached = detector(images)
    detector.aux_detached = True
    prediction = detector(images)
    for output, expected in zip(prediction.aux, attached.aux, strict=True):
        assert torch.equal(output.class_logits, expected.class_logits)
    some_gradient(*prediction.aux).backward(retain_graph=True)
    assert not without_gradient(detector.aux_branches)
    assert not without_gradient(detector.aux_heads)
    for part in (detector.backbone, detector.neck, detector.head):
        assert all(p.grad is None for p in part.parameters())
    some_gradient(prediction.main).backward()
    assert not without_gradient(detector), "the main head's gradient goes on as it did"


def test_the_guides_neck_and_head_are_as_large_as_the_main_ones(make):
    detector = make("model=gelan_t", "pgi=agm")
    (branch,), (head,) = detector.aux_branches.values(), detector.aux_heads.values()
    assert count_parameters(branch.neck) == count_parameters(detector.neck)
    assert count_parameters(head) == count_parameters(detector.head)
    joined = sum(2 * c * c + 2 * c for c in detector.neck.channels)
    assert count_parameters(branch.join) == joined


def test_fpn_of_e_leaves_the_second_column_alone(make, images):
    detector = make("model=yolov9_e", *NARROW)
    some_gradient(*detector(images).aux).backward()
    assert all(p.grad is None for p in detector.backbone.second.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("size", list("tsmce"))
def test_every_size_takes_every_branch(size, make, compose_config):
    """All of them at once, on models of the full width."""
    branches = {}
    for pgi in VARIANTS:
        branches |= instantiate(compose_config(f"model=gelan_{size}", f"pgi={pgi}").model.pgi)
    with torch.device("meta"):
        gelan = make(f"model=gelan_{size}")
        detector = instantiate(
            compose_config(f"model=gelan_{size}").model, num_classes=4, pgi=branches
        )
        prediction = detector.eval()(torch.empty(1, 3, 64, 64))
    assert [o.class_logits.shape for o in prediction.aux] == [(1, 84, 4)] * len(branches)
    assert count_parameters(detector.deploy()) == count_parameters(gelan.deploy())


@pytest.mark.slow
@pytest.mark.parametrize("pgi", VARIANTS)
def test_trains_on_its_own_loss(pgi, make, compose_config, images):
    detector = make("model=gelan_t", f"pgi={pgi}").train()
    loss = instantiate(compose_config("model=gelan_t", f"pgi={pgi}").loss)
    targets = Targets(
        torch.tensor([[[4.0, 4.0, 60.0, 56.0]], [[30.0, 10.0, 90.0, 40.0]]]),
        torch.tensor([[1], [3]]),
        torch.ones(2, 1, dtype=torch.bool),
    )
    optimizer = torch.optim.Adam(detector.parameters(), lr=2e-3)
    losses = []
    for _ in range(5):
        output = loss(detector(images), targets)
        losses.append(output.total.item())
        optimizer.zero_grad()
        output.total.backward()
        optimizer.step()
    assert len(output.aux) == BRANCHES[pgi]
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("size", list("tsmce"))
def test_a_column_of_half_the_width_is_a_third_of_the_branch_at_most(size, make):
    counts = {}
    for pgi in ("icn", "icn_lite"):
        with torch.device("meta"):
            (branch,) = make(f"model=gelan_{size}", f"pgi={pgi}").aux_branches.values()
        assert all(
            2 * b >= a for a, b in zip(counts.get("channels", ()), branch.channels, strict=False)
        )
        counts |= {pgi: count_parameters(branch.column), "channels": branch.channels}
    assert 0.2 < counts["icn_lite"] / counts["icn"] < 0.34


@pytest.mark.parametrize("pgi", ["icn", "icn_neck"])
def test_the_whole_width_is_the_published_column(pgi, make):
    whole = make("model=gelan_m", f"pgi={pgi}", f"+model.pgi.{pgi}.width=1")
    published = make("model=gelan_m", f"pgi={pgi}")
    shapes = [{n: t.shape for n, t in d.state_dict().items()} for d in (whole, published)]
    assert shapes[0] == shapes[1]


def test_the_fine_head_can_be_deployed_in_the_main_heads_place(make, images):
    detector = make("model=gelan_t", "pgi=cf").eval()
    deployed = detector.deploy("fine")
    with torch.no_grad():
        fine = dict(zip(detector.aux_branches, detector(images).aux, strict=True))["fine"]
        assert_same(deployed(images).main, fine)
    assert count_parameters(deployed) == count_parameters(detector.deploy())


@pytest.mark.parametrize("pgi", ["pfh", "fpn_icn"])
def test_a_branch_alone_gives_what_it_gives_in_the_detector(
    pgi, make, images, randomise_statistics
):
    detector = make("model=gelan_t", f"pgi={pgi}").eval()
    randomise_statistics(detector)
    with torch.no_grad():
        found = dict(zip(detector.aux_branches, detector(images).aux, strict=True))
        for name, expected in found.items():
            alone = detector.auxiliary_alone(name)
            assert not alone.training
            deployed = detector.deploy(name)
            for form in (alone, deployed, deployed.deploy()):
                prediction = form(images)
                assert not prediction.aux
                assert_same(prediction.main, expected)


def test_a_branch_that_is_not_there_is_told_with_those_that_are(make):
    with pytest.raises(ValueError, match="no branch 'fine', its auxiliary ones: fpn, icn_neck"):
        make("model=gelan_t", "pgi=fpn_icn").deploy("fine")
    with pytest.raises(ValueError, match="no branch 'icn', its auxiliary ones: none"):
        make("model=gelan_t").auxiliary_alone("icn")
