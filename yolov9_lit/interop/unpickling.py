"""Reading files of `torch.save` without executing anything in them.

A pickle is a program: it may name any function and call it. The reader here knows tensors and
plain containers; a class that it does not know becomes an empty `StandIn` that keeps its state, no
module is ever imported for it, and a file that asks for a function of Python's own is refused.
Sizes are held against the file's before any memory is taken.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar

import torch
from torch import Tensor

from yolov9_lit.errors import UserError

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""Element types by the name that torch pickles for them."""

DATA_MODULES = {
    *("_codecs", "argparse", "collections", "copy_reg", "copyreg", "datetime", "enum", "pathlib"),
    *("types", "typing"),
}
"""Modules of Python whose values real checkpoints hold; like all others they get stand-ins."""

DATA_TYPES = {
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list"),
    *("object", "slice", "str", "tuple"),
}
"""Built-in types that may be named, likewise; other built-in names are functions."""

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

_PythonUnpickler: Any = pickle._Unpickler
"""Written in Python; the one in C takes as much memory as a file tells it to."""

_NO_PICKLE: tuple[type[Exception], ...] = (
    *(LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError),
    *(AssertionError, struct.error),
)
"""What reading bytes that are no pickle ends in."""


class StandIn:
    """An object of a class that is not known here: its state is kept, its code is not."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Take any arguments and leave them."""

    def __setstate__(self, state: Any) -> None:
        """Keep the attributes, where the state is made of them."""
        if isinstance(state, dict):
            self.__dict__.update(state)

    def append(self, item: Any) -> None:
        """Leave an item of an unknown list."""

    def extend(self, items: Any) -> None:
        """Leave the items of an unknown list."""

    def add(self, item: Any) -> None:
        """Leave an item of an unknown set."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Leave an entry of an unknown mapping."""


class _Admitted:
    """A function that a pickle may call; it has no attributes that a pickle could set."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *rest: Any) -> Tensor:
    """A view of a storage; torch refuses one that leaves its bounds."""
    if math.prod(size) > storage.numel():
        raise pickle.UnpicklingError("a tensor in it is larger than its storage")
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _parameter(data: Tensor, *rest: Any) -> Tensor:
    return data


ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Admitted(OrderedDict),
    ("torch._utils", "_rebuild_tensor_v2"): _Admitted(_tensor),
    ("torch._utils", "_rebuild_parameter"): _Admitted(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): _Admitted(_parameter),
    ("torch", "Size"): _Admitted(tuple),
    ("builtins", "set"): _Admitted(set),
    ("__builtin__", "set"): _Admitted(set),
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
}
"""What a pickle may name and gets."""


class _Unpickler(_PythonUnpickler):
    """Reads one pickle; `storage` gives the storage of (element type, key, number of elements)."""

    def __init__(self, file: IO[bytes], storage: Callable[[torch.dtype, str, int], Tensor]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def load_build(self) -> None:
        """Set an object's state; a tensor's could make it larger than the file."""
        if isinstance(self.stack[-2], Tensor):
            raise pickle.UnpicklingError("it changes a tensor")
        super().load_build()

    dispatch: ClassVar = {**_PythonUnpickler.dispatch, pickle.BUILD[0]: load_build}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a class or function; nothing is imported."""
        if (module, name) in ADMITTED:
            return ADMITTED[module, name]
        root = module.partition(".")[0]
        if root in ("builtins", "__builtin__"):
            refused = name not in DATA_TYPES
        else:
            refused = root in sys.stdlib_module_names and root not in DATA_MODULES
        if refused:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no data; refused")
        return type(name, (StandIn,), {})

    def persistent_load(self, pid: Any) -> Any:
        """The storage that torch refers to; in the old format also a class, beside its source."""
        if pid[0] == "module":
            return pid[1]
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or any(v for v in view):
            raise pickle.UnpicklingError("it refers to a storage of an unknown kind")
        return self._storage(dtype, str(key), int(count))


def read_torch_file(path: Path) -> Any:
    """What a file of `torch.save` holds: tensors, plain containers and stand-ins.

    Raises:
        UserError: the file is damaged, not of this kind, or asks for a function.
    """
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    except (OSError, EOFError, MemoryError, RecursionError) as error:
        reason = f"it is damaged ({type(error).__name__})"
    except _NO_PICKLE:
        reason = "it is no file of torch.save, or is damaged"
    raise UserError(f"{path} cannot be read as a checkpoint: {reason}.")


def _read_zip(path: Path) -> Any:
    """The format since torch 1.6: an uncompressed zip of one pickle and its storages."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        stored = all(r.compress_type == zipfile.ZIP_STORED for r in records)
        if not stored or sum(r.file_size for r in records) > path.stat().st_size:
            raise pickle.UnpicklingError("its records are larger than the file, as in a zip bomb")
        pickled = [r.filename for r in records if r.filename.endswith("/data.pkl")]
        if len(pickled) != 1:
            raise pickle.UnpicklingError("it is a zip, but not one of torch.save")
        folder = pickled[0].removesuffix("data.pkl")
        if folder + "byteorder" in archive.namelist():
            _check_byte_order(archive.read(folder + "byteorder").decode())
        storages: dict[str, Tensor] = {}

        def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
            if key not in storages:
                storages[key] = _from_bytes(archive.read(f"{folder}data/{key}"), dtype, count)
            return storages[key]

        with archive.open(pickled[0]) as file:
            return _Unpickler(file, storage).load()


def _read_legacy(path: Path) -> Any:
    """The format before torch 1.6: pickles of a header, the object and the keys; then storages."""
    content = path.read_bytes()
    storages: dict[str, Tensor] = {}

    def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
        if key not in storages:
            taken = sum(s.nbytes for s in storages.values()) + count * dtype.itemsize
            if not 0 <= taken <= len(content):
                raise pickle.UnpicklingError("its tensors are larger than the file")
            storages[key] = torch.empty(count, dtype=dtype)
        return storages[key]

    with io.BytesIO(content) as file:  # which gives no more than it has, whatever is asked for
        if _Unpickler(file, storage).load() != LEGACY_MAGIC:
            raise pickle.UnpicklingError("it is no file of torch.save")
        protocol, system = (_Unpickler(file, storage).load() for _ in range(2))
        if protocol != LEGACY_PROTOCOL:
            raise pickle.UnpicklingError(f"its protocol {protocol} is not known")
        _check_byte_order("little" if system["little_endian"] else "big")
        found = _Unpickler(file, storage).load()
        for key in _Unpickler(file, storage).load():
            target = storages[key]
            (count,) = struct.unpack("<q", file.read(8))
            data = file.read(target.nbytes)
            target.copy_(_from_bytes(data, target.dtype, count))
    return found


def _check_byte_order(order: str) -> None:
    if order != sys.byteorder:
        raise pickle.UnpicklingError(f"it was written on a {order}-endian machine")


def _from_bytes(data: bytes, dtype: torch.dtype, count: int) -> Tensor:
    """(count,) of a type; the number of bytes must be exactly right."""
    if len(data) != count * dtype.itemsize:
        raise pickle.UnpicklingError("a tensor in it is cut short")
    if not count:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=dtype)


def attribute(thing: Any, name: str) -> Any:
    """An attribute that a stand-in's pickle held, or None."""
    return vars(thing).get(name) if isinstance(thing, StandIn) else None
