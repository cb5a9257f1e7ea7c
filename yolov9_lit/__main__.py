"""The list of commands: `python -m yolov9_lit`."""

from __future__ import annotations

import sys

from yolov9_lit.app.help import all_commands
from yolov9_lit.errors import MISTAKE


def main() -> int:
    """List the commands; with arguments, which this takes none of, return the code of a mistake."""
    given = " ".join(sys.argv[1:])
    if given in ("", "-h", "--help"):
        sys.stdout.write(f"{all_commands()}\n")
        return 0
    sys.stderr.write(
        f"error: python -m yolov9_lit takes no arguments, not {given}: give a command as "
        "python -m yolov9_lit.COMMAND, such as yolov9_lit.train.\n"
    )
    return MISTAKE


if __name__ == "__main__":
    sys.exit(main())
