"""A small data set, as described and on a local server."""

import hashlib
import threading

import pytest
from publisher import Publisher, images, zipped

from yolov9_lit.data.prepare.download.catalog import Archive, DataSet


@pytest.fixture
def publisher(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Publisher()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def files():
    """What the data set should consist of."""
    return images("train", 12) | images("notes", 2)


@pytest.fixture
def data(publisher, files):
    """The data set as described, and on the server."""
    archives = {}
    for folder in ("train", "notes"):
        own = {name: data for name, data in files.items() if name.startswith(folder)}
        content = zipped(own | {"__MACOSX/x": b"junk"})
        publisher.files[f"zips/{folder}.zip"] = content
        archives[folder] = Archive(
            path=f"zips/{folder}.zip",
            bytes=len(content),
            folder=folder,
            files=len(own),
            unpacked=sum(map(len, own.values())),
            checksum="md5:" + hashlib.md5(content).hexdigest(),
        )
    return DataSet(publisher.url, archives)
