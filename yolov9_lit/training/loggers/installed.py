"""Whether what a logger needs is there."""

from __future__ import annotations

from importlib.util import find_spec

from yolov9_lit.errors import UserError


def require_installed(package: str) -> None:
    """Refuse a logger whose package is missing.

    Raises:
        UserError: it is.
    """
    if find_spec(package) is None:
        raise UserError(f"logger={package}: {package} is not installed: pip install {package}.")
