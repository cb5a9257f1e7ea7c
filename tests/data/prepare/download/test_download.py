"""Downloads from a publisher that drops, corrupts, lies, refuses and changes its files."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

import numpy as np
import pytest
import yaml
from filelock import FileLock
from publisher import zipped

from yolov9_lit.data.__main__ import main
from yolov9_lit.data.prepare.download.catalog import read_catalog
from yolov9_lit.data.prepare.download.download import download, need
from yolov9_lit.errors import UserError

SPLITS = ("train", "notes")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def get(data, root, splits=SPLITS, **kwargs):
    told = []
    download(data, root, splits, lambda *news: told.append(news), **kwargs)
    return told


def holds(root, files):
    """The folder has these files, and nothing else that a user sees."""
    found = {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] != ".download"
    }
    left = {path.name for path in (root / ".download").rglob("*")} - {"lock"}
    return found == files and not left


def without_checksums(data):
    plain = {k: dataclasses.replace(a, checksum="") for k, a in data.archives.items()}
    return dataclasses.replace(data, archives=plain)


def test_a_data_set_arrives_whole(publisher, data, files, tmp_path):
    told = get(data, tmp_path / "new/root")
    assert holds(tmp_path / "new/root", files)
    assert len(publisher.requests) == 2
    sizes = {what: total for what, _, total in told}
    assert sizes["train.zip: fetched"] == data.archives["train"].bytes
    assert ("train.zip: unpacked", *[data.archives["train"].unpacked] * 2) in told


def test_what_is_there_is_passed_over(publisher, data, files, tmp_path):
    get(data, tmp_path, ("notes",))
    assert set(os.listdir(tmp_path)) == {"notes", ".download"}
    get(data, tmp_path)
    assert [path for path, _ in publisher.requests] == [
        "/data/zips/notes.zip",
        "/data/zips/train.zip",
    ]
    (tmp_path / "train/3.jpg").unlink()
    (tmp_path / "train/4.jpg").write_bytes(b"half")
    get(data, tmp_path)
    assert holds(tmp_path, files)


@pytest.mark.parametrize("whole", [False, True])
def test_dropped_connections(publisher, data, files, tmp_path, whole, no_pauses):
    """Random drops; a server that ignores ranges gets further at every third try."""
    size = data.archives["train"].bytes
    rng = np.random.default_rng(0)
    drops = [int(v) for v in rng.integers(0, size // 8, 12)]
    if whole:
        drops = [size * i // 12 for i in range(1, 12) for _ in range(3)]
    publisher.faults = [{"drop": drop, "whole": whole} for drop in drops]
    get(data, tmp_path, ("train",))
    assert holds(tmp_path, {k: v for k, v in files.items() if k.startswith("train")})
    ranges = [int(asked[6:-1]) for _, asked in publisher.requests if asked]
    assert len(ranges) >= 5
    if not whole:
        assert ranges == sorted(ranges)
        assert sum(drops[: len(publisher.requests) - 1]) == ranges[-1]


def test_pauses_grow_and_a_dead_server_is_told(publisher, data, tmp_path, no_pauses):
    publisher.faults = [{"drop": 20_000}] + [{"status": 503}] * 20
    with pytest.raises(UserError, match=r"train\.zip answers 503 .*8 times in a row: the same"):
        get(data, tmp_path, ("train",))
    growing = no_pauses[1:]
    assert growing == [min(2.0**i, 60) for i in range(len(growing))]
    publisher.faults = [{"status": 429}, {"status": 500}]
    get(data, tmp_path, ("train",))
    assert publisher.requests[-1][1] == "bytes=20000-"


def test_a_missing_file_is_told_at_once(publisher, data, tmp_path):
    del publisher.files["zips/train.zip"]
    with pytest.raises(UserError, match=r"zips/train\.zip answers 404 Not Found: check"):
        get(data, tmp_path)
    assert len(publisher.requests) == 1


def test_no_server(data, tmp_path):
    nowhere = dataclasses.replace(data, url="http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/zips/train\.zip is out of reach"):
        get(nowhere, tmp_path)


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("times", [1, 2])
def test_corrupt_bytes(publisher, data, files, tmp_path, checksum, times, caplog):
    """Found by the checksum, or else by the archive's own CRCs; once is mended, twice is told."""
    data = data if checksum else without_checksums(data)
    publisher.faults = [{"flip": 5_000}] * times
    if times == 1:
        get(data, tmp_path)
        assert holds(tmp_path, files)
        assert "it is fetched once more" in caplog.text
    else:
        with pytest.raises(UserError, match=r"train\.zip is not as published .*: give a mirror"):
            get(data, tmp_path)
        assert not (tmp_path / "train").exists()
        assert len(publisher.requests) == 2


