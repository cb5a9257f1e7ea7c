"""An archive whose size is not known: the server's word counts, and the checksum. VisDrone's is."""

import hashlib
from dataclasses import replace

import pytest
import yaml
from publisher import images, zipped

from yolov9_lit.building import CONFIG_DIR
from yolov9_lit.data.__main__ import main
from yolov9_lit.data.prepare.download.catalog import Archive, read_catalog
from yolov9_lit.data.prepare.download.download import download
from yolov9_lit.errors import UserError

PARTS = {"train": 4, "test-dev": 3, "val": 2}


@pytest.fixture
def files(publisher):
    """A stand-in of VisDrone's archives, on the server; a hidden file is in one of them."""
    found = {}
    for seed, (part, count) in enumerate(PARTS.items()):
        folder = f"VisDrone2019-DET-{part}"
        own = images(f"{folder}/images", count, seed) | {f"{folder}/.DS_Store": b"junk"}
        own |= {f"{folder}/annotations/{i}.txt": b"1,2,3,4,1,4,0,0" for i in range(count)}
        publisher.files[f"{folder}.zip"] = zipped(own)
        found |= own
    return found


@pytest.fixture
def described(publisher, files, tmp_path):
    """VisDrone's description, with the stand-in's numbers."""
    content = yaml.safe_load((CONFIG_DIR / "download/visdrone.yaml").read_text())
    for archive in content["archives"].values():
        data = publisher.files[archive["path"]]
        own = [name for name in files if name.startswith(f"{archive['folder']}/")]
        archive["bytes"] = archive["bytes"] and len(data)
        archive |= {"files": len(own) - 1, "unpacked": sum(len(files[name]) for name in own)}
        archive["checksum"] = "sha256:" + hashlib.sha256(data).hexdigest()
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_visdrone_arrives_whole(publisher, files, described, tmp_path, capsys):
    root = tmp_path / "root"
    command = ["download", f"name={described}", f"url={publisher.url}", f"root={root}"]
    assert main(command) == 0
    for name, content in files.items():
        assert (root / name).read_bytes() == content
    assert main(command) == 0
    paths = [path for path, _ in publisher.requests]
    assert {path: paths.count(path) for path in paths} == {
        "/data/VisDrone2019-DET-train.zip": 1,
        "/data/VisDrone2019-DET-val.zip": 1,
        "/data/VisDrone2019-DET-test-dev.zip": 2,
    }
    total = sum(len(content) for content in publisher.files.values())
    assert f"{total / 1000:.1f} kB to fetch" in " ".join(capsys.readouterr().out.split())


def get(publisher, described, root):
    download(read_catalog(str(described), publisher.url), root, ("test",), lambda *_: None)


def test_damage_is_found(publisher, described, tmp_path):
    name = "VisDrone2019-DET-test-dev.zip"
    publisher.files[name] = publisher.files[name][:-1] + b"x"
    with pytest.raises(UserError, match=r"test-dev\.zip is not as published .*sha256"):
        get(publisher, described, tmp_path)


def test_an_interrupted_one_goes_on(publisher, files, described, tmp_path):
    publisher.faults = [{}, {"drop": 20_000}, {"status": 404}]
    with pytest.raises(UserError, match="404"):
        get(publisher, described, tmp_path)
    get(publisher, described, tmp_path)
    assert publisher.requests[-1][1] == "bytes=20000-"
    name = "VisDrone2019-DET-test-dev/images/1.jpg"
    assert (tmp_path / name).read_bytes() == files[name]


def test_an_archive_that_lies_there_needs_no_server(publisher, files, described, tmp_path):
    name = "VisDrone2019-DET-test-dev.zip"
    (tmp_path / name).write_bytes(publisher.files[name])
    get(publisher, described, tmp_path)
    assert not publisher.requests
    assert (tmp_path / "VisDrone2019-DET-test-dev/annotations/2.txt").is_file()


def test_a_server_that_does_not_tell(publisher, described, tmp_path):
    publisher.faults = [{"status": 503}]
    with pytest.raises(UserError, match=r"answers 503 .*: the same command goes on later"):
        get(publisher, described, tmp_path)


def test_a_checksum_is_needed():
    with pytest.raises(ValueError, match=r"a\.zip needs its bytes or a checksum"):
        Archive("a.zip", 0, "a", 1)
    replace(Archive("a.zip", 1, "a", 1), bytes=0, checksum="md5:00")


def test_visdrone_is_described():
    archives = read_catalog("visdrone").archives
    assert [a.folder for a in archives.values()] == [f"VisDrone2019-DET-{part}" for part in PARTS]
    assert {split: archive.files for split, archive in archives.items()} == {
        "train": 2 * 6471,
        "test": 2 * 1610,
        "val": 2 * 548,
    }
    for archive in archives.values():
        algorithm, _, digest = archive.checksum.partition(":")
        assert len(digest) == 2 * hashlib.new(algorithm).digest_size
