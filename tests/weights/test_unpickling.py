"""Hostile and damaged files: nothing runs, nothing is imported, one sentence says why."""

import os
import pickle
import resource
import struct
import sys
import zipfile
from contextlib import contextmanager

import psutil
import pytest
import torch

import yolov9_lit
from yolov9_lit.errors import UserError
from yolov9_lit.weights.unpickling import StandIn, read_torch_file


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A folder that only executed code would make."""
    trap = tmp_path / "exploded"
    monkeypatch.setenv("TRAP", str(trap))
    yield trap
    assert not trap.exists()


class Calls:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Builds(Calls):
    """Pickles to a tensor whose state is set."""

    def __init__(self, tensor, state):
        self.call = (*tensor.__reduce_ex__(2), state)


def hostile(trap):
    make = Calls(os.mkdir, str(trap))
    return {
        "mkdir": make,
        "system": Calls(os.system, f"mkdir {trap}"),
        "eval": Calls(eval, f"__import__('os').mkdir({str(trap)!r})"),
        "getattr": Calls(getattr, "", "join"),
        "nested": Calls(dict, [(Calls(list, (make,)), 1)]),
        "in a tensor's hooks": Calls(torch._utils._rebuild_parameter, torch.ones(1), True, make),
        "import": Calls(__import__, "this"),
    }


FORMS = ["zip", "legacy", "bare"]


def write(path, content, form):
    if form == "bare":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", list(hostile("")))
def test_functions_are_refused(tmp_path, trap, name, form):
    path = write(tmp_path / "x.pt", {"model": hostile(trap)[name]}, form)
    refused = "" if "tensor" in name and form == "bare" else ".*refused"  # no tensors there
    with pytest.raises(UserError, match=f"cannot be read as a checkpoint: {refused}"):
        yolov9_lit.load(path)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_unknown_classes_are_empty_and_not_imported(tmp_path, monkeypatch, form):
    (tmp_path / "evil_module.py").write_text(
        "import os\n"
        "class Model:\n"
        "    def __setstate__(self, state): os.mkdir(os.environ['TRAP'])\n"
        "def call(): os.mkdir(os.environ['TRAP'])\n"
    )
    monkeypatch.setenv("TRAP", str(tmp_path / "exploded"))
    monkeypatch.syspath_prepend(str(tmp_path))
    import evil_module

    model = evil_module.Model()
    model.weight, model.calls = torch.ones(2), Calls(evil_module.call)
    path = write(tmp_path / "x.pt", [model, Calls(torch.hub.load, "a", "b")], form)
    del sys.modules["evil_module"]
    content, hub = read_torch_file(path)
    assert "evil_module" not in sys.modules
    assert isinstance(hub, StandIn)
    assert torch.equal(content.weight, torch.ones(2))
    assert isinstance(content.calls, StandIn)
    assert not (tmp_path / "exploded").exists()


def test_admitted_functions_cannot_be_changed(tmp_path):
    """BUILD may set attributes of what lies on the stack, here of the function itself."""
    build = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__name__K\x01sb."
    (tmp_path / "x.pt").write_bytes(pickle.dumps(torch.serialization.MAGIC_NUMBER, 2) + build)
    with pytest.raises(UserError, match="cannot be read"):
        read_torch_file(tmp_path / "x.pt")
    assert torch._utils._rebuild_tensor_v2.__name__ == "_rebuild_tensor_v2"


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_there_and_back(tmp_path, form):
    shared = torch.arange(6.0).view(2, 3)
    content = {"a": shared.t(), "b": shared[1], "c": [torch.nn.Parameter(shared.half()), (1, "x")]}
    content |= {"d": {1, 2}, "size": shared.shape, "empty": torch.empty(0), "none": None}
    found = read_torch_file(write(tmp_path / "x.pt", content, form))
    for name in ("a", "b", "empty"):
        assert torch.equal(found[name], content[name])
    assert torch.equal(found["c"][0], shared.half())
    assert (found["c"][1], found["size"]) == ((1, "x"), (2, 3))
    assert isinstance(found["d"], StandIn)  # a set, of no use in a checkpoint
    assert found["a"].untyped_storage().data_ptr() == found["b"].untyped_storage().data_ptr()


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_modules_keep_their_tensors(tmp_path, form):
    layer = torch.nn.Conv2d(1, 2, 3)
    found = read_torch_file(write(tmp_path / "x.pt", layer, form))
    assert isinstance(found, StandIn)
    assert torch.equal(found._parameters["weight"], layer.weight)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_truncated_files(tmp_path, form):
    whole = write(tmp_path / "x.pt", {"a": torch.ones(1000)}, form).read_bytes()
    for part in (0, 1, 10, 60, len(whole) // 2, len(whole) - 8):
        (tmp_path / "part.pt").write_bytes(whole[:part])
        with pytest.raises(UserError, match="cannot be read as a checkpoint"):
            yolov9_lit.load(tmp_path / "part.pt")


def rezip(source, target, change=lambda name, data: data, **options):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **options) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def test_zip_bombs(tmp_path):
    plain = write(tmp_path / "x.pt", {"a": torch.zeros(1000)}, "zip")
    bomb = rezip(plain, tmp_path / "bomb.pt", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="zip bomb"):
        yolov9_lit.load(bomb)
    data = bytearray(rezip(plain, tmp_path / "lie.pt").read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)
    (tmp_path / "lie.pt").write_bytes(data)
    with pytest.raises(UserError, match="zip bomb"):
        yolov9_lit.load(tmp_path / "lie.pt")


def test_sizes_that_lie(tmp_path):
    plain = write(tmp_path / "x.pt", {"a": torch.zeros(1000)}, "zip")
    cut = rezip(plain, tmp_path / "cut.pt", lambda n, d: d[:-4] if n.endswith("data/0") else d)
    with pytest.raises(UserError, match="cut short"):
        yolov9_lit.load(cut)

    def longer(name, data):  # 1000 elements of a storage of 1000 -> 250 of them, in K and M opcodes
        return data.replace(b"M\xe8\x03\x85", b"J\xe8\x03\x00\x40\x85")

    view = rezip(plain, tmp_path / "view.pt", lambda n, d: longer(n, d) if "data.pkl" in n else d)
    with pytest.raises(UserError, match="cannot be read"):
        yolov9_lit.load(view)
    old = write(tmp_path / "old.pt", {"a": torch.zeros(1000)}, "legacy").read_bytes()
    assert old.count(b"M\xe8\x03") >= 2
    (tmp_path / "old.pt").write_bytes(old.replace(b"M\xe8\x03", b"J\xe8\x03\x00\x40", 1))
    with pytest.raises(UserError, match="larger than the file"):
        yolov9_lit.load(tmp_path / "old.pt")


def test_memory_that_a_pickle_asks_for(tmp_path):
    (tmp_path / "memo.pt").write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")  # entry 2**31 of the memo
    long = b"\x80\x04\x8e" + struct.pack("<Q", 2**40)  # a string of a terabyte
    (tmp_path / "long.pt").write_bytes(long + b"x.")
    for name in ("memo.pt", "long.pt"):
        with limited_memory(), pytest.raises(UserError, match="cannot be read") as refused:
            yolov9_lit.load(tmp_path / name)
        assert "MemoryError" not in str(refused.value)
    grown = torch.zeros(1)
    state = (torch.zeros(1), 0, (2**40,), (1,))
    with pytest.raises(UserError, match="changes a tensor"):
        yolov9_lit.load(write(tmp_path / "grown.pt", [Builds(grown, state)], "zip"))
    wide = torch.zeros(1).expand(10**9)
    with pytest.raises(UserError, match="larger than its storage"):
        yolov9_lit.load(write(tmp_path / "wide.pt", {"0.x": wide}, "zip"))


@contextmanager
def limited_memory(megabytes=1024):
    """Room for so much more than is taken now."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_files_of_other_kinds(tmp_path):
    for name, content in {"text": b"text", "empty": b"", "gif": b"GIF89a" * 9}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as a checkpoint"):
            yolov9_lit.load(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(UserError, match=r"not one of torch\.save"):
        yolov9_lit.load(tmp_path / "other.zip")
