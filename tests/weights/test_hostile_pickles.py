"""Pickles that no honest program writes, opcode by opcode: they end at once, in a sentence or well.

Each is tried in both formats of `torch.save`, beside one storage of four floats.
"""

import pickle
import struct
import zipfile

import pytest
import torch
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

import yolov9_lit
from yolov9_lit.errors import UserError
from yolov9_lit.weights import unpickling
from yolov9_lit.weights.unpickling import StandIn, read_torch_file

FLOATS = struct.pack("<4f", 1, 2, 3, 4)
OBJECT = b"ca\nb\n)\x81"
DAG = b")q\x01" + b"h\x01\x86q\x01" * 60
"""A tuple of 2 ** 60 tuples, which are the same few."""


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    encoded = pickle.encode_long(value)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def storage(key="0", count=4, dtype="FloatStorage"):
    kind = f"ctorch\n{dtype}\n".encode()
    return b"(" + text("storage") + kind + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(size, stride, offset, of=None):
    head = b"ctorch._utils\n_rebuild_tensor_v2\n(" + (of or storage()) + number(offset)
    axes = (b"(" + b"".join(map(number, numbers)) + b"t" for numbers in (size, stride))
    return head + b"".join(axes) + b"\x89ccollections\nOrderedDict\n)RtR"


REFUSED = {
    "beyond its storage": (tensor((5,), (1,), 0), "larger than its storage"),
    "by its offset": (tensor((2,), (1,), 3), "larger than its storage"),
    "by its stride": (tensor((2, 2), (3, 1), 0), "larger than its storage"),
    "by an overflow": (tensor((2,), (2**62,), 0), "larger than its storage"),
    "before its storage": (tensor((2,), (1,), -1), "impossible shape"),
    "of negative size": (tensor((-2, -2), (1, 1), 0), "impossible shape"),
    "of endless size": (tensor((2**70,), (1,), 0), "impossible shape"),
    "less than nothing": (storage(count=-1), ""),
    "more than there is": (storage(count=2**40), "cut short|larger than the file"),
    "as two types": (storage() + storage(dtype="IntStorage") + b"\x86", "as two kinds"),
    "as two sizes": (storage() + storage(count=0) + b"\x86", "as two kinds"),
    "a key to be hashed": (b"}" + DAG + b"Ns", "a key that is no name"),
    "keys of one hash": (b"}(" + number((2**61 - 1) * 2**20) + b"Nu", "a key that is no name"),
    "a storage's endless name": (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + DAG + text("cpu") + b"K\x04tQ",
        "of an unknown kind",
    ),
    "arguments of a tensor's": (b"ctorch\nSize\n" + storage() + b"R", "too many arguments"),
    "too many arguments": (b"ctorch\nSize\n(" + b"N" * 100 + b"tR", "too many arguments"),
    "an entry of a tensor": (storage() + b"K\x00K\x01s", "changes a tensor"),
    "a sum of tensors": (storage() + b"(" + storage() + b"\x90", ""),
    "attributes of a type": (
        b"ctorch\nFloatStorage\n}" + text("x") + b"K\x01sb",
        "changes a storagetype",
    ),
    "attributes of a class": (b"ca\nb\n}" + text("x") + b"K\x01sb", "changes a type"),
    "a bytearray of 8 GB": (b"\x96" + struct.pack("<Q", 2**33), ""),
    "a frame of a terabyte": (b"\x95" + struct.pack("<Q", 2**40), ""),
    "a registered extension": (b"\x82\x01", ""),
    "many classes": (b"".join(b"ca\nb%d\n0" % i for i in range(1001)), "more classes"),
    "a screen's codes": (b"cos.\x1b[2J\nsystem\n", r"asks for os\.\[2J\.system"),
    "protocol 0": (b"(dp0\n", ""),
    "protocol 9": (b"\x80\x09N", ""),
}
READ = {
    "a tensor": (tensor((2, 2), (1, 2), 0), torch.Tensor),
    "nothing of endless size": (tensor((0, 2**62), (1, 1), 2**61), torch.Tensor),
    "a set of endless tuples": (b"\x8f(" + DAG + b"\x90", StandIn),
    "one state for many": (b"}q\x00" + b"".join([OBJECT + b"h\x00b"] * 9), StandIn),
    "a method as attribute": (OBJECT + b"}" + text("append") + b"ca\nb\nsbNa", StandIn),
    "a list of itself": (b"]q\x00h\x00a", list),
    "a deep list": (b"]" * 30_000 + b"a" * 29_999, list),
    "a deep object": ((OBJECT + b"}" + text("x")) * 9_999 + b"N" + b"sb" * 9_999, StandIn),
    "named arguments": (b"ca\nb\n)}\x92", StandIn),
    "sparse": (b"ctorch._utils\n_rebuild_sparse_tensor\n)R", StandIn),
}


def zipped(path, content, *others):
    with zipfile.ZipFile(path, "w") as archive:
        records = {"x/data.pkl": b"\x80\x02" + content + b".", "x/version": b"3\n"}
        records["x/data/0"] = FLOATS
        for name, data in [*records.items(), *others]:
            archive.writestr(name, data)
    return path


