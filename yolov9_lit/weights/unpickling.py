"""Reading a pickle without executing anything in it.

A pickle is a program: it may name any function and call it. The reader here knows tensors and
plain containers; an object of a class that it does not know becomes an empty `StandIn` that keeps
its state, no module is ever imported for it, and a pickle that asks for a function of Python's own
is refused. Nor can a small one take much memory or time: nothing is copied or hashed that the
pickle did not spell out, and a tensor is never larger than its storage.
"""

from __future__ import annotations

import math
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

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
    *("object", "set", "slice", "str", "tuple"),
}
"""Built-in types that may be named, likewise; other built-in names are functions."""

OPCODES = (
    *(pickle.PROTO, pickle.FRAME, pickle.MARK, pickle.STOP, pickle.POP, pickle.POP_MARK),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1),
    *(pickle.BININT2, pickle.LONG1, pickle.LONG4, pickle.BINFLOAT, pickle.BINUNICODE),
    *(pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.BINSTRING, pickle.SHORT_BINSTRING),
    *(pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.EMPTY_TUPLE),
    *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_LIST),
    *(pickle.EMPTY_DICT, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.BINPERSID),
)
"""What Python's own reader may do; the rest is done here, or belongs to protocols before 2."""

MOST_ARGUMENTS = 64
"""Of a call, and axes of a tensor."""

MOST_CLASSES = 1000
"""Of a pickle; a detector's has less than a hundred."""

_PythonUnpickler: Any = pickle._Unpickler
"""Written in Python; the one in C takes as much memory as a file tells it to."""


class StandIn:
    """An object of a class that is not known here: its attributes are kept, its code is not."""

    def __init__(self, *arguments: Any) -> None:
        """Take any arguments and leave them."""


class Source(Protocol):
    """What a pickle is read from."""

    def read(self, size: int) -> bytes:
        """At most so many bytes."""
        ...

    def readline(self) -> bytes:
        """Up to the next end of a line."""
        ...


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    """A view of a storage that neither repeats elements nor leaves its bounds."""
    for numbers in ((offset,), size, stride):
        if not (isinstance(numbers, tuple) and len(numbers) <= MOST_ARGUMENTS):
            raise pickle.UnpicklingError("a tensor in it has no shape")
        if not all(isinstance(n, int) and n >= 0 and n.bit_length() < 64 for n in numbers):
            raise pickle.UnpicklingError("a tensor in it has an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    elements = math.prod(size)
    if elements > storage.numel() or (elements and last >= storage.numel()):
        raise pickle.UnpicklingError("a tensor in it is larger than its storage")
    return storage.as_strided(size, stride, offset)


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


def _size(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return numbers


def _ordered() -> OrderedDict[Any, Any]:
    return OrderedDict()


ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch", "Size"): _size,
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
}
"""What a pickle may name and gets; anything else is a stand-in or refused."""


class Unpickler(_PythonUnpickler):
    """Reads one pickle."""

    def __init__(self, file: Source, storage: Callable[[torch.dtype, str, int], Tensor]) -> None:
        """Prepare to read.

        Args:
            file: at the pickle's begin.
            storage: gives the storage of (element type, key, number of elements).
        """
        super().__init__(file, encoding="utf-8")
        self._storage = storage
        self._stand_ins: dict[tuple[str, str], type[StandIn]] = {}

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
        if (module, name) not in self._stand_ins:
            if len(self._stand_ins) == MOST_CLASSES:
                raise pickle.UnpicklingError("it names more classes than a checkpoint has")
            self._stand_ins[module, name] = type(name, (StandIn,), {})
        return self._stand_ins[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """The storage that torch refers to; in the old format also a class, beside its source."""
        match pid:
            case ("module", kind, *_):
                return kind
            case ("storage", torch.dtype() as dtype, str(key), _, int(count), *view):
                if view in ([], [None]):
                    return self._storage(dtype, key, count)
        raise pickle.UnpicklingError("it refers to a storage of an unknown kind")

    def load_reduce(self) -> None:
        """Call what was found by `find_class`."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(arguments, tuple) or len(arguments) > MOST_ARGUMENTS:
            raise pickle.UnpicklingError("it calls something with too many arguments")
        self.append(function(*arguments))

    def load_newobj_ex(self) -> None:
        """The same with named arguments: only stand-ins have them, and leave them."""
        self.stack.pop()
        self.load_reduce()

    def load_build(self) -> None:
        """Set the attributes of a stand-in; those of a state dict are of no use."""
        state, thing = self.stack.pop(), self.stack[-1]
        if isinstance(thing, StandIn):
            if isinstance(state, dict):
                thing.__dict__ = state
        elif not isinstance(thing, OrderedDict):
            raise _change_of(thing)

    def load_append(self) -> None:
        """Append an item to a list."""
        self._extend([self.stack.pop()])

    def load_appends(self) -> None:
        """Append items to a list."""
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        self._target(list).extend(items)

    def load_setitem(self) -> None:
        """Set an entry of a mapping."""
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def load_setitems(self) -> None:
        """Set entries of a mapping."""
        self._update(self.pop_mark())

    def _update(self, items: list[Any]) -> None:
        """Hashing a tuple may take forever, and long whole numbers may all have one hash."""
        for key in items[::2]:
            if isinstance(key, tuple) or (isinstance(key, int) and key.bit_length() > 64):
                raise pickle.UnpicklingError("a mapping in it has a key that is no name")
        self._target(dict).update(zip(items[::2], items[1::2], strict=True))

    def _target(self, kind: type) -> Any:
        """The container on the stack; of a stand-in's items nothing is kept."""
        if isinstance(self.stack[-1], StandIn):
            return kind()
        if not isinstance(self.stack[-1], kind):
            raise _change_of(self.stack[-1])
        return self.stack[-1]

    def load_empty_set(self) -> None:
        """Sets get a stand-in: their items would be hashed."""
        self.append(StandIn())

    def load_frozenset(self) -> None:
        """Likewise."""
        self.pop_mark()
        self.append(StandIn())

    dispatch: ClassVar = {
        **{code[0]: _PythonUnpickler.dispatch[code[0]] for code in OPCODES},
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_reduce,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.BUILD[0]: load_build,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.EMPTY_SET[0]: load_empty_set,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.ADDITEMS[0]: load_appends,
    }


def _change_of(thing: Any) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"it changes a {type(thing).__name__.lower()}")


def attribute(thing: Any, name: str) -> Any:
    """An attribute that a stand-in's pickle held, or None."""
    return vars(thing).get(name) if isinstance(thing, StandIn) else None