def test_a_file_that_changes_between_tries(publisher, data, files, tmp_path):
    """The checksum finds the patchwork."""
    good = publisher.files["zips/train.zip"]
    publisher.files["zips/train.zip"] = bytes(len(good))
    publisher.faults = [{"drop": 30_000}] + [{"status": 503}] * 8
    with pytest.raises(UserError, match="503"):
        get(data, tmp_path, ("train",))
    publisher.files["zips/train.zip"] = good
    publisher.requests.clear()
    get(data, tmp_path, ("train",))
    assert holds(tmp_path, {k: v for k, v in files.items() if k.startswith("train")})
    assert [asked for _, asked in publisher.requests] == ["bytes=30000-", ""]


def test_empty_files_are_unpacked(publisher, data, tmp_path):
    content = zipped({"train/0.jpg": b"x", "train/1.txt": b""})
    publisher.files["zips/train.zip"] = content
    train = dataclasses.replace(data.archives["train"], bytes=len(content), files=2, checksum="")
    get(dataclasses.replace(data, archives={"train": train}), tmp_path, ("train",))
    assert holds(tmp_path, {"train/0.jpg": b"x", "train/1.txt": b""})


@pytest.mark.parametrize("lie", [-1_000, 1_000])
def test_lies_about_the_length(publisher, data, files, tmp_path, lie):
    true = data.archives["train"].bytes
    publisher.faults = [{"length": true + lie}]
    get(data, tmp_path)
    assert holds(tmp_path, files)
    shutil.rmtree(tmp_path / "train")
    publisher.faults = [{"length": true + lie}] * 2
    with pytest.raises(UserError, match=rf"has {true + lie:,} bytes, not {true:,}"):
        get(data, tmp_path)


def test_more_than_promised_is_never_written(publisher, data, tmp_path):
    publisher.files["zips/train.zip"] += bytes(100_000)
    with pytest.raises(UserError, match="not as published"):
        get(data, tmp_path, ("train",))
    assert not list((tmp_path / ".download").glob("train*zip"))


def test_room_is_asked_for_before_anything_is_fetched(publisher, data, tmp_path, monkeypatch):
    train, notes = data.archives["train"], data.archives["notes"]
    wanted = need(data, tmp_path, SPLITS)
    assert wanted.fetch == train.bytes + notes.bytes
    assert wanted.room == train.bytes + train.unpacked + train.files * 4096
    kept = need(data, tmp_path, SPLITS, keep=True)
    assert kept.room == 2 * (train.bytes + notes.bytes) - overhead(train, notes) + 14 * 4096
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, wanted.room - 1))
    with pytest.raises(UserError, match=rf"bytes free, but {wanted.room:,} are needed"):
        get(data, tmp_path)
    assert not publisher.requests
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, wanted.room))
    get(data, tmp_path)


def overhead(*archives):
    return sum(archive.bytes - archive.unpacked for archive in archives)


def test_no_more_disk_than_said(data, tmp_path):
    most = 0

    def measure(*_):
        nonlocal most
        sizes = [path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()]
        most = max(most, sum(sizes))

    wanted = need(data, tmp_path, SPLITS)
    download(data, tmp_path, SPLITS, measure)
    assert 0 < most <= wanted.room


def test_a_full_disk_is_told_and_made_good(publisher, data, files, tmp_path, largest_file):
    words = r"train\.zip\.part cannot be written .*make room for"
    with largest_file(50_000), pytest.raises(UserError, match=words):
        get(data, tmp_path)
    get(data, tmp_path)
    assert holds(tmp_path, files)
    assert publisher.requests[1][1] == "bytes=50000-"


def test_archives_are_kept_on_request_and_used(publisher, data, files, tmp_path):
    get(data, tmp_path, ("train",), keep=True)
    assert (tmp_path / "train.zip").read_bytes() == publisher.files["zips/train.zip"]
    shutil.rmtree(tmp_path / "train")
    get(data, tmp_path, ("train",))
    assert len(publisher.requests) == 1
    assert (tmp_path / "train.zip").is_file()
    assert (tmp_path / "train/0.jpg").read_bytes() == files["train/0.jpg"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "train/../../evil", "..\\evil"])
