"""Read files of `torch.save` without executing anything in them.

A pickle is a program: it may name any function and call it. `torch.load` reads the file, and the
reader of pickles that it is given here knows tensors and plain containers only: an object of any
other class becomes a `StandIn` that keeps its state, no module is imported for it, and a pickle
that asks for a function of Python's own is refused. A small file takes neither much memory nor
time: sizes are compared with the file's, and nothing is copied or hashed beyond what it spells out.
"""

from __future__ import annotations

import io
import math
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, ClassVar

import torch
from torch import Tensor
from torch.serialization import StorageType

from yolov9_lit.errors import UserError

LONGEST_PICKLE = 2**23
"""In bytes; a detector's has about a megabyte. A byte may become an object of a hundred bytes."""

MOST_ARGUMENTS = 64
"""Of a call, and axes of a tensor."""

MOST_CLASSES = 1000
"""Of a pickle; a detector's has less than a hundred."""

DATA_MODULES = {
    *("_codecs", "argparse", "collections", "copy_reg", "copyreg", "datetime", "enum", "pathlib"),
    *("types", "typing"),
}
"""Modules of Python whose objects real checkpoints hold; they too become stand-ins."""

DATA_TYPES = {
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list"),
    *("object", "set", "slice", "str", "tuple"),
}
"""Built-in types, which become stand-ins too; other built-in names are functions."""

OPCODES = (
    *(pickle.PROTO, pickle.FRAME, pickle.MARK, pickle.STOP, pickle.POP, pickle.POP_MARK),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1),
    *(pickle.BININT2, pickle.LONG1, pickle.LONG4, pickle.BINFLOAT, pickle.BINUNICODE),
    *(pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.BINSTRING, pickle.SHORT_BINSTRING),
    *(pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.EMPTY_TUPLE),
    *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_LIST),
    *(pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT, pickle.GLOBAL, pickle.STACK_GLOBAL),
    pickle.BINPERSID,
)
"""What Python's own reader does; the class below does the rest, or refuses it."""

_PythonUnpickler: Any = pickle._Unpickler
"""Written in Python; the one in C allocates whatever a file asks for."""


class Refusal(pickle.UnpicklingError):
    """What is wrong with a file, in words for its user."""


class StandIn:
    """An object of an unknown class: its attributes are kept, its code and items are not."""

    def __init__(self, *_: Any) -> None:
        """Ignore the arguments."""

    append = extend = __init__


def attribute(thing: Any, name: str) -> Any:
    """Return an attribute that a stand-in's pickle held, or None."""
    return vars(thing).get(name) if isinstance(thing, StandIn) else None


def read_torch_file(path: Path) -> Any:
    """Read a file of `torch.save`: tensors, plain containers and stand-ins.

    Raises:
        UserError: the file is damaged, not of this kind, or asks for a function.
    """
    try:
        with path.open("rb") as file:  # In memory torch takes the old format for nothing else.
            zipped = file.read(4) == b"PK\x03\x04"
            old = io.BytesIO() if zipped else io.BytesIO(path.read_bytes())
        return torch.load(
            path if zipped else old,
            map_location="cpu",
            mmap=zipped,  # No storage reaches beyond the file.
            weights_only=False,
            pickle_module=_pickle_module(path.stat().st_size, _check_zip(path) if zipped else None),
        )
    except Refusal as error:
        reason = "".join(filter(str.isprintable, str(error)))[:200]
    except OSError as error:
        reason = f"it cannot be opened ({error.strerror or type(error).__name__})"
    except Exception:  # Bytes that are no pickle fail in any way.
        empty = path.stat().st_size == 0
        reason = "it is empty" if empty else "it is no file of torch.save, or is damaged"
    raise UserError(f"{path} cannot be read as a checkpoint: {reason}: give another file.")


