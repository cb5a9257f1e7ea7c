"""Public names of a package, each imported when it is first asked for (PEP 562).

As in SPEC 1 of Scientific Python: importing one light module of a room must not load the room's
heavy ones, and type checkers, editors and `dir()` still see every name.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package.

    Its names are those that its `__init__.py` imports under `if TYPE_CHECKING:`.

    Args:
        package: `__name__` of the package, called from its `__init__.py`.
    """
    module = sys.modules[package]
    blocks = [
        node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.If)
    ]
    imports = [node for node in blocks[0].body if isinstance(node, ast.ImportFrom)]
    origin = {alias.name: str(node.module) for node in imports for alias in node.names}

    def load(name: str) -> Any:
        if name not in origin:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(origin[name]), name)
        setattr(module, name, value)
        return value

    return load, lambda: sorted({*vars(module), *origin}), sorted(origin)
