"""Images with rare classes come more often: LVIS's factors, the same in each run and shared out."""

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.repeat_factors import class_factors, image_factors, repeats
from yolov9_lit.data.samplers import TrainSampler
from yolov9_lit.data.shards.stream import StreamDataModule
from yolov9_lit.errors import UserError
from yolov9_lit.losses.assigners import TaskAlignedAssigner
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.models.create import create_model

PATHS = [path for s in ("train2017", "val2017") for path in (s, f"annotations/instances_{s}.json")]


def of_images(*images, classes=3):
    """Annotations of images whose objects have these labels; negative ones are crowds of them."""
    labels = np.array([label for image in images for label in image], dtype=np.int64)

    class Annotated(SimpleNamespace):
        def __len__(self):
            return len(images)

    return Annotated(
        labels=np.where(labels < 0, -labels - 1, labels),
        crowd=labels < 0,
        offsets=np.cumsum([0, *map(len, images)]),
        num_classes=classes,
    )


def test_factors_are_those_of_the_paper_image_by_image():
    images = [(0,), (0, 0, 1), (0,), (), (0, -3), (0,), (0,), (0,)]  # -3: a crowd of class 2
    found = of_images(*images)
    share = [sum(c in image for image in images) / len(images) for c in range(3)]
    expected = [max(1.0, math.sqrt(0.5 / f)) if f else 1.0 for f in share]
    assert expected[1] == 2.0
    np.testing.assert_allclose(class_factors(found, 0.5), expected)
    of_image = [max((expected[c] for c in image if c >= 0), default=1.0) for image in images]
    np.testing.assert_allclose(image_factors(found, class_factors(found, 0.5)), of_image)


def test_repeats_are_the_factors_on_average_and_their_number_does_not_change():
    factors = np.random.default_rng(0).uniform(1, 3, 40)
    rng = np.random.default_rng(1)
    drawn = np.array([repeats(factors, rng) for _ in range(3000)])
    assert (drawn.sum(axis=1) == math.ceil(factors.sum())).all()
    scaled = factors * math.ceil(factors.sum()) / factors.sum()
    assert (np.abs(drawn - scaled) < 1 + 1e-9).all()
    assert drawn.min() == 1
    np.testing.assert_allclose(drawn.mean(axis=0), scaled, atol=0.04)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_share_an_epoch_that_seed_and_epoch_decide(world):
    factors = np.where(np.arange(20) < 4, 2.5, 1.0)
    ranks = [TrainSampler(20, 7, None, rank, world, 8, factors) for rank in range(world)]
    epochs = [[list(rank) for rank in ranks if not rank.set_epoch(e)] for e in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    assert {len(share) for share in epochs[0]} == {len(rank) for rank in ranks}
    keys = {(key.image, key.repeat) for share in epochs[0] for key in share}
    times = Counter(image for image, _ in keys)
    assert sum(times.values()) == 26  # 4 * 2.5 + 16
    assert all(times[i] in (2, 3) if i < 4 else times[i] == 1 for i in range(20))
    assert all(p < 20 for share in epochs[0] for key in share for p in key.partners)


def test_what_is_left_of_an_epoch_is_its_end():
    sampler = TrainSampler(20, 7, pool=8, factors=np.linspace(1, 3, 20))
    whole = list(sampler)
    for done in (3, 8, 21):
        sampler.skip(done)
        assert list(sampler) == whole[done:]


def test_factors_of_one_are_the_sampler_without():
    plain, ours = (TrainSampler(13, 3, factors=factors) for factors in (None, np.ones(13)))
    assert Counter(key.image for key in ours) == Counter(key.image for key in plain)
    assert len(ours) == len(plain)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("data") / "shapes", train=10, val=2, image_size=64)


def test_loaders_repeat_with_other_augmentations(shapes):
    settings = {"image_size": 64, "batch_size": 4, "num_workers": 0}
    module = DetectionDataModule(shapes, *PATHS, repeat_threshold=1.0, **settings)
    module.setup("fit")
    loader = module.train_dataloader()
    batches = list(loader)
    annotations = module.annotations("train")
    factors = image_factors(annotations, class_factors(annotations, 1.0))
    assert sum(len(batch.infos) for batch in batches) == math.ceil(factors.sum() - 1e-6)
    assert len(batches) == len(loader)
    assert loader.state_dict()["pictures"] == math.ceil(factors.sum() - 1e-6)
    dataset, seen = loader.dataset, list(loader.sampler)
    again = next(key for key in seen if key.repeat)
    rngs = []
    object.__setattr__(
        dataset, "augmentation", lambda draw, *a, rng, **k: rngs.append(rng.random()) or draw(a[0])
    )
    for repeat in (0, again.repeat):
        dataset.sample(again._replace(repeat=repeat))
    assert rngs[0] != rngs[1]


def test_shards_are_not_repeated(tmp_path):
    with pytest.raises(UserError, match=r"data\.repeat_threshold .* shards"):
        StreamDataModule(tmp_path, *PATHS, repeat_threshold=0.1)


def test_images_without_any_object_teach_that_there_is_none(shapes):
    """Batches of negatives alone have a loss of classes only, with finite gradients."""
    module = DetectionDataModule(shapes, *PATHS, image_size=64, batch_size=4, num_workers=0)
    module.setup("fit")
    train = module.annotations("train")
    train.crowd[:] = True  # Crowds are no objects of a training.
    batch = next(iter(module.train_dataloader()))
    assert not batch.targets.valid.any()
    torch.manual_seed(0)
    detector = create_model("gelan_t", num_classes=4).train()
    output = DetectionLoss(TaskAlignedAssigner(10, 0.5, 6.0))(
        detector(batch.images.float() / 255), batch.targets
    )
    output.total.backward()
    assert output.main.box == output.main.dfl == 0 < output.main.cls
    gradients = [p.grad for p in detector.parameters() if p.grad is not None]
    assert all(g.isfinite().all() for g in gradients)
    assert any(g.abs().sum() > 0 for g in gradients)
