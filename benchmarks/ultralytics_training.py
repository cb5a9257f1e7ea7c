"""A training of Ultralytics as a command, which tells when its first step is done.

`python -m benchmarks.ultralytics_training MODEL LINE SETTINGS`: the line that it writes then, and
the arguments of `train` in JSON. It imports what a user's script of the same kind would.
"""

import importlib
import json
import sys


def main() -> None:
    """Train as the arguments say."""
    name, line, settings = sys.argv[1:]
    model = importlib.import_module("ultralytics").YOLO(name)
    model.add_callback("on_train_batch_end", lambda _: sys.stdout.write(f"\n{line}\n"))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    model.train(**json.loads(settings))


if __name__ == "__main__":
    main()
