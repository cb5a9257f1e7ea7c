"""The Hydra side of the commands: how they start, compose their config, and what they do."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.app.cli import command as command
    from yolov9_lit.app.configs import compose as compose
else:
    __getattr__, __dir__, __all__ = exports(__name__)