def test_paths_out_of_the_folder_are_refused(publisher, data, tmp_path, name):
    content = zipped({"train/1.jpg": b"x", name: b"evil"})
    publisher.files["zips/train.zip"] = content
    train = dataclasses.replace(data.archives["train"], bytes=len(content), files=1, checksum="")
    with pytest.raises(UserError, match=r"train\.zip holds .*evil.*: do not trust"):
        get(dataclasses.replace(data, archives={"train": train}), tmp_path / "root", ("train",))
    assert not list(tmp_path.rglob("evil*"))
    assert not (tmp_path / "root/train").exists()


def test_one_process_at_a_time(data, tmp_path):
    (tmp_path / ".download").mkdir()
    with (
        FileLock(tmp_path / ".download/lock"),
        pytest.raises(UserError, match="Another process downloads to"),
    ):
        get(data, tmp_path)


def test_a_kill_at_the_very_end_leaves_no_archive(publisher, data, files, tmp_path):
    get(data, tmp_path)
    (tmp_path / ".download/train.zip").write_bytes(b"as good as deleted")
    (tmp_path / ".download/train.zip.files").mkdir()
    get(data, tmp_path)
    assert holds(tmp_path, files)


def described(data, path):
    archives = {name: dataclasses.asdict(a) for name, a in data.archives.items()}
    path.write_text(
        yaml.safe_dump({"url": "http://nowhere.invalid", "archives": archives}, sort_keys=False)
    )
    return path


@pytest.mark.parametrize("moment", ["fetching", "unpacking"])
def test_a_killed_process_is_gone_on_with(publisher, data, files, tmp_path, moment):
    root = tmp_path / "root"
    command = [sys.executable, "-m", "yolov9_lit.data", "download", f"url={publisher.url}/"]
    command += [f"name={described(data, tmp_path / 'own.yaml')}", f"root={root}"]
    publisher.faults = [{"hold": 90_000}] if moment == "fetching" else []
    if moment == "unpacking":  # As a kill there leaves it: some files whole, one in the making.
        draft = root / ".download/train.zip.files/train"
        draft.mkdir(parents=True)
        (root / ".download/train.zip").write_bytes(publisher.files["zips/train.zip"])
        (draft / "0.jpg").write_bytes(files["train/0.jpg"])
        (draft / "1.jpg.1.part").write_bytes(files["train/1.jpg"][:99])
    else:
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.getcwd()})
        part = root / ".download/train.zip.part"
        while not part.is_file() or part.stat().st_size < 50_000:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert main(command[3:]) == 0
    if moment == "fetching":
        assert publisher.requests[1][1].startswith("bytes=")
        assert int(publisher.requests[1][1][6:-1]) >= 50_000
    else:
        assert [path for path, _ in publisher.requests] == ["/data/zips/notes.zip"]
    assert holds(root, files)


def test_the_command(publisher, data, files, tmp_path, capsys):
    name = described(data, tmp_path / "own.yaml")
    arguments = ["download", f"name={name}", f"url={publisher.url}", f"root={tmp_path / 'r'}"]
    assert main([*arguments, "splits=notes", "keep=true"]) == 0
    out = capsys.readouterr().out
    assert "notes.zip" in out
    assert "to fetch, up to" in out
    assert set(os.listdir(tmp_path / "r")) == {"notes", "notes.zip", ".download"}
    for wrong, words in (
        (["splits=test"], "splits=test is unknown: choose from train, notes"),
        (["url=ftp://x"], "neither http"),
        (["name=imagenet"], "name=imagenet is unknown: choose coco"),
    ):
        given = [*arguments, *wrong]
        assert main(given) == 2
        err = capsys.readouterr().err
        assert words in err.replace("\n", " ")
    name.write_text("archives: {train: {path: x}}")
    assert main(arguments) == 2
    assert "describes no download" in capsys.readouterr().err


def test_coco_is_described():
    coco = read_catalog("coco")
    assert [a.name for a in coco.choose(("annotations", "val"))] == [
        "val2017.zip", "annotations_trainval2017.zip"
    ]  # fmt: skip
    for archive in coco.archives.values():
        algorithm, _, digest = archive.checksum.partition(":")
        assert len(digest) == 2 * hashlib.new(algorithm).digest_size
    assert json.dumps(coco.archives["val"].bytes) == "815585330"
