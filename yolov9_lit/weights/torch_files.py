"""Reading files of `torch.save`: where their pickles and storages lie.

Sizes are held against the file's before any memory is taken.
"""

from __future__ import annotations

import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from yolov9_lit.errors import UserError
from yolov9_lit.weights.unpickling import Unpickler

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

LONGEST_PICKLE = 2**23
"""Bytes; a detector's has about a megabyte. A byte may become an object of a hundred."""

_NO_PICKLE: tuple[type[Exception], ...] = (
    *(LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError),
    *(AssertionError, struct.error),
)
"""What reading bytes that are no pickle ends in."""


def read_torch_file(path: Path) -> Any:
    """What a file of `torch.save` holds: tensors, plain containers and stand-ins.

    Raises:
        UserError: the file is damaged, not of this kind, or asks for a function.
    """
    try:
        if not path.stat().st_size:
            raise pickle.UnpicklingError("it is empty")
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
        said = "".join(filter(str.isprintable, str(error).partition("\n")[0]))[:200].rstrip(".")
        reason = said or type(error).__name__
    except (OSError, EOFError, MemoryError, RecursionError) as error:
        reason = f"it is damaged ({type(error).__name__})"
    except _NO_PICKLE:
        reason = "it is no file of torch.save, or is damaged"
    raise UserError(f"{path} cannot be read as a checkpoint: {reason}: give another file.")


class _Pickle:
    """A file that a pickle is read from: it gives no more than it may, whatever is asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = LONGEST_PICKLE

    def read(self, size: int) -> bytes:
        return self._taken(self._file.read(min(size, self._left)))

    def readline(self) -> bytes:
        return self._taken(self._file.readline(self._left))

    def _taken(self, data: bytes) -> bytes:
        self._left -= len(data)
        if not self._left:
            raise pickle.UnpicklingError("it holds more than a checkpoint's objects")
        return data


def _load(file: IO[bytes], storage: Callable[[torch.dtype, str, int], Tensor]) -> Any:
    return Unpickler(_Pickle(file), storage).load()


class _Storages(dict[str, Tensor]):
    """The storages of a file by their keys, each made when it is first referred to."""

    def __init__(self, make: Callable[[torch.dtype, str, int], Tensor]) -> None:
        super().__init__()
        self._make = make

    def __call__(self, dtype: torch.dtype, key: str, count: int) -> Tensor:
        if key not in self:
            self[key] = self._make(dtype, key, count)
        found = self[key]
        if (found.dtype, found.numel()) != (dtype, count):
            raise pickle.UnpicklingError("it refers to one storage as two kinds")
        return found


def _read_zip(path: Path) -> Any:
    """The format since torch 1.6: an uncompressed zip of one pickle and its storages."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        stored = all(r.compress_type == zipfile.ZIP_STORED for r in records)
        if not stored or sum(r.file_size for r in records) > path.stat().st_size:
            raise pickle.UnpicklingError("its records are larger than the file, as in a zip bomb")
        names = {r.filename for r in records}
        if len(names) < len(records):
            raise pickle.UnpicklingError("it holds a record twice")
        pickled = [name for name in names if name.endswith("/data.pkl")]
        if len(pickled) != 1:
            raise pickle.UnpicklingError("it is a zip, but not one of torch.save")
        folder = pickled[0].removesuffix("data.pkl")
        if folder + "byteorder" in names:
            _check_byte_order(archive.read(folder + "byteorder").decode())

        def make(dtype: torch.dtype, key: str, count: int) -> Tensor:
            return _from_bytes(archive.read(f"{folder}data/{key}"), dtype, count)

        with archive.open(pickled[0]) as file:
            return _load(file, _Storages(make))


def _read_legacy(path: Path) -> Any:
    """The format before torch 1.6: pickles of a header, the object and the keys; then storages."""
    left = path.stat().st_size

    def make(dtype: torch.dtype, key: str, count: int) -> Tensor:
        nonlocal left
        left -= max(count, 0) * dtype.itemsize
        if left < 0:
            raise pickle.UnpicklingError("its tensors are larger than the file")
        return torch.empty(count, dtype=dtype)

    storages = _Storages(make)
    with path.open("rb") as file:
        if _load(file, storages) != LEGACY_MAGIC:
            raise pickle.UnpicklingError("it is no file of torch.save")
        protocol, system = (_load(file, storages) for _ in range(2))
        if protocol != LEGACY_PROTOCOL:
            raise pickle.UnpicklingError("it is of an unknown version of torch.save")
        _check_byte_order("little" if system["little_endian"] else "big")
        found = _load(file, storages)
        _fill(storages, _load(file, storages), file)
    return found


def _fill(storages: _Storages, keys: Iterable[Any], file: IO[bytes]) -> None:
    """Read the storages' elements, which follow in the order of the keys."""
    left = dict(storages)
    for key in keys:
        if not isinstance(key, str):
            raise pickle.UnpicklingError("a tensor in it has no name")
        target = left.pop(key)
        (count,) = struct.unpack("<q", file.read(8))
        target.copy_(_from_bytes(file.read(target.nbytes), target.dtype, count))
    if left:
        raise pickle.UnpicklingError("a tensor in it has no elements")


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
