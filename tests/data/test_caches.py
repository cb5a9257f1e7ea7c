"""Caches change nothing but the time, keep their limit, and belong to their data."""

import errno
import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.reduction import ForkingPickler

import cv2
import numpy as np
import psutil
import pytest
import torch

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.data.cache import ImageCache, ScaledImages, SharedArray
from yolov9_lit.data.coco.faults import warn_once
from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.images import UnreadableImage
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.samplers import TrainSampler
from yolov9_lit.errors import UserError

SIZE = 96
COUNT = 20
IMAGE_GB = SIZE * SIZE * 3 / 2**30


@pytest.fixture
def root(tmp_path):
    return make_shapes(tmp_path / "shapes", train=COUNT, val=2, image_size=120)


@pytest.fixture
def annotations(root):
    return read_coco(root / "annotations" / "instances_train2017.json", root / "train2017")


@pytest.fixture
def read(annotations):
    return ScaledImages(annotations.images, annotations.sizes, SIZE)


def refuse(index):
    raise AssertionError("it should be there")


def files(root, split):
    return f"{split}2017", f"annotations/instances_{split}2017.json"


def loader(root, **settings):
    augmentation = build(compose("train", ["augment=paper", f"data.image_size={SIZE}"]).augment)
    module = DetectionDataModule(
        root,
        *files(root, "train"),
        *files(root, "val"),
        image_size=SIZE,
        batch_size=4,
        augmentation=augmentation,
        partner_pool=8,
        **({"num_workers": 0} | settings),
    )
    module.setup("fit")
    return module.train_dataloader()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("cache", "gigabytes"),
    [("ram", 1.0), ("ram", 5 * IMAGE_GB), ("disk", 1.0), ("disk", 5 * IMAGE_GB)],
)
def test_same_batches_with_and_without(root, cache, gigabytes, workers):
    plain = loader(root, cache=None)
    cached = loader(root, cache=cache, cache_gb=gigabytes, num_workers=workers)
    for epoch in range(2):
        plain.sampler.set_epoch(epoch)
        cached.sampler.set_epoch(epoch)
        for one, other in zip(plain, cached, strict=True):
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.targets.boxes, other.targets.boxes)


def test_images_of_a_pool_are_decoded_once(annotations, read):
    """Each pool is a fifth of the images; a cache of a pool and what is read ahead suffices."""
    seen = []
    cache = ImageCache(lambda i: (seen.append(i), read(i))[1], COUNT, SIZE, 8 * IMAGE_GB)
    for key in TrainSampler(COUNT, seed=0, pool=4):
        for index in (key.image, *key.partners):
            cache(index)
    assert sorted(seen) == list(range(COUNT))


def test_pools_cover_the_epoch():
    keys = list(TrainSampler(22, seed=3, rank=1, world_size=2, pool=4))
    share = [key.image for key in keys]
    for position, key in enumerate(keys):
        assert len(key.partners) == 4
        assert key.image in key.partners
        assert set(key.partners) <= set(share)
        assert key.partners == keys[position - position % 4].partners
    assert all(len(key.partners) == 11 for key in TrainSampler(11, seed=0, pool=64))


def test_memory_of_the_cache_is_limited(read):
    cache = ImageCache(read, COUNT, SIZE, 3.5 * IMAGE_GB)
    for index in range(COUNT):
        assert np.array_equal(cache(index).image, read(index).image)
    cache.read = refuse
    for index in range(COUNT - 3, COUNT):
        cache(index)
    with pytest.raises(AssertionError):
        cache(COUNT - 4)
    with pytest.raises(UserError, match=r"data\.cache_gb=.* has no room for an image of 96"):
        ImageCache(read, COUNT, SIZE, 0.5 * IMAGE_GB)


def test_what_one_process_decodes_is_there_for_the_others(read):
    cache = ImageCache(read, COUNT, SIZE, 1.0)
    worker = multiprocessing.Process(target=cache, args=(7,))
    worker.start()
    worker.join()
    cache.read = refuse
    assert np.array_equal(cache(7).image, read(7).image)
    with pytest.raises(AssertionError):
        cache(8)


def test_a_cache_on_disk_is_one_file_that_ends_with_the_run(read, tmp_path):
    cache = ImageCache(read, COUNT, SIZE, 1.0, folder=tmp_path / "cache")
    first = {index: cache(index).image.copy() for index in range(COUNT)}
    cache.read = refuse
    assert all(np.array_equal(cache(index).image, first[index]) for index in range(COUNT))
    taken = os.fstat(cache._pixels._file.fileno())
    assert taken.st_dev == (tmp_path / "cache").stat().st_dev
    assert COUNT * IMAGE_GB <= taken.st_blocks * 512 / 2**30 < 1.1 * COUNT * IMAGE_GB
    assert not list((tmp_path / "cache").iterdir()), "a file without a name: nothing is left"