def _check_zip(path: Path) -> dict[str, int]:
    """Check the records of a zip file and return the bytes of each storage by its key."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        stored = all(r.compress_type == zipfile.ZIP_STORED for r in records)
        sizes = {r.filename: r.file_size for r in records}
        if not stored or sum(r.file_size for r in records) > path.stat().st_size:
            raise Refusal("its records are larger than the file, as in a zip bomb")
        if len(sizes) < len(records):
            raise Refusal("it holds a record twice")
        folders = [n.removesuffix("data.pkl") for n in sizes if n.endswith("/data.pkl")]
        if len(folders) != 1 or _is_script(path):
            raise Refusal("it is a zip, but not one of torch.save")
        if archive.testzip():
            raise Refusal("its checksums differ from its content")
    start = f"{folders[0]}data/"
    return {n.removeprefix(start): size for n, size in sizes.items() if n.startswith(start)}


def _is_script(path: Path) -> bool:
    """Tell whether `torch.load` would run the file; only its own reader of zip files knows."""
    return "constants.pkl" in torch._C.PyTorchFileReader(str(path)).get_all_records()


def _pickle_module(room: int, sizes: Mapping[str, int] | None = None) -> SimpleNamespace:
    """Return what `torch.load` reads the pickles of one file by.

    Args:
        room: bytes of the file.
        sizes: bytes of each storage by its key; None where the file does not tell.
    """
    storages: dict[str, tuple[torch.dtype, int]] = {}  # Those that the pickles refer to.

    def check(key: str, dtype: torch.dtype, count: int) -> None:
        nonlocal room
        if storages.get(key) == (dtype, count):
            return
        if key in storages:
            raise Refusal("it refers to one storage as two kinds")
        size = count * dtype.itemsize
        if size < 0 or (sizes is not None and sizes.get(key) != size):
            raise Refusal("a tensor in it is cut short")
        if size > room:
            raise Refusal("its tensors are larger than the file")
        storages[key], room = (dtype, count), room - size

    def load(file: IO[bytes], **_: Any) -> Any:
        """Read a pickle before or after the object's own: a header, then the storages' keys."""
        found = reader(file).load()
        if isinstance(found, int | dict) and not storages:
            return found
        if not isinstance(found, list) or not all(isinstance(key, str) for key in found):
            raise Refusal("a tensor in it has no name")
        if not storages.keys() <= set(found):
            raise Refusal("a tensor in it has no elements")
        return found

    reader = type("Unpickler", (Unpickler,), {"check_storage": staticmethod(check)})
    return SimpleNamespace(__name__="unpickling", Unpickler=reader, load=load)


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    """Return a view of a storage that neither repeats elements nor leaves its bounds."""
    for numbers in ((offset,), size, stride):
        if not (isinstance(numbers, tuple) and len(numbers) <= MOST_ARGUMENTS):
            raise Refusal("a tensor in it has no shape")
        if not all(isinstance(n, int) and 0 <= n < 2**63 for n in numbers):
            raise Refusal("a tensor in it has an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    elements = math.prod(size)
    if elements > storage.numel() or (elements and last >= storage.numel()):
        raise Refusal("a tensor in it is larger than its storage")
    return storage.as_strided(size, stride, offset)


def _method(owner: Any, name: Any) -> StandIn:
    """Stand for a method of a stand-in's class, as published models of segmentation keep one."""
    if not (isinstance(owner, type) and issubclass(owner, StandIn) and isinstance(name, str)):
        raise Refusal("it asks for getattr, a function that is refused")
    return StandIn()


ADMITTED: dict[tuple[str, str], Any] = {
    ("__builtin__", "getattr"): _method,
    ("builtins", "getattr"): _method,
    ("collections", "OrderedDict"): lambda: OrderedDict(),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch._utils", "_rebuild_parameter_with_state"): lambda data, *_: data,
    ("torch", "Size"): lambda numbers: numbers,
}
"""What a pickle may name and call; anything else is a stand-in or refused."""


