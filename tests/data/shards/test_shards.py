"""Shards: what goes in comes out, from a folder or a store, and damage is told."""

import json
import os
import subprocess
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import fsspec
import numpy as np
import pytest

from yolov9_lit.data.__main__ import main
from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.images import UnreadableImage
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.shards import files as shard_files
from yolov9_lit.data.shards.files import ShardCache
from yolov9_lit.data.shards.index import Members, write_index
from yolov9_lit.data.shards.reader import open_shards
from yolov9_lit.data.shards.writer import write_shards
from yolov9_lit.errors import UserError

COUNT = 30


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("shapes") / "set", train=COUNT, val=4, image_size=64)


def shard(shapes, out, **options):
    annotations = shapes / "annotations" / "instances_train2017.json"
    arguments = {"shard_bytes": 10_000, "seed": 1} | options
    return write_shards(annotations, shapes / "train2017", out, **arguments)


@pytest.fixture(scope="session")
def sharded(shapes, tmp_path_factory):
    out = tmp_path_factory.mktemp("shards") / "train"
    shard(shapes, out)
    return out


def opened(place, folder, limit=10**9):
    return open_shards(str(place), ShardCache(folder, limit))


def same_objects(first, second):
    """Two images' objects are equal, outlines included."""
    for name in ("boxes", "labels", "crowd"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    for ours, theirs in zip(first.polygons, second.polygons, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_what_goes_in_comes_out(shapes, sharded, tmp_path):
    source = shapes / "annotations" / "instances_train2017.json"
    before, after = read_coco(source, shapes / "train2017"), opened(sharded, tmp_path).annotations
    assert after.categories == before.categories
    assert list(after.image_ids) != list(before.image_ids)
    assert sorted(after.image_ids) == sorted(before.image_ids)
    for index, image_id in enumerate(after.image_ids):
        there = int(np.flatnonzero(before.image_ids == image_id)[0])
        assert after.images.encoded(index) == before.images.encoded(there)
        assert tuple(after.sizes[index]) == tuple(before.sizes[there])
        same_objects(after.objects(index), before.objects(there))


def test_any_reader_of_webdataset_can_read_them(shapes, sharded):
    content = json.loads((shapes / "annotations" / "instances_train2017.json").read_text())
    expected = {image["id"]: image for image in content["images"]}
    shards = sorted(sharded.glob("*.tar"))
    assert len(shards) > 3
    keys = []
    for path in shards:
        with tarfile.open(path) as tar:
            names = tar.getnames()
            for member, record in zip(names[::2], names[1::2], strict=True):
                assert member.rsplit(".", 1)[0] == record.removesuffix(".json")
                keys.append(member)
                entry = json.loads(tar.extractfile(record).read())
                image = entry["image"]
                assert image == expected.pop(image["id"])
                original = (shapes / "train2017" / image["file_name"]).read_bytes()
                assert tar.extractfile(member).read() == original
                objects = [a for a in content["annotations"] if a["image_id"] == image["id"]]
                assert entry["annotations"] == objects
    assert not expected
    assert keys == [f"{i:09d}.jpg" for i in range(COUNT)]


def test_an_interrupted_call_is_taken_up(shapes, sharded, tmp_path, monkeypatch):
    written = []
    write = sys.modules["yolov9_lit.data.shards.writer"].write_shard

    def stopping(path, members):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path.name)
        write(path, members)

    monkeypatch.setattr("yolov9_lit.data.shards.writer.write_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        shard(shapes, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    written[:] = ["a", "b", "c", "d"]
    report = shard(shapes, tmp_path / "out")
    assert len(written) == report.shards + 4 - 3, "those that were there are kept"
    for path in sharded.rglob("*.*"):
        twin = tmp_path / "out" / path.relative_to(sharded)
        assert path.read_bytes() == twin.read_bytes(), path.name
    assert shard(shapes, tmp_path / "out") == report
    with pytest.raises(UserError, match="holds something else: delete it or choose another out"):
        shard(shapes, tmp_path / "out", seed=2)


def test_images_that_are_not_there_are_left_out_and_told(shapes, tmp_path, caplog):
    copy = tmp_path / "pictures"
    copy.mkdir()
    for path in (shapes / "train2017").iterdir():
        os.link(path, copy / path.name)
    (copy / "000002.jpg").unlink()
    (copy / "000003.jpg").unlink()
    (copy / "000003.jpg").touch()
    annotations = shapes / "annotations" / "instances_train2017.json"
    arguments = [f"annotations={annotations}", f"images={copy}", f"out={tmp_path / 'out'}"]
    assert main(["shard", *arguments, "shard_mb=1"]) == 0
    assert "1 image is missing and left out (000002.jpg)" in caplog.text
    assert "1 image is empty and left out (000003.jpg)" in caplog.text
    content = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert len(content["images"]) == COUNT - 2
    assert not {2, 3} & {a["image_id"] for a in content["annotations"]}
    ours = opened(tmp_path / "out", tmp_path).annotations
    assert len(ours) == COUNT - 2
    assert sum(count for kind, count in ours.faults.items() if "images are" in kind) == 2


def test_the_command_finds_the_splits_of_a_root(shapes, tmp_path, capsys):
    assert main(["shard", f"root={shapes}", f"out={tmp_path / 'out'}"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"train2017", "val2017"}
    assert main(["shard", f"out={tmp_path}"]) == 2
    assert "either root, or annotations and images" in capsys.readouterr().err
    assert main(["shard", f"root={shapes}", f"out={tmp_path / 'new'}", "shard_mb=0"]) == 2
    assert "shard_mb=0 is not valid: give a whole number" in capsys.readouterr().err


def test_damage_is_told(shapes, tmp_path):
    shard(shapes, tmp_path / "out")
    path = tmp_path / "out" / "000001.tar"
    content = bytearray(path.read_bytes())
    content[700] ^= 1  # Inside the first image, whose header has 512 bytes.
    path.write_bytes(content)
    annotations = opened(tmp_path / "out", tmp_path).annotations
    first = int(annotations.images.firsts[1])
    with pytest.raises(UnreadableImage, match=rf"000001\.tar/{first:09d} is not what was written"):
        annotations.images.encoded(first)
    annotations.images.encoded(first + 1)
    path.write_bytes(content[:-1000])
    with pytest.raises(UserError, match=r"000001\.tar has .* bytes, not .*: copy the folder again"):
        opened(tmp_path / "out", tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=r"000001\.tar is missing as"):
        opened(tmp_path / "out", tmp_path)
    (tmp_path / "out" / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        opened(tmp_path / "out", tmp_path)
    with pytest.raises(UserError, match=r"nowhere/manifest\.json cannot be read"):
        opened(tmp_path / "nowhere", tmp_path)


@pytest.fixture
def stored(sharded):
    """The shards in a store, and how often each file was fetched from it."""
    memory = fsspec.filesystem("memory")
    memory.put(str(sharded), "/bucket", recursive=True)
    counts = {}
    get = type(memory).get_file

    def get_file(self, path, target, **kwargs):
        name = Path(path).name
        counts[name] = counts.get(name, 0) + 1
        return get(self, path, target, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(memory), "get_file", get_file)
        yield counts
    memory.rm("/bucket", recursive=True)


def held(folder):
    return sum(path.stat().st_size for path in folder.rglob("*.tar"))


def test_a_store_is_read_through_a_cache_under_its_limit(sharded, stored, tmp_path):
    sizes = [path.stat().st_size for path in sharded.glob("*.tar")]
    limit = 2 * max(sizes)
    assert sum(sizes) > 2 * limit
    ours = opened("memory://bucket", tmp_path, limit).annotations
    theirs = opened(sharded, tmp_path).annotations
    for index in range(COUNT):
        assert ours.images.encoded(index) == theirs.images.encoded(index)
        same_objects(ours.objects(index), theirs.objects(index))
        assert held(tmp_path) <= limit
    fetched = {name: count for name, count in stored.items() if name.endswith(".tar")}
    assert fetched == {path.name: 1 for path in sharded.glob("*.tar")}, "in order: each once"
    ours.images.encoded(0)
    assert stored["000000.tar"] == 2, "it had made room"
    assert not list(tmp_path.rglob("*.part")) + list(tmp_path.rglob("*.reserved"))


def test_threads_share_a_fetched_shard_and_survive_eviction(sharded, stored, tmp_path):
    limit = 2 * max(path.stat().st_size for path in sharded.glob("*.tar"))
    images = opened("memory://bucket", tmp_path, limit).annotations.images
    expected = [opened(sharded, tmp_path).annotations.images.encoded(i) for i in range(COUNT)]
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(images.encoded, [0] * 16)) == {expected[0]}
        assert stored["000000.tar"] == 1
        order = np.random.default_rng(0).integers(0, COUNT, 100)
        found = list(threads.map(images.encoded, order.tolist()))
    assert found == [expected[i] for i in order]


def test_a_fetch_is_tried_again_and_a_wrong_one_refused(sharded, stored, tmp_path, monkeypatch):
    monkeypatch.setattr(shard_files.time, "sleep", lambda seconds: None)
    memory = fsspec.filesystem("memory")
    get = type(memory).get_file
    faults = [OSError("reset"), None]

    def unsteady(self, path, target, **kwargs):
        fault = faults.pop() if path.endswith(".tar") and faults else None
        if fault:
            raise fault
        get(self, path, target, **kwargs)

    monkeypatch.setattr(type(memory), "get_file", unsteady)
    images = opened("memory://bucket", tmp_path).annotations.images
    assert images.encoded(0)
    memory.pipe("/bucket/000001.tar", b"something else")
    with pytest.raises(
        UserError, match=r"memory://bucket/000001\.tar cannot be fetched \(it is not"
    ):
        images.encoded(int(images.firsts[1]))
    assert len(list(tmp_path.rglob("*.tar"))) == 1
    assert not list(tmp_path.rglob("*.part")) + list(tmp_path.rglob("*.reserved"))
    with pytest.raises(UserError, match=r"none/manifest\.json cannot be read"):
        opened("memory://none", tmp_path)


def test_what_a_killed_process_left_makes_room(tmp_path):
    """Reservations of the dead are found by their lock being free."""
    cache = ShardCache(tmp_path, 100)
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.tar.reserved").write_text("90")
    (folder / "a.tar.1.part").write_bytes(b"1" * 50)
    cache.fetched(folder / "b.tar", 60, lambda path: path.write_bytes(b"2" * 60))
    assert {path.name for path in folder.glob("*") if path.suffix != ".lock"} == {"b.tar"}
    busy = threading.Event()
    done = threading.Event()

    def slow(path):
        busy.set()
        done.wait(10)
        path.write_bytes(b"3" * 40)

    with ThreadPoolExecutor(1) as threads:
        fetching = threads.submit(cache.fetched, folder / "c.tar", 40, slow)
        busy.wait(10)
        cache.fetched(folder / "d.tar", 60, lambda path: path.write_bytes(b"4" * 60))
        assert (folder / "c.tar.reserved").exists(), "it is being fetched"
        done.set()
        fetching.result()
    assert {path.name for path in folder.glob("*.tar")} == {"c.tar", "d.tar"}


def test_what_ends_while_room_is_counted_is_counted(tmp_path, monkeypatch):
    """A shard whose reservation goes and whose file comes during the count is still there."""
    cache = ShardCache(tmp_path, 100)
    folder = tmp_path / "set"
    cache.fetched(folder / "old.tar", 40, lambda path: path.write_bytes(b"0" * 40))
    began, may_end = threading.Event(), threading.Event()

    def slow(path):
        began.set()
        may_end.wait(10)
        path.write_bytes(b"1" * 40)

    def ends_meanwhile(path, use=shard_files._use):
        if path.suffix == ".reserved":
            may_end.set()
            wait([fetching], timeout=0.5)
        return use(path)

    with ThreadPoolExecutor(1) as threads:
        fetching = threads.submit(cache.fetched, folder / "a.tar", 40, slow)
        began.wait(10)
        monkeypatch.setattr(shard_files, "_use", ends_meanwhile)
        cache.fetched(folder / "b.tar", 40, lambda path: path.write_bytes(b"2" * 40))
        fetching.result()
    assert {path.name for path in folder.glob("*.tar")} == {"a.tar", "b.tar"}


MILLION = """
import re, sys
from pathlib import Path
from yolov9_lit.data.shards.reader import open_shards
from yolov9_lit.data.shards.files import ShardCache
from yolov9_lit.data.shards.windows import WindowSampler

def own_memory():  # what is mapped from files can be dropped and is shared
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

for folder in sys.argv[1:]:
    before = own_memory()
    shards = open_shards(folder, ShardCache(Path(folder), 1))
    sampler = iter(WindowSampler(shards.annotations.images.firsts, 8, 0))
    for _ in range(5000):
        shards.annotations.objects(next(sampler).image)
    print(own_memory() - before)
"""


def fake_index(folder, count):
    """An index of that many images with five objects each, without shards."""
    rng = np.random.default_rng(0)
    objects = 5 * count
    annotations = Annotations(
        path=folder,
        images=None,
        categories=(Category(1, "a"),),
        image_ids=np.arange(count),
        sizes=np.full((count, 2), 640, np.int32),
        boxes=rng.random((objects, 4), dtype=np.float32),
        labels=np.zeros(objects, np.int64),
        crowd=np.zeros(objects, bool),
        offsets=np.arange(0, objects + 1, 5),
        polygons=FlatPolygons(
            np.zeros((0, 2), np.float32), np.zeros(1, int), np.zeros(objects + 1, int)
        ),
        keypoints=np.zeros((objects, 0, 3), np.float32),
        layout=None,
    )
    zeros = np.zeros(count, np.int64)
    names = write_index(folder, annotations, Members(zeros, zeros, zeros.astype(np.uint32)))
    sums = {name: ((folder / name).stat().st_size, "") for name in names}
    shards = {f"{i:06d}.tar": 1000 for i in range(count // 1000)}
    for name in shards:
        (folder / name).touch()
        sums[name] = (0, "")
    content = {"version": 3, "plan": {}, "categories": [[1, "a"]], "keypoints": None}
    content |= {"shards": shards, "files": sums, "faults": {}}
    (folder / "manifest.json").write_text(json.dumps(content))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory apart on Linux")
def test_memory_does_not_grow_with_the_images(tmp_path):
    """The index of a million images has 180 MB; of shards' names and sums alone 1 kB a shard."""
    folders = []
    for count in (10_000, 10_000, 1_000_000):  # The first is there to load what Python loads late.
        folders.append(tmp_path / f"{count}-{len(folders)}")
        folders[-1].mkdir()
        fake_index(folders[-1], count)
    command = [sys.executable, "-c", MILLION, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, few, many = map(int, done.stdout.split())
    assert many - few < 4_000, "kB"