def test_a_cache_on_disk_takes_room_as_it_fills_and_keeps_its_limit(read, tmp_path):
    cache = ImageCache(read, COUNT, SIZE, 4.5 * IMAGE_GB, folder=tmp_path)
    taken = [os.fstat(cache._pixels._file.fileno()).st_blocks * 512]
    for index in range(COUNT):
        assert np.array_equal(cache(index).image, read(index).image)
        taken.append(os.fstat(cache._pixels._file.fileno()).st_blocks * 512)
    assert taken[0] == 0
    assert taken[1] < taken[4] == taken[-1] < 5 * IMAGE_GB * 2**30


def test_mistakes(read, annotations, root):
    (root / "file").write_text("")
    with pytest.raises(UserError, match=r"image cache cannot be written to .*file"):
        loader(root, cache="disk", cache_dir=root / "file")
    with pytest.raises(UserError, match=r"data\.cache=rom is not valid: give ram, disk or null"):
        loader(root, cache="rom")


def test_large_images_are_decoded_smaller(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    noisy = cv2.resize(noise, (401, 301), interpolation=cv2.INTER_CUBIC)

    class Images:
        def name(self, index):
            return "image"

        def encoded(self, index):
            return cv2.imencode(".jpg", noisy[..., ::-1])[1].tobytes()

    def scaled(size, said=(301, 401)):
        return ScaledImages(Images(), np.array([said]), size)(0)

    for size in (401, 200, 100, 50, 30):
        image, height, width = scaled(size)
        assert (height, width) == (301, 401)
        assert max(image.shape) == size
        expected = cv2.resize(noisy, image.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(image.astype(int) - expected).mean() < 8
    for said in ((3010, 4010), (301, 400), (302, 403)):  # The last two round to the same eighths.
        with pytest.raises(UnreadableImage, match="has another height and width"):
            scaled(50, said=said)


def own_memory(folder, count, workers, epochs):
    """MB that all workers have for themselves after each epoch of that many images."""
    root = make_shapes(folder / f"shapes{count}", train=count, val=2, image_size=160)
    module = DetectionDataModule(
        root, *files(root, "train"), *files(root, "val"), image_size=640, num_workers=workers
    )
    module.setup("fit")
    loader = module.train_dataloader()
    before = set(psutil.Process().children())
    used = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        for _ in loader:
            pass
        started = set(psutil.Process().children()) - before
        used.append(sum(worker.memory_full_info().uss for worker in started) / 2**20)
    return used


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # more workers than cores
def test_memory_grows_neither_with_images_and_workers_nor_with_epochs(tmp_path):
    """The cache fills with 96 MB that are shared: as each worker's own they would be 288.

    A process of its own has no memory of earlier tests, of which workers would copy parts.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        runs = [fresh.submit(own_memory, tmp_path, count, 3, 4) for count in (4, 80 + 4)]
        few, many = (run.result() for run in runs)
    assert many[-1] - few[-1] < 60
    assert many[-1] - many[1] < 30


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_cache_without_room_keeps_what_it_has(
    read, annotations, caplog, monkeypatch, tmp_path, on_disk
):
    warn_once.cache_clear()
    folder = tmp_path if on_disk else None
    cache, rows = ImageCache(read, len(annotations), SIZE, 1.0, folder=folder), []

    def reserve(file, start, size):
        rows.append((start, size))
        if len(rows) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", reserve)
    assert all((cache(i).image == read(i).image).all() for i in range(len(annotations)))
    size = SIZE * SIZE * 3
    assert rows == [(i * size, size) for i in range(len(annotations))]
    cache.read = refuse
    assert all((cache(i).image == read(i).image).all() for i in range(2))
    with pytest.raises(AssertionError):
        cache(2)
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "The image cache keeps no more images (No space left on device)."
    ]


def test_workers_without_room_to_hand_over_batches_are_refused(root, monkeypatch):
    monkeypatch.setattr("yolov9_lit.data.loader.free_memory", lambda: 1000)
    loader(root, num_workers=0)
    with pytest.raises(UserError, match=r"/dev/shm has 0 MB free, but 2 workers hand over"):
        loader(root, num_workers=2)


def test_a_shared_array_that_is_sent_to_a_process_is_the_same_memory():
    array = SharedArray((3, 4), np.int32)
    sent = pickle.loads(ForkingPickler.dumps(array))
    sent.array.ravel()[:] = np.arange(12)
    assert array.array.ravel().tolist() == list(range(12))


@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_a_full_disk_is_told_in_a_sentence(root, largest_file, monkeypatch, cache, tmp_path):
    monkeypatch.setattr("yolov9_lit.data.cache._MEMORY", tmp_path / "nowhere")
    with largest_file(8), pytest.raises(UserError, match=r"image cache cannot be written to /"):
        loader(root, cache=cache, cache_dir=tmp_path / "cache")


def test_the_state_of_a_loader_has_the_names_that_older_checkpoints_have(root):
    state = {"batches": 0, "pictures": COUNT, "ranks": 1, "as seed of the data": 0}
    assert loader(root).state_dict() == {**state, "pictures a batch": 4}