class Unpickler(_PythonUnpickler):
    """Reads one pickle, for `torch.load`, which sets `persistent_load`: what makes a storage."""

    def __init__(self, file: IO[bytes], **_: Any) -> None:
        """Prepare to read a file from where it stands."""
        self._file, self._start = file, file.tell()
        self._data = io.BytesIO(file.read(LONGEST_PICKLE))
        self._stand_ins: dict[tuple[str, str], type[StandIn]] = {}
        super().__init__(self._data, encoding="utf-8")

    def load(self) -> Any:
        """Return the object, with the file at the end of its pickle."""
        try:
            found = super().load()
        except EOFError as error:
            if self._data.tell() < LONGEST_PICKLE:
                raise
            raise Refusal("it holds more than a checkpoint's objects") from error
        self._file.seek(self._start + self._data.tell())
        return found

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a class or function; nothing is imported."""
        if (module, name) in ADMITTED:
            return ADMITTED[module, name]
        root = module.partition(".")[0]
        if root in ("builtins", "__builtin__"):
            refused = name not in DATA_TYPES
        else:
            refused = root in sys.stdlib_module_names and root not in DATA_MODULES
        if refused:
            raise Refusal(f"it asks for {module}.{name}, a function that is refused")
        if len(self._stand_ins) == MOST_CLASSES:
            raise Refusal("it names more classes than a checkpoint has")
        if (module, name) not in self._stand_ins:
            self._stand_ins[module, name] = type(name, (StandIn,), {})
        return self._stand_ins[module, name]

    @property
    def persistent_load(self) -> Any:
        """Return what makes a storage (elements,) of a reference to it."""
        return self._storage

    @persistent_load.setter
    def persistent_load(self, load: Any) -> None:
        self._load_storage = load

    def _storage(self, reference: Any) -> Any:
        match reference:
            case ("module", kind, *_):  # Of the old format: a class, and its source.
                return kind
            case ("storage", StorageType(dtype=dtype), str(key), _, int(count), *view):
                if view in ([], [None]):
                    self.check_storage(key, dtype, count)
                    return torch.empty(0, dtype=dtype).set_(self._load_storage(reference))
        raise Refusal("it refers to a storage of an unknown kind")

    def load_reduce(self) -> None:
        """Call what `find_class` returned."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(arguments, tuple) or len(arguments) > MOST_ARGUMENTS:
            raise Refusal("it calls something with too many arguments")
        self.append(function(*arguments))

    def load_newobj_ex(self) -> None:
        """Call without the named arguments, which only stand-ins have."""
        self.stack.pop()
        self.load_reduce()

    def load_build(self) -> None:
        """Set the attributes of a stand-in; a state dict's are not needed."""
        state, thing = self.stack.pop(), self.stack[-1]
        if isinstance(thing, StandIn) and isinstance(state, dict):
            thing.__dict__ = state
        elif not isinstance(thing, StandIn | OrderedDict):
            raise _change_of(thing)

    def load_setitem(self) -> None:
        """Set an entry of a mapping."""
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def load_setitems(self) -> None:
        """Set entries of a mapping."""
        self._update(self.pop_mark())

    def _update(self, items: list[Any]) -> None:
        """Set entries; to hash a tuple may take forever, and long integers may share one hash."""
        for key in items[::2]:
            if isinstance(key, tuple) or (isinstance(key, int) and key.bit_length() > 64):
                raise Refusal("a mapping in it has a key that is no name")
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif not isinstance(self.stack[-1], StandIn):
            raise _change_of(self.stack[-1])

    dispatch: ClassVar = {
        **{code[0]: _PythonUnpickler.dispatch[code[0]] for code in OPCODES},
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_reduce,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.EMPTY_SET[0]: lambda self: self.append(StandIn()),  # Its items would be hashed.
        pickle.FROZENSET[0]: lambda self: self.append(StandIn(self.pop_mark())),
        pickle.ADDITEMS[0]: _PythonUnpickler.load_appends,
    }


def _change_of(thing: Any) -> Refusal:
    return Refusal(f"it changes a {type(thing).__name__.lower()}")
