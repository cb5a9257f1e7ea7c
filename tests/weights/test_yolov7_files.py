"""Published YOLOv7 files, trained and deployed, against a forward pass that knows none of ours."""

import pytest
import torch
from yolov7_files import ANCHORS, Published

import yolov9_lit
from yolov9_lit.errors import UserError
from yolov9_lit.models.anchor_head import AnchorHead
from yolov9_lit.weights.named_rows import class_rows
from yolov9_lit.weights.transfer import transfer_weights

IMAGE = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=[True, False], ids=["trained", "deployed"])
def published(request):
    torch.manual_seed(0)
    model = Published(classes=2, width=0.25, implicit=request.param)
    model(IMAGE)
    return model


def by_cell(values):
    """Ordered by level, row, column and anchor, as ours are, from level, anchor, row and column."""
    levels = values.split([3 * 8 * 12, 3 * 4 * 6, 3 * 2 * 3], dim=1)
    return torch.cat([x.unflatten(1, (3, -1)).transpose(1, 2).flatten(1, 2) for x in levels], 1)


def test_a_file_detects_what_it_does_where_it_comes_from(published, tmp_path):
    names = set(published.state)
    assert {"model.0.conv.weight", "model.51.cv7.bn.bias", "model.105.m.2.bias"} <= names
    path = tmp_path / "yolov7.pt"
    torch.save({"model": published.state, "names": ["cat", "dog"]}, path)
    detector = yolov9_lit.load(path)
    assert detector.class_names == ("cat", "dog")
    assert torch.equal(detector.detector.head.sizes, ANCHORS.float())
    boxes, scores = map(by_cell, published(IMAGE))
    with torch.no_grad():
        for form in (detector.detector, detector.detector.deploy()):
            found = form.decode(form(IMAGE).main)
            torch.testing.assert_close(found[0], boxes, rtol=1e-4, atol=1e-3)
            torch.testing.assert_close(found[1], scores, rtol=1e-4, atol=1e-5)
    assert scores.std() > 0.01, "the scores must differ"


def test_another_model_of_its_kind_is_refused(published, tmp_path):
    state = dict(published.state)
    del state["model.4.conv.weight"]
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(UserError, match="fits no model of the published YOLOv7 repository"):
        yolov9_lit.load(tmp_path / "other.pt")


def test_classes_are_taken_by_name_and_boxes_as_they_are():
    source, head = (AnchorHead((4, 4, 4), classes) for classes in (3, 2))
    before = head.levels[0].conv.weight.detach().clone()
    rows = class_rows(torch.nn.ModuleDict({"head": head}), ["dog", "new"], ["cat", "dog", "cow"])
    weights = {f"head.{name}": tensor for name, tensor in source.state_dict().items()}
    transfer = transfer_weights(torch.nn.ModuleDict({"head": head}), weights, [rows])
    assert transfer.outputs == [rows]
    theirs, ours = source.levels[0].conv.weight, head.levels[0].conv.weight
    for anchor in range(3):
        assert torch.equal(ours[anchor * 7 : anchor * 7 + 5], theirs[anchor * 8 : anchor * 8 + 5])
        assert torch.equal(ours[anchor * 7 + 5], theirs[anchor * 8 + 6])
        assert torch.equal(ours[anchor * 7 + 6], before[anchor * 7 + 6])
