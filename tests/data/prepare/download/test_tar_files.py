"""Tar files from a publisher: two that fill one folder, damaged, hostile ones."""

import hashlib
import io
import tarfile

import pytest
from publisher import images

from yolov9_lit.data.prepare.download.catalog import Archive, DataSet, read_catalog
from yolov9_lit.data.prepare.download.download import download, need
from yolov9_lit.errors import UserError


def tarred(files, links=()):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as content:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            content.addfile(entry, io.BytesIO(data))
        for name, target in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            content.addfile(entry)
    return stream.getvalue()


def published(publisher, archives):
    """Describe tar files, by name, and put them on the server."""
    described = {}
    for name, content in archives.items():
        publisher.files[f"{name}.tar"] = content
        digest = hashlib.sha256(content).hexdigest()
        described[name] = Archive(
            f"{name}.tar", len(content), "kit", len(content), checksum=f"sha256:{digest}"
        )
    return DataSet(publisher.url, described)


def get(data, root):
    download(data, root, [*data.archives], lambda *_: None)


@pytest.fixture
def parts():
    return [images(f"kit/{part}", 5, seed) for seed, part in enumerate(("one", "two"))]


def test_two_archives_fill_one_folder(publisher, parts, tmp_path):
    contents = {name: tarred(files) for name, files in zip("ab", parts, strict=True)}
    data = published(publisher, contents)
    download(data, tmp_path, ["b"], lambda *_: None)
    assert need(data, tmp_path, ["a", "b"]).archives == [data.archives["a"]]
    get(data, tmp_path)
    for name, content in (parts[0] | parts[1]).items():
        assert (tmp_path / name).read_bytes() == content
    asked = len(publisher.requests)
    get(data, tmp_path)
    assert len(publisher.requests) == asked == 2
    (tmp_path / "kit/two/3.jpg").unlink()
    get(data, tmp_path)
    assert (tmp_path / "kit/two/3.jpg").read_bytes() == parts[1]["kit/two/3.jpg"]
    assert [path for path, _ in publisher.requests[2:]] == ["/data/b.tar"]


def test_a_damaged_one_is_fetched_again(publisher, parts, tmp_path):
    data = published(publisher, {"a": tarred(parts[0])})
    publisher.faults = [{"flip": 5_000}]
    get(data, tmp_path)
    assert (tmp_path / "kit/one/0.jpg").read_bytes() == parts[0]["kit/one/0.jpg"]
    assert len(publisher.requests) == 2


@pytest.mark.parametrize("cut", [0, 7_000, 20_000])
def test_what_is_no_whole_tar_file_is_told(publisher, parts, tmp_path, cut):
    data = published(publisher, {"a": tarred(parts[0])[:cut] + b"\1" * 600})
    with pytest.raises(UserError, match=r"a\.tar is not as published .*: give a mirror"):
        get(data, tmp_path)
    assert not (tmp_path / "kit").exists()


@pytest.mark.parametrize(
    ("files", "links"),
    [
        ({"kit/../../evil": b"x"}, ()),
        ({"/evil": b"x"}, ()),
        ({}, [("kit/evil", "/etc")]),
    ],
)
def test_what_leads_out_of_the_folder_is_refused(publisher, tmp_path, files, links):
    data = published(publisher, {"a": tarred({"kit/0.jpg": b"x"} | files, links)})
    with pytest.raises(UserError, match=r"a\.tar holds .*evil.*: do not trust"):
        get(data, tmp_path / "root")
    assert not list(tmp_path.rglob("evil*"))


def test_one_without_a_checksum_is_refused():
    with pytest.raises(ValueError, match=r"a\.tar needs a checksum"):
        Archive("a.tar", 1, "kit", 1)


def test_voc_is_described():
    archives = read_catalog("voc").archives.values()
    assert {archive.folder for archive in archives} == {"VOCdevkit"}
    assert [archive.files for archive in archives] == [None] * 3
