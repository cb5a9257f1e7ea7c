"""Files that are either whole or not there, whenever the process is killed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any, *, indent: int | None = None) -> None:
    """Write JSON, making the folder where needed; an earlier file stays until the new is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
    os.replace(part, path)
