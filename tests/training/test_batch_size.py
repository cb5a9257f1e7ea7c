"""The largest batch that fits, found by made-up memory; what trials of steps do with real one."""

import itertools
import logging
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, strategies as st
from omegaconf import OmegaConf

from yolov9_lit.app import batch_size as search_of
from yolov9_lit.app.batch_size import Search, search
from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.training.batch_size import (
    MEASURED,
    USED,
    batch_sizes,
    largest_foreseen,
    largest_tried,
)
from yolov9_lit.training.schedules import WarmupDecay
from yolov9_lit.training.trial import fits, made_up_batch

numbers = st.integers(1, 200)


@given(nominal=numbers, devices=st.integers(1, 8), images=numbers)
def test_whole_batches_make_the_recipes_update(nominal, devices, images):
    sizes = batch_sizes(nominal, devices, images)
    assert sizes == sorted(set(sizes))
    assert sizes[0] == 1
    schedule = WarmupDecay(nominal_batch=nominal)
    for size in sizes[1:]:
        assert size * devices <= min(nominal, images)
    if nominal % devices == 0:
        for size in sizes:
            assert size * devices * schedule.accumulation(size * devices) == nominal
        if nominal <= images:
            assert sizes[-1] * devices == nominal


def test_sizes_of_the_papers_recipe():
    assert batch_sizes(64, 1, 118_287) == [1, 2, 4, 8, 16, 32, 64]
    assert batch_sizes(64, 8, 118_287) == [1, 2, 4, 8]
    assert batch_sizes(64, 1, 20) == [1, 2, 4, 8, 16], "an epoch has a batch"
    assert batch_sizes(2, 4, 100) == [1], "more devices than images of an update"


@given(numbers, st.integers(1, 50), st.integers(0, 500), st.integers(0, 5000))
def test_the_largest_that_fits_is_found(nominal, each, fixed, room):
    """Memory grows by the image; trying and foreseeing find what a look at all sizes does."""
    sizes, asked = batch_sizes(nominal, 1, 200), []

    def peak(size):
        asked.append(size)
        return fixed + each * size

    expected = max((size for size in sizes if fixed + each * size <= room), default=None)
    assert largest_tried(sizes, lambda size: peak(size) <= room) == expected
    too_large = [size for size in asked if fixed + each * size > room]
    assert len(too_large) <= 1, "it ends at the first that does not fit"
    asked.clear()
    assert largest_foreseen(sizes, peak, room) == expected
    assert asked == sizes[: len(asked)]
    assert len(asked) <= MEASURED
    assert len([size for size in asked if fixed + each * size > room]) <= 1


def test_memory_that_does_not_grow_at_first_is_foreseen_by_its_steepest_growth():
    peaks = {1: 100.0, 2: 100.0, 4: 160.0}
    assert largest_foreseen([1, 2, 4, 8, 16], peaks.__getitem__, 280.0) == 8
    assert largest_foreseen([1, 2, 4, 8, 16], peaks.__getitem__, 279.0) == 4


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), False),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), False),
        (None, True),
    ],
)
def test_only_a_want_of_memory_is_an_answer(error, expected):
    def fit(module, batches):
        if error:
            raise error

    assert fits(SimpleNamespace(fit=fit), None, None) is expected


def test_any_other_error_is_not_swallowed():
    def fit(module, batches):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        fits(SimpleNamespace(fit=fit), None, None)


def test_the_batch_has_the_objects_that_are_asked_for():
    batch = made_up_batch(3, 64, 7, classes=5, channels=4)
    assert batch.images.shape == (3, 4, 64, 64)
    assert batch.images.dtype == torch.uint8
    assert batch.targets.boxes.shape == (3, 7, 4)
    assert batch.targets.valid.all()
    assert (batch.targets.boxes[..., 2:] > batch.targets.boxes[..., :2]).all()
    assert 0 <= batch.targets.boxes.min() <= batch.targets.boxes.max() <= 64
    assert batch.targets.labels.max() < 5


def test_the_masks_of_a_batch_fill_the_boxes_but_for_smaller_ones_on_top():
    targets = made_up_batch(2, 64, 5, classes=3, masks=True).targets
    assert targets.masks.shape == (2, 16, 16)
    for boxes, shown in zip(targets.boxes.tolist(), targets.masks.tolist(), strict=True):
        for row, column in itertools.product(range(16), repeat=2):
            x, y = 4 * column + 2, 4 * row + 2  # the middle of four input pixels
            holding = [k for k, (a, b, c, d) in enumerate(boxes, 1) if a <= x < c and b <= y < d]
            assert (shown[row][column] in holding) if holding else shown[row][column] == 0


@pytest.fixture
def searched(config, tmp_path):
    """Search in this process; what it silences there is heard again afterwards."""

    def make(*overrides):
        cfg = config(tmp_path, "data.batch_size=auto", "model=gelan_t", *overrides)
        return search(OmegaConf.to_container(cfg, resolve=True), None)

    yield make
    logging.disable(logging.NOTSET)


def test_on_cuda_sizes_are_tried_within_a_share_of_the_free_memory(searched, monkeypatch):
    device, limits, tried = torch.device("cuda", 1), [], []
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=device), num_devices=2)
    monkeypatch.setattr(search_of, "build_trainer", lambda *args, **kwargs: trainer)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (20e9, 40e9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *given: limits.append(given)
    )
    monkeypatch.setattr(Search, "fits", lambda self, size: tried.append(size) or size < 3)
    found = searched("schedule.nominal_batch=12")
    assert limits == [(USED / 2, device)]
    assert tried == [1, 2, 3]
    assert (found.size, found.sizes, found.free_gb) == (2, [1, 2, 3, 6], 20.0)
    assert found.updates * found.size == 12


def test_on_a_cpu_the_free_memory_bounds_the_size(searched, monkeypatch):
    monkeypatch.setattr(search_of, "available_bytes", lambda: 1000)
    monkeypatch.setattr(Search, "peak", lambda self, size: 100.0 * size)
    found = searched("schedule.nominal_batch=12")
    assert found.sizes == [1, 2, 3, 4, 6, 12]
    assert found.size == 6
    assert found.objects >= 1
    shared = searched("schedule.nominal_batch=12", "trainer.devices=2")
    assert (shared.sizes, shared.size, shared.device) == (
        [1, 2, 3, 6],
        3,
        "this machine for each of 2 processes",
    )


def test_other_commands_want_a_number():
    cfg = compose("eval", ["ckpt=x", "data.batch_size=auto", "data.image_size=64"])
    with pytest.raises(UserError, match="batch_size=auto is not valid: give a whole number"):
        build(cfg.data)
