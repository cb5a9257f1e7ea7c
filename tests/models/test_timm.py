"""Networks of timm as backbones: what they read and give, every PGI branch, deployment."""

from functools import partial

import pytest
import torch
from branch_checks import trained_and_deployed
from pgi_variants import VARIANTS

from yolov9_lit.errors import UserError
from yolov9_lit.models.create import create_model
from yolov9_lit.models.timm import TimmBackbone, load_pretrained

timm = pytest.importorskip("timm", reason="needs the extra: yolov9-lit[timm]")

TINY = [
    *("model=timm", "model.name=gelan_t", "model.backbone.name=test_resnet", "model.csp_depth=1"),
    *("model.stem=[4,8]", "model.p2=[8,8,4]", "model.stages=[[16,16,8],[16,16,8],[16,16,8]]"),
    *("model.downs=[8,8,8]", "model.spp=[16,8]", "model.top_down=[[16,16,8],[16,16,8]]"),
    *("model.bottom_up=[[16,16,8],[16,16,8]]", "model.bottom_up_downs=[8,8]"),
]


def detector_of(name, **settings):
    torch.manual_seed(0)
    backbone = partial(TimmBackbone, name=name)
    return create_model("gelan_t", num_classes=4, backbone=backbone, **settings)


@pytest.fixture(scope="module")
def bare(make):
    """Names of the tensors that the detector without a branch deploys."""
    return make(*TINY, "pgi=none").deploy().state_dict().keys()


@pytest.mark.parametrize("pgi", VARIANTS)
def test_every_branch_trains_it_and_leaves_the_deployed_form(
    compose_config, randomise_statistics, bare, pgi
):
    deployed = trained_and_deployed(
        compose_config(*TINY, f"pgi={pgi}"), randomise_statistics, height=32
    )
    assert deployed.state_dict().keys() == bare


def test_it_reads_what_timms_network_gives_of_a_normalised_image(make):
    backbone = make(*TINY).backbone.eval()
    image = torch.rand(1, 3, 64, 96)
    weights = timm.get_pretrained_cfg("test_resnet")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (weights.mean, weights.std))
    net = timm.create_model("test_resnet", features_only=True, out_indices=(2, 3, 4)).eval()
    net.load_state_dict(backbone.net.state_dict())
    with torch.no_grad():
        maps, found = net((image - mean) / std), backbone(image)
        expected = [project(x) for project, x in zip(backbone.projections, maps, strict=True)]
    torch.testing.assert_close(list(found.main), expected)
    assert [x.shape[1:] for x in found.main] == [(16, 8, 12), (16, 4, 6), (16, 2, 3)]


def test_branches_that_timm_merges_are_merged(randomise_statistics):
    detector = detector_of("repghostnet_050")
    randomise_statistics(detector)
    deployed, image = detector.deploy(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before, after = detector.eval()(image).main, deployed(image).main
    torch.testing.assert_close(after.class_logits, before.class_logits, rtol=1e-4, atol=1e-4)
    nets = (detector.backbone.net, deployed.backbone.net)
    assert len({sum(p.numel() for p in net.parameters()) for net in nets}) == 2
    assert not any(p.requires_grad for p in deployed.parameters())


def test_it_reads_other_channels_than_three():
    detector = detector_of("test_resnet", in_channels=1)
    assert detector.backbone.mean.shape == (1, 1, 1)
    assert detector(torch.rand(2, 1, 64, 64)).main.class_logits.shape == (2, 84, 4)


def test_a_network_without_a_map_of_stride_2_will_do():
    with torch.device("meta"):
        detector = detector_of("convnext_atto", pgi="icn")
        prediction = detector(torch.empty(1, 3, 64, 64))
    assert prediction.aux[0].class_logits.shape == (1, 84, 4)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet18x", "timm has no network 'resnet18x': the nearest are resnet18, "),
        ("hf-hub:someone/something", "timm has no network 'hf-hub:someone/something'"),
        ("test_vit", "test_vit of timm has maps of strides 16, 16, 16, a detector reads those of"),
        ("swin_s3_tiny_224", "swin_s3_tiny_224 of timm does not take images of any size"),
        ("mambaout_femto", "gives a map of shape .* where a detector reads one"),
    ],
)
def test_what_does_not_fit_is_refused(name, told):
    with torch.device("meta"), pytest.raises(UserError, match=told):
        detector_of(name)


def test_published_weights_are_taken_when_they_are_asked_for(make, monkeypatch):
    """The internet's part is played by a network of other fresh weights."""
    detector = make(*TINY, "model.backbone.pretrained=true")
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    torch.manual_seed(1)
    published = timm.create_model("test_resnet", features_only=True)
    asked = []

    def download(name, **settings):
        asked.append((name, settings["pretrained"]))
        return published

    monkeypatch.setattr(timm, "create_model", download)
    load_pretrained(detector)
    assert asked == [("test_resnet", True)]
    prefix = "backbone.net."
    for name, tensor in detector.state_dict().items():
        own = published.state_dict()[name[len(prefix) :]] if name.startswith(prefix) else None
        assert torch.equal(tensor, before[name] if own is None else own)
    detector.backbone.pretrained = False
    load_pretrained(detector)
    assert len(asked) == 1


def test_published_weights_that_cannot_be_had_are_told(make, monkeypatch):
    detector = make(*TINY, "model.backbone.pretrained=true")

    def fail(*args, **kwargs):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(UserError, match=r"test_resnet cannot be had \(no route to host\): connect"):
        load_pretrained(detector)
