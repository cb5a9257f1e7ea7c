"""Whether what a logger needs is there."""

from __future__ import annotations

from importlib.util import find_spec

from yolov9_lit.errors import UserError


def require_installed(logger: str, *packages: str) -> None:
    """Refuse a logger whose packages are missing.

    Args:
        logger: option of the config group.
        packages: that it needs; by default the one of its name.

    Raises:
        UserError: one is.
    """
    for package in packages or (logger,):
        if find_spec(package) is None:
            raise UserError(f"logger={logger}: {package} is not installed: pip install {package}.")