def legacy(path, content):
    header = (MAGIC_NUMBER, PROTOCOL_VERSION, {"little_endian": True})
    keys = ["0"] if storage()[:-6] in content else []
    content = content.replace(b"tQ", b"NtQ")  # No view of another storage.
    parts = [*(pickle.dumps(part, 2) for part in header), b"\x80\x02" + content + b"."]
    data = struct.pack("<q", 4) + FLOATS if keys else b""
    path.write_bytes(b"".join(parts) + pickle.dumps(keys, 2) + data)
    return path


@pytest.mark.parametrize("write", [zipped, legacy])
@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path, write, name):
    content, words = REFUSED[name]
    with pytest.raises(UserError, match=f"cannot be read as a checkpoint: .*({words})") as refused:
        read_torch_file(write(tmp_path / "x.pt", content))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("write", [zipped, legacy])
@pytest.mark.parametrize("name", READ)
def test_read(tmp_path, write, name):
    content, kind = READ[name]
    found = read_torch_file(write(tmp_path / "x.pt", content))
    assert isinstance(found, kind)
    if name == "a tensor":
        assert found.tolist() == [[1, 3], [2, 4]]


def test_records(tmp_path, monkeypatch):
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = zipped(tmp_path / "x.pt", b"N", ("x/data/0", FLOATS))
    with pytest.raises(UserError, match="holds a record twice"):
        read_torch_file(twice)
    outside = zipped(tmp_path / "y.pt", storage(key="../../secret"), ("../secret", FLOATS))
    with pytest.raises(UserError, match="cannot be read"):
        read_torch_file(outside)
    monkeypatch.setattr(unpickling, "LONGEST_PICKLE", 10_000)
    endless = zipped(tmp_path / "z.pt", b"N0" * 5_000)
    with pytest.raises(UserError, match="more than a checkpoint's objects"):
        read_torch_file(endless)


def test_a_storage_without_elements(tmp_path):
    path = legacy(tmp_path / "x.pt", storage())
    keys = pickle.dumps(["0"], 2)
    path.write_bytes(path.read_bytes().partition(keys)[0] + pickle.dumps([], 2))
    with pytest.raises(UserError, match="has no elements"):
        read_torch_file(path)


def test_modules_that_hold_one_another(tmp_path):
    """Two ways to each of 60 modules are 2 ** 60 ways to the last."""
    content = OBJECT + b"q\x01"
    for _ in range(60):
        two = b"}(" + text("a") + b"h\x01" + text("b") + b"h\x01u"
        content += OBJECT + b"}" + text("_modules") + two + b"sbq\x01"
    with pytest.raises(UserError, match="neither a checkpoint"):
        yolov9_lit.load(zipped(tmp_path / "x.pt", b"}" + text("model") + content + b"s"))


def card(model, **changes):
    fields = {"format": 1, "class_names": ["a"], "category_ids": [1], "image_size": 96}
    return fields | {"model": model} | changes


def test_a_card_runs_nothing(tmp_path):
    """Not by way of a module that one of ours imports either."""
    (tmp_path / "hubconf.py").write_text(f"def go(): open({str(tmp_path / 'ran')!r}, 'w')\n")
    hub = {"repo_or_dir": str(tmp_path), "model": "go", "source": "local"}
    for target in ("torch.hub.load", "yolov9_lit.models.layers.torch.hub.load", "this.Module"):
        content = {"card": card({"_target_": target, **hub}), "state_dict": {}}
        torch.save(content, tmp_path / "x.ckpt")
        with pytest.raises(UserError, match="as a part of a model: it is refused"):
            yolov9_lit.load(tmp_path / "x.ckpt")
    assert not (tmp_path / "ran").exists()


def test_cards_that_are_none(tmp_path):
    endless = {"_target_": "yolov9_lit.models.detector.gelan_detector"}
    endless["head"] = endless
    wide = [1]
    for _ in range(15):
        wide = [wide, wide]
    cards = {
        "its format is a Tensor": card({}, format=torch.ones(2)),
        "its class_names is a int": card({}, class_names=3),
        "no name or no id": card({}, class_names=["a", "b"]),
        "has no end": card(endless),
        "model has no end": card({"stem": wide}),
        "a Tensor as stem": card({"stem": torch.ones(2)}),
        "refers to": card({"stem": "${oc.env:HOME}"}),
        "no detector": card({"_target_": "torch.nn.Identity"}),
        "a card or weights of a wrong type": 3,
    }
    for words, content in cards.items():
        torch.save({"card": content, "state_dict": {}}, tmp_path / "x.ckpt")
        with pytest.raises(UserError, match=words):
            yolov9_lit.load(tmp_path / "x.ckpt")


def test_scripts_are_not_run(tmp_path):
    """`torch.load` runs TorchScript, which a second archive may hide from Python's `zipfile`."""
    torch.jit.save(torch.jit.script(torch.nn.Identity()), tmp_path / "script.pt")
    plain = zipped(tmp_path / "plain.pt", b"N").read_bytes()
    script = (tmp_path / "script.pt").read_bytes()
    for content in (script, plain + script, script + plain):
        (tmp_path / "x.pt").write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as a checkpoint"):
            read_torch_file(tmp_path / "x.pt")


def test_flipped_bytes_are_found(tmp_path):
    content = bytearray(zipped(tmp_path / "x.pt", tensor((4,), (1,), 0)).read_bytes())
    content[content.index(FLOATS)] ^= 1
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(UserError, match="checksums differ"):
        read_torch_file(tmp_path / "x.pt")
