"""Where the embedded shapes keep training and validation, in the order that data modules take."""

PATHS = [p for n in ("train2017", "val2017") for p in (n, f"annotations/instances_{n}.json")]
