"""Pages of the API reference: the public names of the package, of each room and of the shapes.

mkdocstrings fills them in from the docstrings.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import yolov9_lit

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files


def pages() -> dict[str, str]:
    """Return the text of each page by its name."""
    rooms = [room.name for room in iter_modules(yolov9_lit.__path__) if room.ispkg]
    packages = {"yolov9_lit": yolov9_lit}
    packages |= {room: import_module(f"yolov9_lit.{room}") for room in rooms}
    found = {
        page: _names(package.__name__, package.__doc__, package.__all__)
        for page, package in packages.items()
        if hasattr(package, "__all__")
    }
    return found | {"structures": "# yolov9_lit.structures\n\n::: yolov9_lit.structures\n"}


def _names(package: str, doc: str | None, names: list[str]) -> str:
    blocks = "".join(f"::: {package}.{name}\n\n" for name in names)
    return f"# {package}\n\n{doc}\n\n`from {package} import NAME` gives each of these.\n\n{blocks}"
