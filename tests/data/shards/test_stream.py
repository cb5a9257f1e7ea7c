"""The data module of shards: every image once an epoch, from a folder and from a store."""

import functools
import threading
from collections import Counter
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from filelock import FileLock
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.shards.writer import write_shards
from yolov9_lit.errors import UserError

TRAIN, VAL = 37, 6


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A data set in COCO format and the same in shards of about four images."""
    root = tmp_path_factory.mktemp("stream")
    make_shapes(root / "coco", train=TRAIN, val=VAL, image_size=64)
    for split in ("train2017", "val2017"):
        annotations = root / "coco" / "annotations" / f"instances_{split}.json"
        images, out = root / "coco" / split, root / "shards" / split
        write_shards(annotations, images, out, shard_bytes=8_000, seed=0)
    return root


class FakeTrainer:
    max_epochs, num_devices = 6, 1

    def __init__(self, rank, world):
        self.global_rank, self.world_size = rank, world


def stream(root, *overrides, rank=0, world=1):
    base = ["data=stream", f"data.root={root}", "data.image_size=64", "data.batch_size=4"]
    base += ["data.window_shards=3", "data.num_workers=0"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("train", overrides=[*base, *overrides])
    module = instantiate(cfg.data)
    module.trainer = FakeTrainer(rank, world)
    module.setup("fit")
    return module


def batches(module, epoch):
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def ids(found):
    return [info.image_id for batch in found for info in batch.infos]


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (1, 2), (2, 0), (2, 2), (3, 0)])
def test_every_image_once_over_ranks_and_workers(folders, world, workers):
    option = f"data.num_workers={workers}"
    modules = [stream(folders / "shards", option, rank=r, world=world) for r in range(world)]
    for epoch in range(2):
        shares = [ids(batches(module, epoch)) for module in modules]
        assert len(set(map(len, shares))) == 1
        seen = Counter(image_id for share in shares for image_id in share)
        assert set(seen) == set(range(1, TRAIN + 1))
        assert sum(seen.values()) - TRAIN < world


def test_workers_make_no_difference_and_labels_belong(folders):
    alone = batches(stream(folders / "shards", "augment=paper"), 1)
    shared = batches(stream(folders / "shards", "augment=paper", "data.num_workers=2"), 1)
    for ours, theirs in zip(alone, shared, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert all(map(torch.equal, ours.targets[:3], theirs.targets[:3]))
    plain = stream(folders / "shards", "augment=none")
    coco = instantiate_coco(folders / "coco")
    expected = {info.image_id: (batch, i) for batch in coco for i, info in enumerate(batch.infos)}
    for batch in batches(plain, 0):
        for i, info in enumerate(batch.infos):
            other, k = expected[info.image_id]
            assert torch.equal(batch.images[i], other.images[k])
            boxes, others = (b.targets.boxes[j] for b, j in ((batch, i), (other, k)))
            assert torch.equal(boxes[batch.targets.valid[i]], others[other.targets.valid[k]])


def instantiate_coco(root):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        options = ["data=coco", f"data.root={root}", "data.image_size=64", "augment=none"]
        module = instantiate(compose("train", overrides=[*options, "data.num_workers=0"]).data)
    module.setup("fit")
    return list(module.train_dataloader())


def test_evaluation_reads_shards_or_plain_images(folders):
    shards = stream(folders / "shards")
    assert shards.annotation_file("val") == folders / "shards" / "val2017" / "annotations.json"
    plain = stream(
        folders / "shards",
        f"data.val_images={folders / 'coco' / 'val2017'}",
        f"data.val_annotations={folders / 'coco' / 'annotations' / 'instances_val2017.json'}",
    )
    assert plain.annotation_file("val").parent.parent == folders / "coco"
    assert sorted(ids(shards.val_dataloader())) == sorted(ids(plain.val_dataloader()))
    shards.setup("test")
    image = shards.test_image(1)
    plain.setup("test")
    assert np.array_equal(image, plain.test_image(1))


@pytest.fixture
def address(folders):
    """The shards as a web server gives them."""
    pytest.importorskip("aiohttp")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(folders / "shards"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_store_is_trained_on_from_a_small_cache(folders, address, tmp_path, workers):
    """Of 10 shards 7 find room, more than three windows of 2 and fewer than all."""
    sizes = [path.stat().st_size for path in (folders / "shards" / "train2017").glob("*.tar")]
    limit = 7 * max(sizes)
    assert sum(sizes) > limit
    cache = [f"data.shard_cache_dir={tmp_path}", f"data.shard_cache_gb={limit / 1e9}"]
    module = stream(address, *cache, f"data.num_workers={workers}", "data.window_shards=2")
    assert module.annotation_file("val").is_file()
    assert len(ids(module.val_dataloader())) == VAL
    loader = module.train_dataloader()
    local = batches(stream(folders / "shards", "data.window_shards=2"), 0)
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        found = []
        for batch in loader:
            found.append(batch)
            assert held(tmp_path) <= limit
        assert sorted(ids(found)) == list(range(1, TRAIN + 1))
        if epoch == 0:
            assert all(torch.equal(a.images, b.images) for a, b in zip(found, local, strict=True))


def held(folder):
    """Bytes of the shards in the cache; nothing is removed from it meanwhile."""
    with FileLock(folder / "cache.lock"):
        return sum(path.stat().st_size for path in folder.rglob("*.tar"))


def test_a_cache_that_is_too_small_is_told(address, tmp_path):
    with pytest.raises(UserError, match=r"shard_cache_gb is 1e-05, but train needs .* raise it"):
        stream(address, f"data.shard_cache_dir={tmp_path}", "data.shard_cache_gb=0.00001")


def test_missing_shards_are_told(folders):
    with pytest.raises(UserError, match=r"coco/train2017/manifest\.json cannot be read"):
        stream(folders / "coco")
